"""The binding of one attestation to one boot's receipt key and to fresh nonces (`cji_attestation.evidence.nonces`).

The 32 bytes of `qualifying_data` are the TPM quote's extraData (Azure's vTPM takes at most 50 bytes). The nonce that
Azure Attestation echoes is their hexadecimal text, so its token names the same receipt key as the quote.
"""

import hashlib
from typing import Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.event_log import AppliedBundle, bundle_event
from cji_attestation.evidence.nonces import root_of

RECEIPT_KEY_BYTES: Final = 32  # RFC 7638 SHA-256 thumbprint


def qualifying_data(
    receipt_key: bytes, nonce: bytes, path: bytes = b"", *, update: AppliedBundle | None = None
) -> bytes:
    """`bind` for the root that this nonce, 32 bytes, has by this path."""
    return bind(receipt_key, root_of(nonce, path), update)


def bind(receipt_key: bytes, root: bytes, update: AppliedBundle | None = None) -> bytes:
    """SHA-256("cji-attest/2" NUL ‖ receipt key thumbprint, 32 bytes ‖ root of the nonces, 48 bytes).

    With a hot update in force SHA-256("cji-attest/3" NUL ‖ thumbprint ‖ root ‖ "cji-bundle:SERIAL:SHA384"). So a quote
    shows the update, and not a PCR that was extended after the start, which root could do for another bundle.
    """
    if len(receipt_key) != RECEIPT_KEY_BYTES:
        raise AttestationError(Fault.CONFIG_INVALID, check="nonce-length")
    if update is not None:
        return hashlib.sha256(b"cji-attest/3\0" + receipt_key + root + bundle_event(update)).digest()
    return hashlib.sha256(b"cji-attest/2\0" + receipt_key + root).digest()


def maa_nonce(qualifying_data: bytes) -> str:
    """The nonce text for Azure Attestation."""
    return qualifying_data.hex()


def report_user_data(qualifying_data: bytes) -> bytes:
    """The 64 bytes for NV 0x01400002, which the next hardware report carries."""
    return hashlib.sha512(qualifying_data).digest()

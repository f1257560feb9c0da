"""The vTPM's part of the evidence: quote and certified ephemeral key, both under the AK that the report vouches for.

TCG TPM 2.0 Library, Part 2 (structures) and Part 3 (TPM2_Quote, TPM2_Certify, TPM2_PolicyPCR).
"""

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from attestation.appraisal.verdict import Verdict
from attestation.certs import load_der, spki_sha256
from attestation.errors import AttestationError, Fault
from attestation.evidence import Evidence, TpmAttest, TpmClock, parse_attest, parse_rsa_public
from attestation.evidence.tpm_structures import PCR_SELECTION, PCRS, pcr_digest, policy_pcr_digest

__all__ = ["verify_ak", "verify_clock", "verify_ephemeral", "verify_quote"]

AK_ATTRIBUTES: Final = 0x50032  # sign, restricted, sensitiveDataOrigin, fixedParent, fixedTPM

EPHEMERAL_ATTRIBUTES: Final = 0x20432  # decrypt, noDA, sensitiveDataOrigin, fixedParent, fixedTPM
ENDORSEMENT_HIERARCHY: Final = 0x4000000B  # TPM_RH_ENDORSEMENT, whose primary key Azure's AK is
_UNEXTENDED: Final = (bytes(32), b"\xff" * 32)


def _signed(message: bytes, signature: bytes, ak: rsa.RSAPublicKey, check: str) -> None:
    try:
        ak.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check=check) from error


def verify_quote(evidence: Evidence, ak: rsa.RSAPublicKey, *, expected_qualifying: bytes) -> TpmAttest:
    """E14 to E18: signature, kind, qualifying data, selection exactly sha256:0-7, values."""
    _signed(evidence.quote, evidence.quote_signature, ak, "E14")
    try:
        attest = parse_attest(evidence.quote)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E15") from error
    conditions = {
        "E15": attest.kind == "quote",
        "E16": bool(expected_qualifying) and hmac.compare_digest(attest.extra_data, expected_qualifying),
        "E17": attest.selection == PCR_SELECTION,
        "E18": len(evidence.pcrs) == len(PCRS)
        and all(len(value) == 32 and value not in _UNEXTENDED for value in evidence.pcrs)
        and attest.digest == pcr_digest(evidence.pcrs),
    }
    for check, holds in conditions.items():
        if not holds:
            raise AttestationError(Fault.EVIDENCE_INVALID, check=check)
    return attest


def verify_ephemeral(evidence: Evidence, ak: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    """E20 the AK certified this very key; E21 it lives in the TPM only and decrypts only while the PCRs stay."""
    _signed(evidence.certify, evidence.certify_signature, ak, "E20")
    try:
        attest, key = parse_attest(evidence.certify), parse_rsa_public(evidence.ephemeral)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E20") from error
    if attest.kind != "certify" or attest.name != key.name:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E20")
    modulus = int.from_bytes(key.modulus, "big")
    sound = (
        key.attributes == EPHEMERAL_ATTRIBUTES
        and not key.signing
        and key.policy == policy_pcr_digest(evidence.pcrs)
        and key.bits == modulus.bit_length() == 2048
        and key.exponent == 65537
    )
    if not sound:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E21")
    return rsa.RSAPublicNumbers(key.exponent, modulus).public_key()


def verify_ak(evidence: Evidence, ak: rsa.RSAPublicKey, *, signer: bytes) -> None:
    """E22: certificate and public area are of HCLAkPub, which is a restricted signing key and the quote's `signer`.

    A quote names its signer by the Qualified Name (Part 1, "Names"): the digest of the parent's and of the whole
    public area. So no bit of the public area can be another one. The certificate's issuer is for Azure Attestation to
    judge; the hardware report vouches for the key itself.
    """
    certificate = load_der(evidence.ak_cert, fault=Fault.EVIDENCE_INVALID, check="E22")
    try:
        public = parse_rsa_public(evidence.ak_public)
    except AttestationError as error:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E22") from error
    qualified = hashlib.sha256(ENDORSEMENT_HIERARCHY.to_bytes(4, "big") + public.name).digest()
    same = (
        spki_sha256(certificate.public_key()) == spki_sha256(ak)
        and int.from_bytes(public.modulus, "big") == ak.public_numbers().n
        and public.signing
        and public.attributes & AK_ATTRIBUTES == AK_ATTRIBUTES
        and signer == public.name[:2] + qualified
    )
    if not same:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E22")


def verify_clock(clock: TpmClock, ak: rsa.RSAPublicKey, earlier: Verdict | None) -> str:
    """E35: the TPM that signed `earlier` went on without reset or restart, and its clock did not go back.

    TPMS_CLOCK_INFO (Part 1, "Timing Components") counts milliseconds inside the vTPM, apart from wall time and the
    services that set it. A virtual machine that was rolled back, resumed or swapped shows it here.
    """
    if earlier is None:
        return "first quote; nothing to compare"
    boot = (clock.reset_count, clock.restart_count)
    same = (
        ak.public_numbers() == earlier.ak.public_numbers()
        and boot == (earlier.clock.reset_count, earlier.clock.restart_count)
        and clock.clock >= earlier.clock.clock
    )
    if not same:
        raise AttestationError(Fault.EVIDENCE_INVALID, check="E35")
    return f"{clock.clock - earlier.clock.clock} ms after the earlier quote, same boot"

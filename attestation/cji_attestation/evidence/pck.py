"""The fields of a PCK certificate that select its processor's collateral. Nothing is verified here.

The SGX extension 1.2.840.113741.1.13.1 is a SEQUENCE of {OID, value}; .4 of it is the FMSPC, an OCTET STRING of 6
bytes (Intel, "SGX PCK Certificate and CRL Profile Specification", 1.3.5). The issuer is one of two CAs of Intel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from cji_attestation.errors import Fault, invalid
from cji_attestation.strict import load_pem_chain

SGX_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
PCK_FLAGS: Final = {"dynamic-platform": 1, "cached-keys": 2, "smt": 3}
"""Members of the platform's configuration, .7 of the extension: the processor's state when Intel registered it."""
_FMSPC: Final = bytes.fromhex("2a864886f84d010d0104")  # DER of 1.2.840.113741.1.13.1.4
_CAS: Final = {"Intel SGX PCK Platform CA": "platform", "Intel SGX PCK Processor CA": "processor"}
_SEQUENCE, _OCTET_STRING, _OID = 0x30, 0x04, 0x06
_CHECK: Final = "pck"


@dataclass(frozen=True, slots=True)
class PckSubject:
    """FMSPC, 12 hexadecimal digits in upper case, and the CA by its name in Intel's API."""

    fmspc: str
    ca: str


def pck_subject(chain: bytes) -> PckSubject:
    """Read the leaf of a PEM chain; raises AttestationError(EVIDENCE_INVALID, "pck")."""
    leaf, *_ = load_pem_chain(chain, fault=Fault.EVIDENCE_INVALID, check=_CHECK)
    try:
        ((_, members),) = _elements(leaf.extensions.get_extension_for_oid(SGX_EXTENSION).value.public_bytes())
        entries = [tuple(_elements(entry)) for tag, entry in _elements(members) if tag == _SEQUENCE]
        ((_, (tag, fmspc)),) = [entry for entry in entries if entry[:1] == ((_OID, _FMSPC),)]
        if tag != _OCTET_STRING or len(fmspc) != 6:
            raise ValueError
        (common,) = leaf.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        return PckSubject(fmspc=fmspc.hex().upper(), ca=_CAS[str(common.value)])
    except (x509.ExtensionNotFound, ValueError, KeyError) as error:
        raise invalid(_CHECK) from error


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of DER elements that fill `data`; ValueError where they do not."""
    while data:
        if len(data) < 2:
            raise ValueError
        at, size = 2, data[1]
        if size & 0x80:
            at += size & 0x7F
            size = int.from_bytes(data[2:at], "big")
        if size > len(data) - at:
            raise ValueError
        yield data[0], data[at : at + size]
        data = data[at + size :]

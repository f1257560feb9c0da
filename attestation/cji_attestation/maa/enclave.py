"""The evidence inside a signing certificate: that the key of a token lives in an enclave, and in which.

Azure Attestation runs in confidential containers on AMD SEV-SNP, and the certificate of a key that signs itself has

    1.3.6.1.4.1.311.105.1000.2  UTF8String "acisevsnp"
    1.3.6.1.4.1.311.105.1000.1  UTF8String, JSON: SnpReport, VcekCertChain (PEM), Endorsements; each base64url

The report's data are SHA-256 of the public key in PEM with a NUL byte behind it, and zeros. Source: Microsoft's own
verifier, Azure-Samples/microsoft-azure-attestation, maa.jwt.verifier.dotnet. The endorsement of the launch measurement
is not read; the measurement is pinned instead. AMD's patch levels are not compared: they are for Microsoft to keep.
"""

import hashlib
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_attestation.appraisal import MaaEnclave
from cji_attestation.appraisal.snp import authenticate_report
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, Record
from cji_attestation.maa.jwks import SigningKey
from cji_attestation.strict import parse_object, text_member
from cji_core.strict import b64url_decode

EVIDENCE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.1")
KIND: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.105.1000.2")
CONTAINER: Final = "acisevsnp"
MAX_EVIDENCE_BYTES: Final = 128 * 1024  # real ones have about 30 KiB
_UTF8_STRING: Final = 0x0C
_CHECK: Final = "T18"


def check_enclave(signing: SigningKey, enclave: MaaEnclave | None, *, roots: tuple[str, ...], now: datetime) -> Check:
    """T18: where `enclave` names allowed ones, a genuine report of such a one vouches for this very key."""
    if enclave is None:
        return Skipped("T18", "enclave not pinned")
    try:
        _verify(signing, enclave, roots, now)
    except (AttestationError, ValueError) as error:  # the checks of a chip have ids of their own
        raise AttestationError(Fault.TOKEN_INVALID, check=_CHECK) from error
    return Check("T18", "key in a named enclave")


def _verify(signing: SigningKey, enclave: MaaEnclave, roots: tuple[str, ...], now: datetime) -> None:
    if signing.certificate is None or _text(signing.certificate, KIND) != CONTAINER:
        raise ValueError
    said = parse_object(
        _text(signing.certificate, EVIDENCE).encode(), limit=MAX_EVIDENCE_BYTES, fault=Fault.TOKEN_INVALID, check=_CHECK
    )
    raw, chain = (
        b64url_decode(text_member(said, name, fault=Fault.TOKEN_INVALID, check=_CHECK).rstrip("="))
        for name in ("SnpReport", "VcekCertChain")
    )
    report = authenticate_report(raw, chain, roots=roots, now=now, record=Record()).report
    allowed = (
        not report.debug
        and report.report_data == _commitment(signing.key)
        and report.measurement.hex() in enclave.measurements
        and report.host_data.hex() in enclave.host_data
    )
    if not allowed:
        raise ValueError


def _commitment(key: rsa.RSAPublicKey) -> bytes:
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem + b"\0").digest() + bytes(32)


def _text(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    """The DER UTF8String in an extension; ValueError where there is none."""
    try:
        data = certificate.extensions.get_extension_for_oid(oid).value.public_bytes()
    except x509.ExtensionNotFound as error:
        raise ValueError from error
    content = data[2 + max(0, data[1] - 0x80) :] if len(data) > 1 else b""
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    length = size if 0 < len(content) < 0x80 else bytes([0x80 + len(size)]) + size
    if data != bytes([_UTF8_STRING]) + length + content:  # X.690: one way to write a length
        raise ValueError
    return content.decode("utf-8")

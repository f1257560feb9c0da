"""SEV-SNP endorsements: AMD root → ASK → VCEK → report. Sources: AMD 56860 (report), AMD 57230 (VCEK extensions).

Each function checks one thing and raises AttestationError with the id that `appraise` documents.
"""

import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from attestation.appraisal.advisories import Product
from attestation.certs import load_pem_chain, spki_sha256
from attestation.errors import AttestationError, Fault
from attestation.evidence import SnpReport, Tcb
from attestation.evidence.snp_report import parse_tcb

__all__ = ["Endorsement", "verify_chain", "verify_chip", "verify_not_revoked", "verify_report_signature"]

_AMD: Final = "1.3.6.1.4.1.3704.1."
_PRODUCTS: Final[dict[str, Product]] = {"Milan": "Milan", "Genoa": "Genoa", "Turin": "Turin"}
_LEVELS: Final = {"bootloader": "3.1", "tee": "3.2", "snp": "3.3", "microcode": "3.8"}
_SPARE: Final = ("3.4", "3.5", "3.6", "3.7")  # levels without a meaning yet; Turin has no 3.4
_KNOWN: Final = frozenset({"1", "2", "4", *_LEVELS.values(), *_SPARE})  # 5, cspID, makes it a VLEK
_STRUCTURE: Final[dict[Product, int]] = {"Milan": 0, "Genoa": 0, "Turin": 1}  # structVersion
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
ECDSA_P384_SHA384: Final = 1
VCEK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A VCEK whose chain ends in a pinned root."""

    vcek: x509.Certificate
    ask: x509.Certificate
    ark: x509.Certificate
    product: Product


def _refuse(check: str, fault: Fault = Fault.EVIDENCE_INVALID, error: Exception | None = None) -> AttestationError:
    refusal = AttestationError(fault, check=check)
    refusal.__cause__ = error
    return refusal


def verify_chain(pem: bytes, *, roots: tuple[str, ...], now: datetime) -> Endorsement:
    """E04 the ARK's key is pinned; E05 exactly VCEK, ASK, ARK, each signed by the next and valid at `now`."""
    chain = load_pem_chain(pem, fault=Fault.EVIDENCE_INVALID, check="E05")
    text = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    # two readers of PEM must not find different certificates
    if len(chain) != 3 or b"".join(text.split()) != b"".join(pem.split()):
        raise _refuse("E05")
    vcek, ask, ark = chain
    if spki_sha256(ark.public_key()) not in roots:
        raise _refuse("E04", Fault.UNTRUSTED_ROOT)
    for certificate, issuer in ((ark, ark), (ask, ark), (vcek, ask)):
        try:
            # that too, because it compares the signed and the unsigned name of the algorithm (RFC 5280 §4.1.1.2)
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError) as error:
            raise _refuse("E05", error=error) from error
        whole = certificate.public_bytes(Encoding.DER).endswith(b"\0" + certificate.signature)  # no unused bits
        if not whole or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _refuse("E05")
        _signed_by(issuer, certificate.signature, certificate.tbs_certificate_bytes, "E05")
    return Endorsement(vcek=vcek, ask=ask, ark=ark, product=_product(vcek, ask, ark))


def _signed_by(issuer: x509.Certificate, signature: bytes, message: bytes, check: str) -> None:
    """RSA-PSS with SHA-384 and a salt of 48 bytes, as everything above a VCEK is signed."""
    key = issuer.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _refuse(check)
    try:
        key.verify(signature, message, _PSS, hashes.SHA384())
    except InvalidSignature as error:
        raise _refuse(check, error=error) from error


def verify_not_revoked(endorsement: Endorsement, crl: bytes, *, now: datetime) -> None:
    """E33: the CRL is the ARK's own, complete and in its time, and lists neither ASK nor VCEK.

    Every VCEK has serial number 0, so AMD can revoke an ASK, and with it all of its VCEKs, but not one chip.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see attestation.certs.load_der
            found = x509.load_der_x509_crl(crl)
            issuer, until = found.issuer, found.next_update_utc
            revoked = {one.serial_number for one in found}
            below = {endorsement.ask.serial_number, endorsement.vcek.serial_number}
            partial = any(extension.critical for extension in found.extensions)
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise _refuse("E33", error=error) from error
    if issuer != endorsement.ark.subject or partial:
        raise _refuse("E33")
    if until is None or not found.last_update_utc <= now <= until:
        raise _refuse("E33", Fault.POLICY_MISMATCH)
    _signed_by(endorsement.ark, found.signature, found.tbs_certlist_bytes, "E33")
    if revoked & below:
        raise _refuse("E33", Fault.POLICY_MISMATCH)


def _product(vcek: x509.Certificate, ask: x509.Certificate, ark: x509.Certificate) -> Product:
    """The product named by the VCEK ("Milan-B0", "Genoa", ...), which ASK and ARK must name too."""
    text = _der_value(_extension(vcek, "2"), tag=0x16).decode("ascii", "replace")
    product = _PRODUCTS.get(re.split("-", text, maxsplit=1)[0])
    if product is None or _common_name(ask) != f"SEV-{product}" or _common_name(ark) != f"ARK-{product}":
        raise _refuse("E05")
    return product


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _extensions(vcek: x509.Certificate) -> dict[str, bytes]:
    """AMD's extensions, raw, by what follows AMD's prefix. A duplicate makes a certificate unreadable before this."""
    return {
        extension.oid.dotted_string.removeprefix(_AMD): extension.value.value
        for extension in vcek.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension) and extension.oid.dotted_string.startswith(_AMD)
    }


def _extension(vcek: x509.Certificate, suffix: str) -> bytes:
    found = _extensions(vcek).get(suffix)
    if found is None:
        raise _refuse("E07")
    return found


def _der_value(data: bytes, *, tag: int) -> bytes:
    """The content of a DER value of at most 127 bytes."""
    if len(data) < 2 or data[0] != tag or data[1] != len(data) - 2 or data[1] > 127:
        raise _refuse("E07")
    return data[2:]


def _level(vcek: x509.Certificate, suffix: str) -> int:
    """A patch level: a DER INTEGER, so 128 and more have a leading zero byte."""
    content = _der_value(_extension(vcek, suffix), tag=0x02)
    value = int.from_bytes(content, "big", signed=True)
    if not content or not 0 <= value <= 255:
        raise _refuse("E07")
    return value


def verify_report_signature(report: SnpReport, vcek: x509.Certificate) -> None:
    """E06: ECDSA P-384 with SHA-384 by a VCEK (not a VLEK), over bytes 0 to 0x29F."""
    key = vcek.public_key()
    if report.signature_algorithm != ECDSA_P384_SHA384 or report.signing_key != VCEK or report.masked_chip:
        raise _refuse("E06")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise _refuse("E06")
    try:
        signature = encode_dss_signature(report.signature_r, report.signature_s)
        key.verify(signature, report.signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as error:
        raise _refuse("E06", error=error) from error


def verify_chip(report: SnpReport, endorsement: Endorsement) -> Tcb:
    """E07: the VCEK was made for this chip, this product and the reported TCB, which is returned."""
    turin = endorsement.product == "Turin"
    reported = parse_tcb(report.reported_tcb, turin=turin)
    names = _LEVELS | ({"fmc": "3.9"} if turin else {})
    if reported != Tcb(**{name: _level(endorsement.vcek, suffix) for name, suffix in names.items()}):
        raise _refuse("E07")
    held = _extensions(endorsement.vcek).keys()
    if held - _KNOWN - set(names.values()) or any(_level(endorsement.vcek, spare) for spare in held & set(_SPARE)):
        raise _refuse("E07")
    if _level(endorsement.vcek, "1") != _STRUCTURE[endorsement.product]:
        raise _refuse("E07")
    raw = _extension(endorsement.vcek, "4")
    size = 8 if turin else 64
    hwid = raw if len(raw) == size else _der_value(raw, tag=0x04)
    if hwid != report.chip_id[:size] or any(report.chip_id[size:]) or not any(hwid):
        raise _refuse("E07")
    if report.cpuid != (0, 0) and _product_of_cpuid(*report.cpuid) != endorsement.product:
        raise _refuse("E07")
    return reported


def _product_of_cpuid(family: int, model: int) -> Product | None:
    if family == 0x19 and model <= 0x0F:
        return "Milan"
    if family == 0x19 and (0x10 <= model <= 0x1F or 0xA0 <= model <= 0xAF):
        return "Genoa"
    return "Turin" if family == 0x1A and model <= 0x11 else None

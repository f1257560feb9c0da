"""SEV-SNP authenticity: AMD root → ASK → VCEK → report. Sources: AMD 56860 (report), AMD 57230 (VCEK extensions).

Each function runs one check: it returns what the check found, with the value it verified, or raises AttestationError.
"""

import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.appraisal.advisories import Product
from cji_attestation.appraisal.crl import MAX_AGE_DAYS, PSS, read_crl
from cji_attestation.appraisal.hardware import Hardware
from cji_attestation.appraisal.vcek import product_of, verify_chip
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, Record, invalid
from cji_attestation.evidence import SnpReport, Tcb, parse_snp_report
from cji_attestation.strict import load_pem_chain
from cji_core.certs import CertificateRefused, common_name, require_in_force, spki_sha256
from cji_core.chains import require_chain

_SIGNING_KEYS: Final = {0: "VCEK", 1: "VLEK", 7: "no key"}
_ROLES: Final = ("VCEK", "ASK", "ARK")
ECDSA_P384_SHA384: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """A VCEK whose chain ends in a pinned root."""

    vcek: x509.Certificate
    ask: x509.Certificate
    ark: x509.Certificate
    product: Product


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticReport(Hardware):
    """A report that a real chip of AMD signed, and the chain that shows it."""

    product: Product
    tcb: Tcb
    report: SnpReport
    endorsement: Endorsement


def authenticate_report(
    raw: bytes, pem: bytes, *, roots: tuple[str, ...], now: datetime, record: Record
) -> AuthenticReport:
    """The report in `raw`, verified under a chain (PEM) that ends in a root with one of the pins `roots`."""
    report = record.take(_read_report(raw))
    record.add(check_signing_key(report))
    endorsement = verify_chain(pem, roots=roots, now=now, record=record)
    record.add(verify_report_signature(report, endorsement.vcek))
    return AuthenticReport(
        product=endorsement.product,
        measurement=report.measurement,
        tcb=record.take(verify_chip(report, endorsement.vcek, product=endorsement.product)),
        policy=report.policy,
        vmpl=report.vmpl,
        chip_id=report.chip_id,
        report=report,
        endorsement=endorsement,
    )


def _read_report(raw: bytes) -> tuple[SnpReport, Check]:
    try:
        report = parse_snp_report(raw)
    except AttestationError as error:
        raise invalid("E36") from error
    return report, Check("E36", f"report version {report.version}")


def check_signing_key(report: SnpReport) -> Check:
    """E37."""
    signer = _SIGNING_KEYS.get(report.signing_key, f"unknown key {report.signing_key}")
    if signer != "VCEK":
        raise invalid("E37", found=f"signed by {signer}", expected="signed by VCEK")
    if report.masked_chip:
        raise invalid("E37", found="the chip id is masked", expected="the chip id")
    return Check("E37", "signed by VCEK, chip id shown")


def verify_chain(pem: bytes, *, roots: tuple[str, ...], now: datetime, record: Record) -> Endorsement:
    """E39, E04, E05, E38."""
    certificates = record.take(_read_chain(pem))
    record.add(_check_root(certificates, roots))
    endorsement = record.take(_verify_issuers(*certificates))
    record.add(_check_validity(endorsement, now))
    return endorsement


def _read_chain(pem: bytes) -> tuple[tuple[x509.Certificate, ...], Check]:
    """The certificates as they stand. Roles are read from names here; that they are true is for E05."""
    certificates = load_pem_chain(pem, fault=Fault.EVIDENCE_INVALID, check="E05")
    text = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
    # two readers of PEM must not find different certificates
    if len(certificates) != 3 or b"".join(text.split()) != b"".join(pem.split()):
        raise invalid("E05", found=f"{len(certificates)} certificates, or other text between them")
    roles = tuple(map(_role, certificates))
    if roles != _ROLES and sorted(roles) == sorted(_ROLES):
        raise invalid("E39", found=", ".join(roles), expected=", ".join(_ROLES))
    return certificates, Check("E39", "VCEK, ASK, ARK in order")


def _role(certificate: x509.Certificate) -> str:
    name = common_name(certificate)
    if name.startswith("ARK-"):
        return "ARK"
    return "VCEK" if name == "SEV-VCEK" else "ASK" if name.startswith("SEV-") else ""


def _check_root(certificates: tuple[x509.Certificate, ...], roots: tuple[str, ...]) -> Check:
    pin = spki_sha256(certificates[-1].public_key())
    if pin not in roots:
        raise AttestationError(Fault.UNTRUSTED_ROOT, check="E04", found=f"root key {pin}")
    return Check("E04", "AMD root pinned")


def _verify_issuers(vcek: x509.Certificate, ask: x509.Certificate, ark: x509.Certificate) -> tuple[Endorsement, Check]:
    try:
        require_chain((vcek, ask, ark))
    except CertificateRefused as error:
        raise invalid("E05", found=str(error)) from error
    for certificate, issuer in ((ark, ark), (ask, ark), (vcek, ask)):
        _signed_by(issuer, certificate.signature, certificate.tbs_certificate_bytes, "E05")
    product = product_of(vcek)
    names = (common_name(ask), common_name(ark))
    if product is None or names != (f"SEV-{product}", f"ARK-{product}"):
        raise invalid("E05", found=f"a VCEK of {product} under {', '.join(names)}")
    return Endorsement(vcek=vcek, ask=ask, ark=ark, product=product), Check("E05", f"VCEK, ASK, ARK of {product}")


def _check_validity(endorsement: Endorsement, now: datetime) -> Check:
    for role, certificate in zip(_ROLES, (endorsement.vcek, endorsement.ask, endorsement.ark), strict=True):
        try:
            require_in_force(certificate, now)
        except CertificateRefused as error:
            raise invalid("E38", found=f"{role}: {error}", expected=f"valid at {now}") from error
    return Check("E38", f"VCEK, ASK, ARK valid at {now}")


def _signed_by(issuer: x509.Certificate, signature: bytes, message: bytes, check: str) -> None:
    """RSA-PSS with SHA-384 and a salt of 48 bytes, as everything above a VCEK is signed."""
    key = issuer.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise invalid(check)
    try:
        key.verify(signature, message, PSS, hashes.SHA384())
    except InvalidSignature as error:
        raise invalid(check) from error


def check_not_revoked(
    endorsement: Endorsement, crl: bytes | None, *, now: datetime, max_age_days: int = MAX_AGE_DAYS
) -> Check:
    """E33: the CRL (DER), where there is one, is authentic, in force and young enough, and lists neither ASK nor VCEK.

    Every VCEK has serial number 0, so AMD can revoke an ASK, and with it all of its VCEKs, but not one chip.
    """
    if crl is None:
        return Skipped("E33", "revocation not checked")
    try:
        found = read_crl(crl, endorsement.ark)
    except ValueError as error:
        raise invalid("E33", found=str(error)) from error
    if reason := found.not_current(now, max_age_days=max_age_days):
        raise AttestationError(
            Fault.POLICY_MISMATCH,
            check="E33",
            found=reason,
            expected=f"in force at {now}, at most {max_age_days} days old",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see cji_core.certs.load_der
        below = {endorsement.ask.serial_number, endorsement.vcek.serial_number}
    if found.revoked & below:
        raise AttestationError(Fault.POLICY_MISMATCH, check="E33", found="AMD revoked the chain")
    return Check("E33", f"not revoked, by a CRL of {found.updated:%Y-%m-%d}")


def verify_report_signature(report: SnpReport, vcek: x509.Certificate) -> Check:
    """E06: ECDSA P-384 with SHA-384 over bytes 0 to 0x29F."""
    key = vcek.public_key()
    if report.signature_algorithm != ECDSA_P384_SHA384:
        raise invalid("E06", found=f"signature algorithm {report.signature_algorithm}")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise invalid("E06", found="a VCEK of another kind than P-384")
    try:
        signature = encode_dss_signature(report.signature_r, report.signature_s)
        key.verify(signature, report.signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as error:
        raise invalid("E06") from error
    return Check("E06", "report signed by VCEK")

"""Authentic and in force, or refused: Intel's certificates, CRLs and statements, before anything else reads them.

`dcap_qvl` ends the whole process on some certificates and CRLs that do not belong together, so it sees only bytes that
a pinned root vouches for. Intel PCS API v4 defines the chain for each signature:
PCK ← PCK CA ← root, in the quote · PCK CRL by that CA · root CRL by the root ·
TCB info and QE identity, of the channel "standard" and where it is there of "early" ← TCB signing ← root.
A refusal names the part and what is wrong with it: expired, not yet issued, of another FMSPC, revoked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.checks import Check
from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence import TdCollateral, TdStatements
from cji_attestation.evidence.pck import pck_subject
from cji_attestation.strict import load_pem_chain, parse_object, text_member
from cji_core.certs import CertificateRefused, common_name, spki_sha256
from cji_core.chains import require_chain
from cji_core.strict import JsonObject

MAX_STATEMENT_BYTES: Final = 64 * 1024  # real ones have 6 KiB
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pins:
    roots: tuple[str, ...]
    now: datetime


def authentic_root(
    collateral: TdCollateral, pck_chain: bytes, *, roots: tuple[str, ...], now: datetime
) -> tuple[bytes, Check]:
    """E23, and DER of the pinned root under which all of it is signed; E28 for every other defect."""
    pins = _Pins(roots=roots, now=now)
    pck, ca, root = _chain("PCK", pck_chain, 3, pins)
    crl_ca, crl_root = _chain("PCK CRL", collateral.pck_crl_issuer_chain.encode(), 2, pins)
    if (crl_ca, crl_root) != (ca, root):
        raise invalid("E28", found=f"a PCK CRL of {common_name(crl_ca)}, and a PCK certificate of another authority")
    lists = _crl("PCK CRL", collateral.pck_crl, ca, now), _crl("root CRL", collateral.root_ca_crl, root, now)
    signers = _authentic_statements("", collateral, pins)
    _same_processor(pck_chain, collateral.tcb_info)
    if isinstance(collateral.early, TdStatements):
        signers += _authentic_statements("early ", collateral.early, pins)
        _same_processor(pck_chain, collateral.early.tcb_info)
        _later(collateral.early, collateral)
    _not_revoked(lists[0], (pck,))
    _not_revoked(lists[1], (ca, crl_ca, *signers))
    return root.public_bytes(Encoding.DER), Check("E23", "Intel root pinned")


def _authentic_statements(
    channel: str, statements: TdStatements | TdCollateral, pins: _Pins
) -> tuple[x509.Certificate, ...]:
    """Both statements of an update channel are signed and in force; the certificates of their signers."""
    signers = []
    for name, chain, text, signature in (
        ("TCB info", statements.tcb_info_issuer_chain, statements.tcb_info, statements.tcb_info_signature),
        ("QE identity", statements.qe_identity_issuer_chain, statements.qe_identity, statements.qe_identity_signature),
    ):
        signer, _ = _chain(channel + name, chain.encode(), 2, pins)
        _signed(channel + name, text.encode(), signature, signer)
        _require_in_force(channel + name, *statement_times(channel + name, text), pins.now)
        signers.append(signer)
    return tuple(signers)


def evaluation_of(statement: str) -> int:
    """The tcbEvaluationDataNumber of a statement; EVIDENCE_INVALID "E28"."""
    number = read_statement(statement).get("tcbEvaluationDataNumber")
    if type(number) is not int or number < 0:
        raise invalid("E28", found="a statement without an evaluation number")
    return number


def _later(early: TdStatements, standard: TdCollateral) -> None:
    """Early statements are never older than the standard: then another one was put in their place."""
    for name in ("tcb_info", "qe_identity"):
        if evaluation_of(getattr(early, name)) < evaluation_of(getattr(standard, name)):
            raise invalid("E28", found=f"an early {name} that is older than the standard one")


def read_statement(text: str) -> JsonObject:
    """One of Intel's statements as an object; EVIDENCE_INVALID "E28"."""
    return parse_object(text.encode(), limit=MAX_STATEMENT_BYTES, fault=Fault.EVIDENCE_INVALID, check="E28")


def not_in_force(name: str, begins: datetime, ends: datetime, now: datetime) -> str:
    """The defect of a part that is in force from `begins` to `ends`; empty if that includes `now`."""
    if now < begins:
        return f"{name} not yet issued: in force from {begins}"
    return f"{name} expired: in force until {ends}" if now > ends else ""


def statement_times(name: str, text: str) -> tuple[datetime, datetime]:
    """When a statement was issued, and until when it is in force; EVIDENCE_INVALID "E28"."""
    found = read_statement(text)
    issued, ends = (
        text_member(found, member, fault=Fault.EVIDENCE_INVALID, check="E28") for member in ("issueDate", "nextUpdate")
    )
    try:
        return datetime.strptime(issued, _TIME).replace(tzinfo=UTC), datetime.strptime(ends, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise invalid("E28", found=f"{name} without its times") from error


def fmspc_of(text: str) -> str:
    """The FMSPC that a TCB info is for, 12 hexadecimal digits in upper case; EVIDENCE_INVALID "E28"."""
    return text_member(read_statement(text), "fmspc", fault=Fault.EVIDENCE_INVALID, check="E28").upper()


def _require_in_force(name: str, begins: datetime, ends: datetime, now: datetime) -> None:
    if wrong := not_in_force(name, begins, ends, now):
        raise invalid("E28", found=wrong, expected=f"in force at {now}")


def _chain(name: str, pem: bytes, length: int, pins: _Pins) -> tuple[x509.Certificate, ...]:
    """Exactly `length` certificates and no other text, each signed by the next, the last one pinned and by itself."""
    chain = load_pem_chain(pem, fault=Fault.EVIDENCE_INVALID, check="E28")
    pin = spki_sha256(chain[-1].public_key())
    if pin not in pins.roots:
        raise AttestationError(Fault.UNTRUSTED_ROOT, check="E23", found=f"root key {pin} of the chain of the {name}")
    text = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    # two readers of PEM must not find different certificates
    if len(chain) != length or b"".join(text.split()) != b"".join(pem.split()):
        raise invalid("E28", found=f"{len(chain)} certificates with the {name}, or other text between them")
    for certificate in chain:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _require_in_force(f"certificate {common_name(certificate)}", begins, ends, pins.now)
    try:
        require_chain(chain)
    except CertificateRefused as error:
        raise invalid("E28", found=f"{name}: {error}") from error
    return chain


def _p256(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise invalid("E28", found=f"{common_name(certificate)} with a key that is not P-256")
    return key


def _crl(name: str, data: bytes, issuer: x509.Certificate, now: datetime) -> tuple[str, x509.CertificateRevocationList]:
    """Signed by `issuer` under its exact name, and in force."""
    key = _p256(issuer)
    try:
        crl = x509.load_der_x509_crl(data)
        same = crl.issuer.public_bytes() == issuer.subject.public_bytes() and crl.is_signature_valid(key)
        begins, ends = crl.last_update_utc, crl.next_update_utc
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise invalid("E28", found=f"a {name} that is none") from error
    if not same:
        raise invalid("E28", found=f"a {name} that {common_name(issuer)} did not sign")
    if ends is None:
        raise invalid("E28", found=f"a {name} without an end")
    _require_in_force(name, begins, ends, now)
    return name, crl


def _not_revoked(found: tuple[str, x509.CertificateRevocationList], certificates: Iterable[x509.Certificate]) -> None:
    name, crl = found
    for certificate in certificates:
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            said = f"{common_name(certificate)}, serial {certificate.serial_number:x}"
            raise invalid("E28", found=f"revoked on {entry.revocation_date_utc} by the {name}: {said}")


def _signed(name: str, text: bytes, signature: bytes, signer: x509.Certificate) -> None:
    if len(signature) != 64:
        raise invalid("E28", found=f"a signature of {len(signature)} bytes on the {name}")
    encoded = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        _p256(signer).verify(encoded, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise invalid("E28", found=f"{name} that {common_name(signer)} did not sign") from error


def _same_processor(pck_chain: bytes, tcb_info: str) -> None:
    try:
        quoted = pck_subject(pck_chain).fmspc
    except AttestationError as error:
        raise invalid("E28", found="a PCK certificate that names no processor") from error
    if (listed := fmspc_of(tcb_info)) != quoted:
        raise invalid("E28", found=f"TCB info of FMSPC {listed}", expected=f"of FMSPC {quoted}, as the quote's PCK")

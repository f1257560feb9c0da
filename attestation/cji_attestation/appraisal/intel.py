"""Authentic or refused: Intel's certificates, CRLs and statements, before anything else reads them.

`dcap_qvl` ends the whole process on some certificates and CRLs that do not belong together, so it sees only bytes that
a pinned root vouches for. Intel PCS API v4 defines the chain for each signature:
PCK ← PCK CA ← root, in the quote · PCK CRL by that CA · root CRL by the root ·
TCB info and QE identity ← TCB signing ← root.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation.checks import Check
from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence import TdCollateral
from cji_attestation.strict import load_pem_chain
from cji_core.certs import CertificateRefused, spki_sha256
from cji_core.chains import verify_chain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pins:
    roots: tuple[str, ...]
    now: datetime


def authentic_root(
    collateral: TdCollateral, pck_chain: bytes, *, roots: tuple[str, ...], now: datetime
) -> tuple[bytes, Check]:
    """E23, and DER of the pinned root under which all of it is signed; E28 for every other defect."""
    pins = _Pins(roots=roots, now=now)
    _, ca, root = _chain(pck_chain, 3, pins)
    crl_ca, crl_root = _chain(collateral.pck_crl_issuer_chain.encode(), 2, pins)
    if (crl_ca, crl_root) != (ca, root):
        raise invalid("E28")
    _crl(collateral.pck_crl, ca)
    _crl(collateral.root_ca_crl, root)
    for chain, text, signature in (
        (collateral.tcb_info_issuer_chain, collateral.tcb_info, collateral.tcb_info_signature),
        (collateral.qe_identity_issuer_chain, collateral.qe_identity, collateral.qe_identity_signature),
    ):
        signer, _ = _chain(chain.encode(), 2, pins)
        _statement(text.encode(), signature, signer)
    return root.public_bytes(Encoding.DER), Check("E23", "Intel root pinned")


def _chain(pem: bytes, length: int, pins: _Pins) -> tuple[x509.Certificate, ...]:
    """Exactly `length` certificates and no other text, each signed by the next, the last one pinned and by itself."""
    chain = load_pem_chain(pem, fault=Fault.EVIDENCE_INVALID, check="E28")
    pin = spki_sha256(chain[-1].public_key())
    if pin not in pins.roots:
        raise AttestationError(Fault.UNTRUSTED_ROOT, check="E23", found=f"root key {pin}")
    text = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    # two readers of PEM must not find different certificates
    if len(chain) != length or b"".join(text.split()) != b"".join(pem.split()):
        raise invalid("E28")
    try:
        verify_chain(chain, at=pins.now)
    except CertificateRefused as error:
        raise invalid("E28", found=str(error), expected=f"a chain valid at {pins.now}") from error
    return chain


def _p256(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise invalid("E28")
    return key


def _crl(data: bytes, issuer: x509.Certificate) -> None:
    """Signed by `issuer` under its exact name. Its times and what it revokes are for the quote's verification."""
    try:
        crl = x509.load_der_x509_crl(data)
        same = crl.issuer.public_bytes() == issuer.subject.public_bytes() and crl.is_signature_valid(_p256(issuer))
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise invalid("E28") from error
    if not same:
        raise invalid("E28")


def _statement(text: bytes, signature: bytes, signer: x509.Certificate) -> None:
    if len(signature) != 64:
        raise invalid("E28")
    encoded = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        _p256(signer).verify(encoded, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise invalid("E28") from error

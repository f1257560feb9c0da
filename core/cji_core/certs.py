"""Certificates and keys as bytes that others sent: parse or CertificateRefused, and what one certificate must be.

* `require_in_force`: at that time, first and last second included.
* `require_authority`: a certificate authority (RFC 5280 §4.2.1.9) that may sign certificates (§4.2.1.3) and permits as
  many authorities below it as there are. `require_end_entity`: none, and for the purpose that the caller names.
* Both refuse a critical extension that is not read here. An extension that is there twice makes a certificate
  unreadable. `cji_core.chains` verifies chains of them.
"""

import hashlib
import warnings
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtensionOID

from cji_core.errors import CoreError

MAX_CHAIN_BYTES: Final = 64 * 1024
_READ: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
_T = TypeVar("_T", bound=x509.ExtensionType)


class CertificateRefused(CoreError, ValueError):  # noqa: N818 - what became of it
    """Not a certificate, chain or key that is read here, or not a chain that is accepted; the text names the fault."""

    code = "certificate-refused"
    remedy = "Export it again, as PEM or DER of its own kind."


class WrongKey(CertificateRefused):
    """A public key, of another kind or on another curve."""

    code = "public-key-of-another-kind"


def load_der(data: bytes) -> x509.Certificate:
    """One DER certificate, nothing behind it, a public key of a known kind, and a signature of whole bytes.

    Nobody verifies the signature of a pinned root, so another way to write it would go unnoticed. An extension that is
    there twice, or that cannot be read, makes the certificate unreadable.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # AMD's VCEKs have serial number 0 and will keep it
            certificate = x509.load_der_x509_certificate(data)
            certificate.public_key()
            _ = (certificate.extensions, certificate.subject, certificate.issuer)
        if not data.endswith(b"\0" + certificate.signature):
            raise CertificateRefused("unused bits")
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise CertificateRefused("not a certificate in DER") from error
    return certificate


def load_pem_chain(data: bytes, *, limit: int = MAX_CHAIN_BYTES) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order; no certificate at all is an error."""
    try:
        if len(data) > limit:
            raise CertificateRefused("too long")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see load_der
            found = x509.load_pem_x509_certificates(data)
            der = [certificate.public_bytes(serialization.Encoding.DER) for certificate in found]
    except Exception as error:  # see load_der
        raise CertificateRefused("not certificates in PEM") from error
    return tuple(map(load_der, der))


def load_pem(data: bytes) -> x509.Certificate:
    """The one certificate of a PEM text."""
    found = load_pem_chain(data)
    if len(found) != 1:
        raise CertificateRefused(f"{len(found)} certificates in PEM, not one")
    return found[0]


def load_private_key(data: bytes, passphrase: bytes | None = None) -> PrivateKeyTypes:
    """A private key in PEM of at most 64 KiB, of any kind. Raises CertificateRefused."""
    try:
        if len(data) > MAX_CHAIN_BYTES:
            raise CertificateRefused("too long")
        return serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateRefused("not a private key in PEM, or another passphrase") from error


def load_ec_public_key(data: bytes, *curves: type[ec.EllipticCurve]) -> ec.EllipticCurvePublicKey:
    """A public key in PEM, on one of these curves, or on any if none is named. Raises CertificateRefused."""
    try:
        key = serialization.load_pem_public_key(data)
    except Exception as error:  # see load_der
        raise CertificateRefused("not a public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or (curves and not isinstance(key.curve, curves)):
        raise WrongKey("a key of another kind or curve")
    return key


def spki_sha256(key: PublicKeyTypes) -> str:
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex: what a pin is."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def common_name(certificate: x509.Certificate) -> str:
    """The subject's one common name; empty where it has none, or several."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    """The certificate's extension of this kind; None without one."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def self_issued(certificate: x509.Certificate) -> bool:
    """Whether a certificate names itself as its issuer, as a root does. Says nothing about its signature."""
    return certificate.subject.public_bytes() == certificate.issuer.public_bytes()


def require_in_force(certificate: x509.Certificate, at: datetime) -> None:
    """Raise CertificateRefused unless the certificate is in force at this time, its first and last second included."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins <= at <= ends:
        raise CertificateRefused(f"a certificate valid from {begins} to {ends}")


def require_authority(certificate: x509.Certificate, *, below: int = 0) -> None:
    """Raise CertificateRefused unless it is an authority's that permits `below` authorities under it."""
    constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise CertificateRefused("an issuer that is not a certificate authority")
    if constraints.path_length is not None and constraints.path_length < below:
        raise CertificateRefused(f"{below} authorities below one that permits {constraints.path_length}")
    require_read(certificate)


def require_end_entity(certificate: x509.Certificate, usage: x509.ObjectIdentifier, *, stated: bool = True) -> None:
    """Raise CertificateRefused for an authority's certificate, and for one that is not for `usage`.

    Where not `stated`, one that names no purpose at all serves every purpose (RFC 5280 §4.2.1.12).
    """
    constraints, usages = extension(certificate, x509.BasicConstraints), extension(certificate, x509.ExtendedKeyUsage)
    if constraints is not None and constraints.ca:
        raise CertificateRefused("an authority's certificate in place of one that it issued")
    if usage not in usages if usages is not None else stated:
        raise CertificateRefused("a certificate for another purpose")
    require_read(certificate)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate, which has its name. Says nothing about the issuer's rights."""
    try:
        # compares the signed and the unsigned name of the algorithm as well (RFC 5280 §4.1.1.2)
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False
    return True


def require_read(certificate: x509.Certificate) -> None:
    """Raise CertificateRefused for a critical extension that nobody here reads."""
    for one in certificate.extensions:
        if one.critical and one.oid not in _READ:
            raise CertificateRefused(f"a critical extension that is not read here: {one.oid.dotted_string}")

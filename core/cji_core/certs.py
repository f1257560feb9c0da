"""Certificates and public keys as bytes that others sent: parse or CertificateRefused, and what pins are made of."""

import hashlib
import warnings
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from cji_core.errors import CoreError

MAX_CHAIN_BYTES: Final = 64 * 1024


class CertificateRefused(CoreError, ValueError):  # noqa: N818 - what became of it
    """Not a certificate, chain or public key that is read here."""

    code = "certificate-refused"
    remedy = "Export it again, as PEM or DER of its own kind."


class WrongKey(CertificateRefused):
    """A public key, of another kind or on another curve."""

    code = "public-key-of-another-kind"


def load_der(data: bytes) -> x509.Certificate:
    """One DER certificate, nothing behind it, a public key of a known kind, and a signature of whole bytes.

    Nobody verifies the signature of a pinned root, so another way to write it would go unnoticed.
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


def load_pem_chain(data: bytes) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order; no certificate at all is an error."""
    try:
        if len(data) > MAX_CHAIN_BYTES:
            raise CertificateRefused("too long")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see load_der
            found = x509.load_pem_x509_certificates(data)
            der = [certificate.public_bytes(serialization.Encoding.DER) for certificate in found]
    except Exception as error:  # see load_der
        raise CertificateRefused("not certificates in PEM") from error
    return tuple(map(load_der, der))


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

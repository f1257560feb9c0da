"""Certificates as bytes that others sent: parse or our error, and the digest that pins are made of."""

import hashlib
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from cji_attestation.errors import AttestationError, Fault

MAX_CHAIN_BYTES = 64 * 1024


def load_der(data: bytes, *, fault: Fault, check: str) -> x509.Certificate:
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
            raise ValueError("unused bits")
    except Exception as error:  # the parser has no closed set of errors for hostile input
        raise AttestationError(fault, check=check) from error
    return certificate


def load_pem_chain(data: bytes, *, fault: Fault, check: str) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order; no certificate at all is an error."""
    try:
        if len(data) > MAX_CHAIN_BYTES:
            raise ValueError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see load_der
            found = x509.load_pem_x509_certificates(data)
            der = [certificate.public_bytes(serialization.Encoding.DER) for certificate in found]
    except Exception as error:  # see load_der
        raise AttestationError(fault, check=check) from error
    return tuple(load_der(one, fault=fault, check=check) for one in der)


def spki_sha256(key: PublicKeyTypes) -> str:
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex: what a pin is."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def common_name(certificate: x509.Certificate) -> str:
    """The subject's one common name; empty where it has none, or several."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""

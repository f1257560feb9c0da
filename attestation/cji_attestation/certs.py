"""Certificates (`cji_core.certs`) in the faults of this package."""

from cryptography import x509

from cji_attestation.errors import AttestationError, Fault
from cji_core import certs
from cji_core.certs import CertificateRefused


def load_der(data: bytes, *, fault: Fault, check: str) -> x509.Certificate:
    """One DER certificate, nothing behind it, a public key of a known kind, and a signature of whole bytes."""
    try:
        return certs.load_der(data)
    except CertificateRefused as error:
        raise AttestationError(fault, check=check) from error


def load_pem_chain(data: bytes, *, fault: Fault, check: str) -> tuple[x509.Certificate, ...]:
    """Every certificate of a PEM text, in its order; no certificate at all is an error."""
    try:
        return certs.load_pem_chain(data)
    except CertificateRefused as error:
        raise AttestationError(fault, check=check) from error

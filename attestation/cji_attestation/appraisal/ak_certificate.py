"""The certificate of the vTPM's attestation key, and who issued it (E44).

A bundle has the certificate and, behind it, those of its issuers up to a root: X.509 in DER, one after the other. Azure
issues it below "Azure Virtual TPM Root Certificate Authority 2023", with the purpose of TCG's "EK Credential Profile",
tcg-kp-AIKCertificate. Some machines have none; then the hardware report alone vouches for the key, and the verdict says
so. A certificate that leads nowhere is refused.
"""

from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from cji_attestation.appraisal.azure import VtpmRoot, knows_root
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence import ak_chain
from cji_attestation.strict import load_der
from cji_core.certs import spki_sha256

T = TypeVar("T", bound=x509.ExtensionType)
AIK_CERTIFICATE: Final = x509.ObjectIdentifier("2.23.133.8.3")


def certificates_in(data: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle's `ak_cert`: none, or the AK's own first. EVIDENCE_INVALID "E22"."""
    return tuple(load_der(one, fault=Fault.EVIDENCE_INVALID, check="E22") for one in ak_chain(data))


def check_ak_issuer(data: bytes, *, added: tuple[VtpmRoot, ...], now: datetime) -> Check:
    """E44: each certificate is in force and issued by the next one, the last one by itself, and it is a pinned root."""
    chain = certificates_in(data)
    if not chain:
        return Skipped("E44", "no certificate: the hardware report alone vouches for the AK")
    pin = spki_sha256(chain[-1].public_key())
    if not knows_root(pin, added):
        issuer = chain[-1].issuer.rfc4514_string()
        raise AttestationError(Fault.UNTRUSTED_ROOT, check="E44", found=f"a chain that ends below {issuer}, key {pin}")
    usages = _extension(chain[0], x509.ExtendedKeyUsage)
    if usages is None or AIK_CERTIFICATE not in usages:
        raise invalid("E44", found="a certificate for another purpose")
    for one in chain:
        begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
        if not begins <= now <= ends:
            raise invalid("E44", found=f"a certificate valid from {begins} to {ends}", expected=f"valid at {now}")
    if len(set(chain)) != len(chain):
        raise invalid("E44", found="a certificate twice")
    for below, (certificate, above) in enumerate(zip(chain, (*chain[1:], chain[-1]), strict=True)):
        _check_issued(certificate, above, below=min(below, len(chain) - 2))
    return Check("E44", f"AK certified below root key {pin}")


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate, *, below: int) -> None:
    """`below` counts the authorities between `issuer` and the AK."""
    constraints = _extension(issuer, x509.BasicConstraints)
    authority = (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= below)
    )
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError) as error:
        raise invalid("E44", found="a certificate that the next one did not sign") from error
    if not authority:
        raise invalid("E44", found="an issuer that is not a certificate authority")


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None

"""The certificate of the vTPM's attestation key, and who issued it (E44).

A bundle has the certificate and, behind it, those of its issuers up to a root: X.509 in DER, one after the other. Azure
issues it below "Azure Virtual TPM Root Certificate Authority 2023", with the purpose of TCG's "EK Credential Profile",
tcg-kp-AIKCertificate. Some machines have none; then the hardware report alone vouches for the key, and the verdict says
so. A certificate that leads nowhere is refused.
"""

from datetime import datetime
from typing import Final

from cryptography import x509

from cji_attestation.appraisal.azure import VtpmRoot, knows_root
from cji_attestation.checks import Check, Skipped
from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence import ak_chain
from cji_attestation.strict import load_der
from cji_core.certs import CertificateRefused, require_end_entity, spki_sha256
from cji_core.chains import verify_chain

AIK_CERTIFICATE: Final = x509.ObjectIdentifier("2.23.133.8.3")


def certificates_in(data: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle's `ak_cert`: none, or the AK's own first. EVIDENCE_INVALID "E22"."""
    return tuple(load_der(one, fault=Fault.EVIDENCE_INVALID, check="E22") for one in ak_chain(data))


def check_ak_issuer(data: bytes, *, added: tuple[VtpmRoot, ...], now: datetime, required: bool = False) -> Check:
    """E44: each certificate is in force and issued by the next one, the last one by itself, and it is a pinned root."""
    chain = certificates_in(data)
    if not chain and required:
        found, expected = "an attestation key without a certificate", "one, as `ak_certificate` requires"
        raise AttestationError(Fault.POLICY_MISMATCH, check="E44", found=found, expected=expected)
    if not chain:
        return Skipped("E44", "no certificate: the hardware report alone vouches for the AK")
    pin = spki_sha256(chain[-1].public_key())
    if not knows_root(pin, added):
        issuer = chain[-1].issuer.rfc4514_string()
        raise AttestationError(Fault.UNTRUSTED_ROOT, check="E44", found=f"a chain that ends below {issuer}, key {pin}")
    try:
        require_end_entity(chain[0], AIK_CERTIFICATE)
        verify_chain(chain, at=now)
    except CertificateRefused as error:
        raise invalid("E44", found=str(error), expected=f"a chain valid at {now}") from error
    return Check("E44", f"AK certified below root key {pin}")

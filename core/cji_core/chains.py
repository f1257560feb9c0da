"""Chains of certificates: every one is verified here, with the same rules whatever it is for.

A caller adds its roots, its time and the purpose:
* every certificate is in force at that time, and no critical extension is left unread;
* an issuer is a certificate authority (`cji_core.certs.require_authority`) with the name that the issued one names;
* a certificate appears once, and the last one of an ordered chain issued itself.
`verify_chain` and `require_chain` are for chains in a given order up to a root that the caller pins by its key;
`verify_server` and `verify_stamping` find a path to roots themselves, by the profile of the Web PKI.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from cji_core.certs import (
    CertificateRefused,
    extension,
    require_authority,
    require_end_entity,
    require_in_force,
    require_read,
    signed_by,
)

MAX_DEPTH: Final = 4  # authorities between a root and the certificate at the end of a path


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The sorted host names in the alternative names of a certificate that has no other kind; () otherwise."""
    names = extension(certificate, x509.SubjectAlternativeName) or ()
    found = tuple(sorted(name.value for name in names if isinstance(name, x509.DNSName)))
    return found if len(found) == len(list(names)) else ()


def require_issued(certificate: x509.Certificate, issuer: x509.Certificate, *, below: int = 0) -> None:
    """Raise CertificateRefused unless `issuer`, an authority with `below` others under it, signed the certificate."""
    require_authority(issuer, below=below)
    require_read(certificate)
    if not signed_by(certificate, issuer):
        raise CertificateRefused("a certificate that the next one did not sign")


def require_chain(chain: Sequence[x509.Certificate]) -> None:
    """Raise CertificateRefused unless each certificate was issued by the next one, and the last one by itself."""
    if not chain or len(set(chain)) != len(chain):
        raise CertificateRefused("a certificate twice, or none")
    for number, (certificate, issuer) in enumerate(zip(chain, (*chain[1:], chain[-1]), strict=True)):
        require_issued(certificate, issuer, below=max(0, min(number, len(chain) - 2)))


def verify_chain(chain: Sequence[x509.Certificate], *, at: datetime) -> None:
    """As `require_chain`, and every certificate is in force. Whether the root is trusted is for the caller."""
    for certificate in chain:
        require_in_force(certificate, at)
    require_chain(chain)


def verify_server(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    roots: Sequence[x509.Certificate],
    at: datetime,
    names: Sequence[x509.DNSName | x509.IPAddress],
) -> tuple[x509.Certificate, ...]:
    """The path from a server's certificate, which is for all these names, to one of the roots, the root included."""
    try:
        policy = PolicyBuilder().store(Store(list(roots))).time(at).max_chain_depth(MAX_DEPTH)
        paths = [policy.build_server_verifier(name).verify(leaf, list(others)) for name in names]
        return tuple(paths[0])
    except (VerificationError, ValueError, IndexError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateRefused("no path to a root for this server at this time") from error


def verify_stamping(
    signer: x509.Certificate, others: Sequence[x509.Certificate], *, roots: Sequence[x509.Certificate], at: datetime
) -> None:
    """The signer's one purpose is to stamp, and is critical (RFC 3161 §2.3). Raises CertificateRefused."""
    require_end_entity(signer, ExtendedKeyUsageOID.TIME_STAMPING)
    purpose = ExtensionPolicy.permit_all().require_present(x509.ExtendedKeyUsage, Criticality.CRITICAL, _stamps)
    try:
        policy = (
            PolicyBuilder()
            .store(Store(list(roots)))
            .time(at)
            .max_chain_depth(MAX_DEPTH)
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=purpose)
        )
        policy.build_client_verifier().verify(signer, list(others))
    except (VerificationError, ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateRefused("no path to a root for stamping at this time") from error


def _stamps(_: Policy, __: x509.Certificate, usages: x509.ExtendedKeyUsage) -> None:
    if list(usages) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise ValueError("a certificate for another purpose")

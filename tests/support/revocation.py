"""Certificate revocation lists of throw-away authorities."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from cji_simulator.certificates import Credential

__all__ = ["crl"]

DAY = timedelta(days=1)


def crl(
    ca: Credential,
    revoked: Iterable[int] = (),
    *,
    begin: datetime | None = None,
    end: datetime | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    entry_extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    key: Any = None,
    issuer: x509.Name | None = None,
) -> bytes:
    """A list in PEM: from an hour ago for a day, signed by the authority, unless another time, name or key is given."""
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer or ca.certificate.subject)
        .last_update(begin or now - timedelta(hours=1))
        .next_update(end or now + DAY)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(hours=2))
        for value, critical in entry_extensions:
            entry = entry.add_extension(value, critical=critical)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

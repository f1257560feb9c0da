"""AMD's key distribution service: the revocation list of a product, and the certificates that it is checked with.

For operators (`cji crl fetch`), and for submitters who keep evidence (`cji_attestation.archive`); no worker uses it.
The service is not trusted: `cji_attestation.appraisal.crl` verifies both answers under the pinned root. AMD 57230,
"/vcek/v1/{product}/cert_chain" and "/vcek/v1/{product}/crl".
"""

import time
from dataclasses import dataclass
from typing import Final

from cji_attestation.evidence.service import TOTAL_SECONDS, request_until
from cji_attestation.trust import Trust, endpoint

_CHECK: Final = "amd-kds"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCrl:
    """Two answers that nobody has verified yet: PEM of ASK and ARK, DER of the CRL."""

    chain: bytes
    crl: bytes


def fetch_crl(trust: Trust, product: str, *, seconds: float = TOTAL_SECONDS) -> PublishedCrl:
    """The answers of the service for a product; EVIDENCE_UNAVAILABLE "amd-kds" if it does not answer in time."""
    service = endpoint(trust.amd_kds, (trust.amd_kds,), resource="", check=_CHECK)
    until = time.monotonic() + seconds

    def get(name: str) -> bytes:
        path = f"/vcek/v1/{product}/{name}"
        return request_until(service, path=path, headers={}, roots=trust.tls_roots, until=until, check=_CHECK).body

    return PublishedCrl(chain=get("cert_chain"), crl=get("crl"))

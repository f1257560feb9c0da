"""The three roles of certificates, and who may connect to whom.

A role is a DNS name in the certificate. TLS itself checks the name of the side that listens; the side that listens
checks that of its caller. Dask alone would accept any certificate of the authority in any role.

    conductor ─▶ scheduler ◀─▶ worker

The scheduler answers conductors, and of workers only what workers send; a worker answers the scheduler alone.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["CONNECTS_TO", "Role", "role_of"]

_DOMAIN: Final = "cji-engine"


class Role(enum.StrEnum):
    """The part of a process in the engine, as its certificate states."""

    SCHEDULER = "scheduler"
    WORKER = "worker"
    CONDUCTOR = "conductor"

    @property
    def host(self) -> str:
        """The DNS name of the role."""
        return f"{self}.{_DOMAIN}"


CONNECTS_TO: Final = {
    Role.SCHEDULER: Role.WORKER,
    Role.WORKER: Role.SCHEDULER,
    Role.CONDUCTOR: Role.SCHEDULER,
}


def role_of(certificate: Mapping[str, Any] | None) -> Role | None:
    """The role of a peer, of its verified certificate as `ssl.SSLSocket.getpeercert` returns it; None for no role."""
    names = (certificate or {}).get("subjectAltName", ())
    found = [role for role in Role if ("DNS", role.host) in names]
    return found[0] if len(found) == 1 else None

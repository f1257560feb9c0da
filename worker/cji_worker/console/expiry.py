"""Everything that expires and then stops the worker, or puts it out of policy: one row each.

Page, gauges and alert rules have the same subjects and the same warnings (a test compares the rules with this table).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from cji_worker.console.view import View, moment

Subject = Literal[
    "key",
    "evidence",
    "token",
    "certificate",
    "authorities",
    "revocation_lists",
    "policy",
    "advisories",
    "acceptance",
    "review",
]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """One subject: its end in a view, None if it has none there; the time before its end from which to act."""

    subject: Subject
    title: str
    end: Callable[[View], datetime | None]
    warn_s: int
    span_s: int
    """The time that fills its bar."""
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The time that is left of one subject, negative once it has expired."""

    of: Expiring
    end: datetime
    seconds: float

    @property
    def urgent(self) -> bool:
        """Whether somebody must act."""
        return self.seconds <= self.of.warn_s


def _first_key(view: View) -> datetime | None:
    keys = view.status.keys if view.status else None
    return min((moment(key.until) for key in keys), default=None) if keys else None


def _ends(
    name: Literal["evidence", "token", "policy", "advisories", "acceptance"],
) -> Callable[[View], datetime | None]:
    def end(view: View) -> datetime | None:
        until = view.status.until if view.status else None
        found: str | None = None if until is None else getattr(until, name)
        return None if found is None else moment(found)

    return end


def _clients(name: Literal["authorities_until", "crl_until"]) -> Callable[[View], datetime | None]:
    def end(view: View) -> datetime | None:
        clients = view.status.clients if view.status else None
        found: str | None = None if clients is None else getattr(clients, name)
        return None if found is None else moment(found)

    return end


EXPIRING: Final = (
    Expiring(
        subject="key",
        title="Released key",
        end=_first_key,
        warn_s=_HOUR // 4,
        span_s=_HOUR,
        remedy="It is renewed within half of its lifetime: find out why the renewal fails in the worker's log.",
    ),
    Expiring(
        subject="evidence",
        title="Evidence of the machine",
        end=_ends("evidence"),
        warn_s=_HOUR // 4,
        span_s=_HOUR,
        remedy="It is renewed with the key: find the failed check in the worker's log.",
    ),
    Expiring(
        subject="token",
        title="Attestation token",
        end=_ends("token"),
        warn_s=_HOUR,
        span_s=8 * _HOUR,
        remedy="It is renewed with the evidence: check that the attestation provider can be reached.",
    ),
    Expiring(
        subject="certificate",
        title="Server certificate",
        end=lambda view: view.certificate_until,
        warn_s=21 * _DAY,
        span_s=90 * _DAY,
        remedy="Install a new certificate with its key, then run systemctl reload cji-door.",
    ),
    Expiring(
        subject="authorities",
        title="Client authorities",
        end=_clients("authorities_until"),
        warn_s=60 * _DAY,
        span_s=365 * _DAY,
        remedy="Put the authority's new certificate into client_roots, then run cji reload.",
    ),
    Expiring(
        subject="revocation_lists",
        title="Revocation lists",
        end=_clients("crl_until"),
        warn_s=2 * _DAY,
        span_s=14 * _DAY,
        remedy="Install a new client_crl, then run cji reload. After its end every call is refused.",
    ),
    Expiring(
        subject="policy",
        title="Agreements in the policy",
        end=_ends("policy"),
        warn_s=30 * _DAY,
        span_s=365 * _DAY,
        remedy="Renew the agreement, put its dates into the policy, then run cji reload.",
    ),
    Expiring(
        subject="advisories",
        title="Table of advisories",
        end=_ends("advisories"),
        warn_s=30 * _DAY,
        span_s=365 * _DAY,
        remedy="Review the vendors' bulletins and sign a new table. After its last day all evidence is refused.",
    ),
    Expiring(
        subject="acceptance",
        title="Accepted advisories",
        end=_ends("acceptance"),
        warn_s=30 * _DAY,
        span_s=365 * _DAY,
        remedy="Decide again: sign a new acceptance with cji advisories accept, or update the firmware.",
    ),
    Expiring(
        subject="review",
        title="Weekly review",
        end=lambda view: view.reviews.due if view.reviews else None,
        warn_s=2 * _DAY,
        span_s=14 * _DAY,
        remedy="Run cji audit review for the week, then have a reviewer sign it.",
    ),
)
"""In the order of the page."""


def left(view: View) -> Iterator[Left]:
    """The subjects that have an end, in the order of the table."""
    for each in EXPIRING:
        end = each.end(view)
        if end is not None:
            yield Left(of=each, end=end, seconds=(end - view.at).total_seconds())

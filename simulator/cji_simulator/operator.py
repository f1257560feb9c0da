"""The operator of a site: reviews the vendors' bulletins, accepts what stays open, and signs both.

The files are those that `cji advisories update` and `cji advisories accept` write, under a key of this operator's own.
Worker and submitter pin its public part, as they would in production; nothing in either of them is any different here.
"""

import functools
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, get_args

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal.advisories import SHIPPED, Acceptance, Scope, sign_acceptance, sign_table
from cji_core.jose import canonical_jwk

__all__ = ["MACHINES", "Operator", "operator"]

MACHINES: Final[tuple[Scope, ...]] = tuple(machine for one in get_args(Scope) for machine in get_args(one) or (one,))
_REVIEW: Final = timedelta(days=30)


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One signing key, and what is signed with it. Days are UTC; `None` is yesterday, or a month later."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    @property
    def signer(self) -> str:
        """The public half, as a configuration pins it."""
        return canonical_jwk(self.key.public_key())

    def table(self, *, reviewed: date | None = None, expires: date | None = None, **changes: Any) -> bytes:
        """The shipped table after another review; `changes` replace other fields of it."""
        at = reviewed or max(_today() - timedelta(days=1), SHIPPED.reviewed)
        values = {"reviewed": at, "expires": expires or at + _REVIEW, **changes}
        return sign_table(msgspec.structs.replace(SHIPPED, **values), self.key)

    def acceptance(self, *advisories: str, **changes: Any) -> bytes:
        """A decision to accept these advisories, or all that the table has, on every kind of machine."""
        values: dict[str, Any] = {
            "version": 1,
            "id": "site-1",
            "machines": MACHINES,
            "advisories": advisories or tuple(row.id for row in SHIPPED.rows),
            "since": _today() - timedelta(days=1),
            "until": _today() + _REVIEW,
            "reason": "no host without them is on sale",
            "decided_by": "the site's security officer",
            **changes,
        }
        return sign_acceptance(Acceptance(**values), self.key)

    def reference(self, **values: Any) -> dict[str, Any]:
        """Reference values, as fields of `ReferenceValues`: this operator's, and `values`."""
        given = {"advisory_signers": (self.signer,), "advisories": _table(self), "acceptances": (_acceptance(self),)}
        return given | values


@functools.cache
def operator() -> Operator:
    """The one operator of everything in this process."""
    return Operator()


@functools.cache
def _table(of: Operator) -> bytes:
    return of.table()


@functools.cache
def _acceptance(of: Operator) -> bytes:
    return of.acceptance()

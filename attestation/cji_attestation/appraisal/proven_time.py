"""The time of an appraisal after the fact: proven, never taken from a file's own claim (E52).

Each proof shows that the evidence existed at some time. The latest one counts: certificates must still have been in
force then, and what was revoked until then is revoked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cji_attestation.checks import Check
from cji_attestation.errors import invalid
from cji_attestation.evidence import TpmClock

MOST_MILLISECONDS: Final = 366 * 86_400_000
"""Of a TPM's clock between two quotes: longer than any token is in force, and short enough to be added to a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenTime:
    """A time at which the evidence existed, and what proves that."""

    at: datetime
    by: str


def latest_proven(proofs: Iterable[ProvenTime], *, claimed: datetime) -> tuple[ProvenTime, Check]:
    """E52. `claimed` is the file's own time, which a refusal names."""
    found = sorted(proofs, key=lambda one: one.at)
    if not found:
        raise invalid("E52", found=f"the file's own claim, {claimed.isoformat(timespec='seconds')}")
    return found[-1], Check("E52", f"{found[-1].at.isoformat(timespec='seconds')}, by {found[-1].by}")


def shown_later(issued: int, earlier: TpmClock, later: TpmClock) -> datetime:
    """When a machine made its later quote, if a token was issued for its earlier one at `issued`, seconds since 1970.

    The token was issued after the earlier quote, so the later one existed then. That both clocks are of one TPM in one
    boot, and go forward, is for E35.
    """
    passed = min(max(0, later.clock - earlier.clock), MOST_MILLISECONDS)
    return datetime.fromtimestamp(issued, UTC) + timedelta(milliseconds=passed)

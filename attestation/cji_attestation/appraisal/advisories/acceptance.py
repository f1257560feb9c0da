"""Risk acceptances: a signed decision to use machines on which advisories are open, until a day.

It names every advisory and every stepping that it is for. What it does not name, it does not accept.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, Literal

import msgspec

from cji_attestation.appraisal.advisories.evaluate import SETTLED, AdvisoryFinding
from cji_attestation.appraisal.advisories.products import Stepping
from cji_attestation.appraisal.advisories.table import day_of, sound_ids

Scope = Literal[Stepping, "TDX"]
"""A stepping of AMD's, or Intel's trust domains, whose open advisories Intel names."""

LONGEST_ACCEPTANCE: Final = 366  # days
MOST_TEXT: Final = 1000  # characters


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision to accept advisories on some kinds of machine, from a day to the end of a day, UTC."""

    version: Literal[1]
    id: str
    machines: tuple[Scope, ...]
    advisories: tuple[str, ...]
    since: date
    until: date
    reason: str
    decided_by: str

    def refusal(self, advisory: str, machine: Scope | None, now: datetime) -> str:
        """Why it does not accept this advisory on this kind of machine now; empty if it does."""
        if advisory not in self.advisories:
            return f"{self.id} does not name it"
        if machine not in self.machines:
            return f"{self.id} is for {', '.join(self.machines)}"
        if day_of(now) < self.since:
            return f"{self.id} begins on {self.since}"
        return f"{self.id} expired on {self.until}" if day_of(now) > self.until else ""


def sound_acceptance(found: Acceptance) -> bool:
    """Whether the decision is whole: something is accepted somewhere, by somebody, for a reason, for at most a year."""
    return (
        sound_ids((found.id,))
        and sound_ids(found.machines)
        and sound_ids(found.advisories)
        and 0 <= (found.until - found.since).days <= LONGEST_ACCEPTANCE
        and all(0 < len(text.strip()) <= len(text) <= MOST_TEXT for text in (found.reason, found.decided_by))
    )


def accepted(
    findings: Iterable[AdvisoryFinding], acceptances: tuple[Acceptance, ...], machine: Scope | None, now: datetime
) -> tuple[AdvisoryFinding, ...]:
    """The findings, each that needs an acceptance and has one with its id."""
    return tuple(
        one if one.state in SETTLED else one._replace(accepted_by=_acceptance_of(one.id, acceptances, machine, now))
        for one in findings
    )


def why_not(finding: AdvisoryFinding, acceptances: tuple[Acceptance, ...], machine: Scope | None, now: datetime) -> str:
    """Why no acceptance covers a finding: of those that name the advisory, or of none."""
    named = [one.refusal(finding.id, machine, now) for one in acceptances if finding.id in one.advisories]
    return "; ".join(named) if named else "no acceptance names it"


def _acceptance_of(advisory: str, acceptances: tuple[Acceptance, ...], machine: Scope | None, now: datetime) -> str:
    return next((one.id for one in acceptances if not one.refusal(advisory, machine, now)), "")

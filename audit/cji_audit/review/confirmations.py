"""Confirmations of counts that recipients signed, compared with the receipts in the trails.

Whatever the week of a job is, its confirmation counts in the review that is given it: a late one is missed by none. The
keys are those that the policy of the job names, so the reviewer gives the policies that were in force.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_audit.review.findings import Findings
from cji_audit.review.model import ConfirmationState, Confirmed, Place
from cji_audit.review.receipt_folder import texts
from cji_core.format.job import Policy
from cji_core.trail.chain import Record
from cji_core.trail.confirmations import (
    ConfirmationError,
    VerifiedConfirmation,
    confirmation_unverified,
    confirmed_by,
)
from cji_core.trail.events import JobCompleted
from cji_core.trail.short_receipts import Stated

MOST_CONFIRMATIONS: Final = 100_000
MOST_LISTED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A folder of confirmations, every `.jws` file below it, and the policies of their jobs."""

    folder: Path
    policies: tuple[Policy, ...]


class Confirmations:
    """The confirmations of a folder while the trails are read."""

    def __init__(self, sources: Sources, findings: Findings) -> None:
        """Read all of them. Raises OSError, or ValueError beyond MOST_CONFIRMATIONS."""
        self._findings = findings
        self._policies: Mapping[str, Policy] = {policy.sha384.hex(): policy for policy in sources.policies}
        self._waiting: dict[str, list[tuple[str, str]]] = {}
        self._found: list[Confirmed] = []
        self._differing = self._refused = 0
        for number, (name, text) in enumerate(texts(sources.folder)):
            if number >= MOST_CONFIRMATIONS:
                raise ValueError(f"more than {MOST_CONFIRMATIONS} confirmations")
            try:
                self._waiting.setdefault(confirmation_unverified(text).receipt_sha384, []).append((name, text))
            except ConfirmationError as error:
                self._refuse(name, error.fault)

    def completed(self, record: Record, event: JobCompleted, receipt: Stated, place: Place) -> None:
        """A completion in any week, with its receipt."""
        seen = set[str]()
        for name, text in self._waiting.pop(receipt.sha384, ()):
            try:
                found = self._verified(text, receipt)
            except ConfirmationError as error:
                self._refuse(name, error.fault)
                continue
            if found.key_id in seen:
                self._refuse(name, "doubled")
                continue
            seen.add(found.key_id)
            self._add(record, event, place, found)

    def finish(self) -> ConfirmationState:
        """The comparison, once all trails were read."""
        return ConfirmationState(
            confirmed=tuple(self._found[:MOST_LISTED]),
            more=len(self._found[MOST_LISTED:]),
            differing=self._differing,
            refused=self._refused,
            others=sum(map(len, self._waiting.values())),
        )

    def _verified(self, text: str, receipt: Stated) -> VerifiedConfirmation:
        policy = self._policies.get(receipt.claims.policy_sha384)
        if policy is None:
            raise ConfirmationError("policy")
        return confirmed_by(text, policy, receipt=receipt.claims, receipt_sha384=receipt.sha384)

    def _add(self, record: Record, event: JobCompleted, place: Place, found: VerifiedConfirmation) -> None:
        if found.differences:
            self._differing += 1
            job = f"job {event.job_id}"
            self._findings.see("confirmation_differs", job, place, record.time, detail=found.words)
            return
        self._found.append(
            Confirmed(
                job_id=event.job_id,
                worker=record.worker,
                recipient=found.claims.recipient,
                key=found.key_id,
                confirmed=found.claims.confirmed,
                place=place,
            )
        )

    def _refuse(self, name: str, fault: str) -> None:
        self._refused += 1
        self._findings.state("confirmation_refused", name, detail=fault)


def not_checked(findings: Findings, rules: Iterable[str] = ("confirmation_differs", "confirmation_refused")) -> None:
    """Without a folder of confirmations, their rules were not applied."""
    for rule in rules:
        findings.not_checked(rule, "no folder of confirmations was given")

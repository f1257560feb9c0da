"""A retention log, read record by record: a watcher without I/O, and the rules that every record keeps.

`Log.take` adds the next record. A record that is not of the chain raises RetentionLogError: form, key, signature,
number, previous, account. A record of the chain that breaks a rule of retention is taken, with a finding:

    early      a deletion that was recorded before its time was over, or whose times do not follow from its rule
    held       a deletion of a job that the log had on hold
    outcome    outcomes without their deletion, a second time, or of another number of blobs
    purged     a purge of what was not deleted, or before the service erases it
    release    a release of a hold that is not in force
    time       a time before that of an earlier record
    unfinished a deletion without its outcome, at the end
    receipt    with receipts that were kept (`compare`): the deletion names another one, or the job ended later
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from msgspec import UNSET

from cji_audit.errors import AuditError
from cji_audit.retention.records import (
    FIRST_PREVIOUS,
    Deleted,
    Deletion,
    Hold,
    Purged,
    Record,
    Release,
    digest,
    verify_record,
)
from cji_audit.retention.rules import ending
from cji_core.jose import VerifyingKey
from cji_core.trail.compact import ReceiptError, key_id_unverified
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.receipts import claims_unverified, receipt_sha384

Fault = Literal["form", "key", "signature", "number", "previous", "account"]
RuleId = Literal["early", "held", "outcome", "purged", "release", "time", "unfinished", "receipt"]
Keys = Mapping[str, VerifyingKey]


class RetentionLogError(AuditError):
    """A record that is not the next one of this log. `fault` is one of the list above, `number` that of the record."""

    code = "retention-log-invalid"
    remedy = (
        "Compare the container with your copy of the log. A record by an unknown key needs its public key among the "
        "signers; a record that was changed or is missing is an incident."
    )

    def __init__(self, fault: Fault, number: int) -> None:
        super().__init__(fault, number)
        self.fault: Final = fault
        self.number: Final = number

    def __str__(self) -> str:
        return f"record {self.number} of the retention log is refused: {self.fault}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A record that breaks a rule, or leaves something open."""

    rule: RuleId
    number: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposed:
    """A deletion with its outcome; `record` is that of the outcome, with its time and its maker."""

    deletion: Deletion
    deleted: Deleted
    record: Record

    @property
    def recoverable_until(self) -> str:
        """When the service erases the last of it; empty if it keeps nothing."""
        times = (each.recoverable_until for each in self.deleted.outcomes)
        return max((each for each in times if each is not UNSET), default="")

    @property
    def kept(self) -> int:
        """How many blobs the service refused to delete."""
        return sum(each.state == "kept" for each in self.deleted.outcomes)


@dataclass(slots=True)
class Log:
    """The log so far. `keys` are those whose records count, by thumbprint."""

    keys: Keys
    account: str = ""
    size: int = 0
    head: str = FIRST_PREVIOUS
    time: str = ""
    cases: dict[str, set[str]] = field(default_factory=dict)
    """Jobs on hold, by case."""
    released: dict[str, set[str]] = field(default_factory=dict)
    """Jobs that a case held once."""
    open: dict[int, Deletion] = field(default_factory=dict)
    """Deletions without an outcome."""
    deleted: dict[int, Disposed] = field(default_factory=dict)
    """By the number of the deletion."""
    purged: set[int] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    signers: set[str] = field(default_factory=set)

    @property
    def on_hold(self) -> set[str]:
        """All jobs on hold."""
        return set[str]().union(*self.cases.values())

    def take(self, document: str) -> Record:
        """Add the next record. Raises RetentionLogError."""
        record = self.check(document)
        self.account = record.account
        self.signers.add(key_id_unverified(document))
        if record.time < self.time:
            self._note("time", record, f"it is of {record.time}, an earlier record of {self.time}")
        match record.act:
            case Hold() as hold:
                self.cases.setdefault(hold.case, set()).update(hold.jobs)
            case Release() as release:
                self._release(record, release)
            case Deletion() as deletion:
                self._deletion(record, deletion)
            case Deleted() as deleted:
                self._deleted(record, deleted)
            case Purged() as purged:
                self._purged(record, purged)
        self.size, self.head, self.time = self.size + 1, digest(document), max(self.time, record.time)
        return record

    def is_erased(self, number: int) -> bool:
        """Whether a record confirms that the service lists nothing more of this deletion, of which it kept nothing."""
        return number in self.purged and not self.deleted[number].kept

    def end(self) -> list[Finding]:
        """All findings, those of what is open at the end included."""
        left = (
            Finding(
                rule="unfinished", number=number, what=f"the deletion of {each.area} of job {each.job} has no outcome"
            )
            for number, each in sorted(self.open.items())
        )
        return [*self.findings, *left]

    def check(self, document: str) -> Record:
        """The record, if it is the next one; nothing is added. Raises RetentionLogError."""
        try:
            kid = key_id_unverified(document)
        except ReceiptError as error:
            raise RetentionLogError("form", self.size) from error
        if kid not in self.keys:
            raise RetentionLogError("key", self.size)
        try:
            record = verify_record(document, self.keys[kid])
        except ReceiptError as error:
            raise RetentionLogError("signature" if error.field == "signature" else "form", self.size) from error
        if record.number != self.size:
            raise RetentionLogError("number", self.size)
        if record.previous_sha384 != self.head:
            raise RetentionLogError("previous", self.size)
        if self.account not in {"", record.account}:
            raise RetentionLogError("account", self.size)
        return record

    def _release(self, record: Record, act: Release) -> None:
        held = self.cases.get(act.case, set())
        if not held.issuperset(act.jobs):
            self._note("release", record, f"case {act.case} does not hold all of these jobs")
        held.difference_update(act.jobs)
        self.released.setdefault(act.case, set()).update(act.jobs)
        if not held:
            self.cases.pop(act.case, None)

    def _deletion(self, record: Record, act: Deletion) -> None:
        if act.job in self.on_hold:
            cases = sorted(case for case, jobs in self.cases.items() if act.job in jobs)
            self._note("held", record, f"job {act.job} was on hold for {', '.join(cases)}")
        if (why := _early(record.time, act)) is not None:
            self._note("early", record, why)
        self.open[record.number] = act

    def _deleted(self, record: Record, act: Deleted) -> None:
        deletion = self.open.pop(act.of, None)
        if deletion is None:
            self._note("outcome", record, f"record {act.of} is not a deletion without an outcome")
            return
        if len(deletion.blobs) != len(act.outcomes):
            self._note("outcome", record, f"record {act.of} has another number of blobs")
            return
        self.deleted[act.of] = Disposed(deletion=deletion, deleted=act, record=record)

    def _purged(self, record: Record, act: Purged) -> None:
        for number in act.of:
            if number not in self.deleted or number in self.purged:
                self._note("purged", record, f"record {number} is not a deletion whose outcome waits for this")
            elif record.time < self.deleted[number].recoverable_until:
                self._note("purged", record, f"what record {number} deleted could still be recovered")
            self.purged.add(number)

    def _note(self, rule: RuleId, record: Record, what: str) -> None:
        self.findings.append(Finding(rule=rule, number=record.number, what=what))


def waits_for_purge(log: Log, now: str) -> list[int]:
    """Deletions of which all that was deleted should be erased by now, and no record confirms it."""
    return [
        number
        for number, each in sorted(log.deleted.items())
        if number not in log.purged and each.recoverable_until <= now and each.kept < len(each.deleted.outcomes)
    ]


def read_log(documents: Iterable[str], keys: Keys) -> Log:
    """The whole log. Raises RetentionLogError."""
    log = Log(keys)
    for document in documents:
        log.take(document)
    return log


def _early(time: str, act: Deletion) -> str | None:
    """Why a deletion at this time was not due by its own statement."""
    try:
        due = ending(datetime.fromisoformat(act.since), act.days)
    except ValueError:  # the pattern admits days that do not exist
        return f"{act.since} is not a time"
    if act.until < utc_hundredths(due):
        return f"{act.until} is before {act.days} days after {act.since}"
    return f"at {time}, before {act.until}" if time < act.until else None


def compare(log: Log, receipts: Iterable[str]) -> list[Finding]:
    """Deletions that contradict receipts which somebody kept: another receipt of the job, or a later end of it."""
    kept = {(claims := claims_unverified(text)).job_id: (receipt_sha384(text), claims) for text in receipts}
    found = list[Finding]()
    for number, each in sorted(log.deleted.items()):
        act = each.deletion
        if act.job not in kept:
            continue
        sha384, claims = kept[act.job]
        if act.receipt_sha384 != sha384:
            named = "no receipt" if act.receipt_sha384 is UNSET else "another receipt"
            found.append(Finding(rule="receipt", number=number, what=f"it names {named} of job {act.job}"))
        elif act.since < claims.ended:
            found.append(Finding(rule="receipt", number=number, what=f"job {act.job} ended later, at {claims.ended}"))
    return found

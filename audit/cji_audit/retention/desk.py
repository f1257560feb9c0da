"""Retention in action: what is due is deleted with a record, jobs are put on hold and released.

    run      complete what an earlier run left open -> record what the service erased -> delete what is due
    hold     Azure's legal hold on every version -> record
    release  record -> Azure's legal hold off what no other case holds

A hold reaches a run at three places: the listing shows Azure's hold; the record of a deletion is appended only if no
other record came first, else the holds are read again; and the service refuses to delete what is on hold. The identity
of a run needs no right to change holds (deploy/bicep/storageRoles.bicep).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from cji_audit.errors import AuditError
from cji_audit.retention.chain import Disposed, Log, RetentionLogError, waits_for_purge
from cji_audit.retention.documents import Documents, UnreadableError, read_documents
from cji_audit.retention.identity import Principal
from cji_audit.retention.log import LogMovedError, RetentionLog
from cji_audit.retention.records import (
    MAX_BLOBS,
    MAX_JOBS,
    MAX_PURGED,
    Act,
    Deleted,
    Deletion,
    Doomed,
    Hold,
    Outcome,
    Purged,
    Record,
    Release,
    suite_of,
)
from cji_audit.retention.rules import Job, Keep, Stored, Verdict, by_job, earlier, judge
from cji_audit.retention.store import SealedBlobs
from cji_core.jose import SigningKey
from cji_core.pool.store import Blobs
from cji_core.trail.fields import utc_hundredths

_T = TypeVar("_T")
_MOVES: Final = 10
"""Records of others that one of ours waits for."""
_CLOCKS: Final = timedelta(seconds=30)
"""Between two clocks of the service."""


class HoldError(AuditError):
    """A hold that cannot be put on or released."""

    code = "hold-refused"
    remedy = "Compare case and ids of jobs with `cji retention due` and `cji retention verify`."


class ClockError(AuditError):
    """The storage service states no time."""

    code = "service-clock-unknown"
    remedy = "Repeat the command; without the service's clock nothing is deleted."


class ContainerError(AuditError):
    """A recorded deletion in a container that the rules do not name: what is there is unknown."""

    code = "container-unknown"
    remedy = "Name under [storage] of the rules the containers in which it began, and run this again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A pool's storage: all versions of sealed inputs and results, and the small documents among them."""

    url: str
    inputs: SealedBlobs
    results: SealedBlobs
    input_documents: Blobs
    result_documents: Blobs

    def stored(self, under: str = "") -> list[Stored]:
        """Every version and snapshot in both containers."""
        return [*self.inputs.stored(under), *self.results.stored(under)]

    def container(self, name: str) -> SealedBlobs:
        """The container of this name. Raises ContainerError."""
        found = {each.name: each for each in (self.inputs, self.results)}.get(name)
        if found is None:
            raise ContainerError(f"the log has a deletion in container {name}")
        return found

    def hold(self, stored: Iterable[Stored], *, held: bool) -> int:
        """Put Azure's legal hold on, or take it off; how many had it changed."""
        return sum(self.container(each.container).hold(each, held=held) for each in stored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """The maker of records: a key, an identity, and the words of a person."""

    key: SigningKey
    principal: Principal
    operator: str
    explanation: str


@dataclass(slots=True, kw_only=True)
class Ran:
    """The outcome of a run: a verdict about everything that was stored, and its records by the number of the first."""

    verdicts: list[Verdict] = field(default_factory=list)
    deletions: dict[int, tuple[Deletion, Deleted]] = field(default_factory=dict)
    purged: list[int] = field(default_factory=list)


class Desk:
    """One pool's retention, for one maker of records. Methods raise AuditError, StoreError and OSError."""

    def __init__(
        self,
        account: Account,
        log: RetentionLog,
        keep: Keep,
        maker: Maker | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._account, self._log, self._keep, self._maker, self._clock = account, log, keep, maker, clock

    def due(self) -> list[Verdict]:
        """A verdict about every area of every stored job. Nothing is changed; this needs no maker of records."""
        self._load()
        return list(self._verdicts())

    def run(self) -> Ran:
        """Delete what is due. What the service refuses to delete is kept, and the outcome names why."""
        state, ran = self._load(), Ran()
        for number, deletion in sorted(state.open.items()):
            ran.deletions[number] = deletion, self._complete(number, deletion)
        ran.purged = self._confirm(state)
        for verdict in self._verdicts():
            ran.verdicts.append(verdict)
            if verdict.state == "due":
                self._delete(verdict, ran)
        return ran

    def hold(self, case: str, jobs: Iterable[str]) -> int:
        """Put all versions of these jobs on hold for the case; their number. HoldError for a job without a blob."""
        self._load()
        ids, count = sorted(set(jobs)), 0
        stored = {job: self._account.stored(f"{job}/") for job in ids}
        if absent := [job for job, found in stored.items() if not found]:
            raise HoldError(f"nothing is stored of job {', '.join(absent)}")
        for part in _parts(ids, MAX_JOBS):
            self._require(Hold(case=case, jobs=part, versions=0))
            versions = self._account.hold((each for job in part for each in stored[job]), held=True)
            self._append(partial(_always, Hold(case=case, jobs=part, versions=versions)))
            count += versions
        return count

    def release(self, case: str) -> list[str]:
        """Release the jobs of a case; those that no other case holds are returned, without Azure's hold."""
        state = self._load()
        if case not in state.cases and case not in state.released:
            raise HoldError(f"there is no case {case}")
        for part in _parts(sorted(state.cases.get(case, ())), MAX_JOBS):
            self._append(partial(self._release, case, part))
        free = sorted(state.released[case] - self._log.state.on_hold)
        self._account.hold((s for job in free for s in self._account.stored(f"{job}/") if s.held), held=False)
        self._log.catch_up()
        again = self._log.state.on_hold.intersection(free)  # another case took it, before Azure's hold was off
        self._account.hold((s for job in sorted(again) for s in self._account.stored(f"{job}/")), held=True)
        return [job for job in free if job not in again]

    def _load(self) -> Log:
        state = self._log.load()
        if state.account not in {"", self._account.url}:
            raise RetentionLogError("account", 0)
        return state

    def _release(self, case: str, part: tuple[str, ...]) -> Release | None:
        """Of what the case still holds: another release may have come first."""
        held = self._log.state.cases.get(case, ())
        jobs = tuple(each for each in part if each in held)
        return Release(case=case, jobs=jobs) if jobs else None

    def _verdicts(self) -> Iterator[Verdict]:
        """Documents of a job are read only if the creation of its blobs alone would let something go."""
        for name, stored in sorted(by_job(self._account.stored()).items()):
            job = Job(id=name, stored=tuple(stored))
            found = self._judge(job)
            yield from found if all(each.state == "kept" for each in found) else self._judge(self._read(job)[0])

    def _judge(self, job: Job) -> list[Verdict]:
        on_hold, jobs = self._log.state.on_hold, self._account.inputs.name
        return list(judge(job, self._keep, on_hold=on_hold, jobs=jobs, now=earlier(self._now(), self._clock())))

    def _now(self) -> datetime:
        """The service's clock, when it last answered about the log."""
        found = self._log.date
        if found is None:
            raise ClockError("the storage service states no time")
        return found

    def _read(self, job: Job) -> tuple[Job, Documents]:
        try:
            found = read_documents(job.id, self._account.input_documents, self._account.result_documents)
        except UnreadableError:
            return replace(job, unreadable=True), Documents()
        return replace(job, end=found.end, not_after=found.not_after), found

    def _delete(self, verdict: Verdict, ran: Ran) -> None:
        for part in _parts(verdict.stored, MAX_BLOBS):
            record = self._append(partial(self._deletion, verdict, part))
            if record is None or not isinstance(record.act, Deletion):
                return  # somebody put the job on hold meanwhile
            ran.deletions[record.number] = record.act, self._complete(record.number, record.act)

    def _deletion(self, verdict: Verdict, part: tuple[Stored, ...]) -> Deletion | None:
        """The deletion that is about to be recorded; None if it is due no longer, after a record of somebody else."""
        job, documents = self._read(verdict.job)
        found = next(each for each in self._judge(job) if each.area == verdict.area)
        if found.state != "due":
            return None
        return Deletion(
            job=job.id,
            area=found.area,
            days=found.days,
            since=utc_hundredths(found.since),
            since_by=found.since_by,
            until=utc_hundredths(found.until),
            header_sha384=documents.header_sha384,
            receipt_sha384=documents.receipt_sha384,
            failure_sha384=documents.failure_sha384,
            kek_id=documents.kek_id,
            blobs=tuple(map(_doomed, part)),
        )

    def _complete(self, number: int, deletion: Deletion) -> Deleted:
        """Delete what is left of a recorded deletion, and record the outcome."""
        prefix = f"{deletion.job}/"
        containers = [self._account.container(name) for name in sorted({each.container for each in deletion.blobs})]
        there = {_identity(each) for each in self._account.stored(prefix)}
        outcomes = [self._outcome(deletion, each, _key(each) in there) for each in deletion.blobs]
        left: dict[_Key, datetime] = {}
        for container in containers:
            found = container.recoverable(prefix)
            left |= {(container.name, each.name, each.version, each.snapshot): each.until for each in found}
        for place, each in enumerate(deletion.blobs):
            if (until := left.get(_key(each))) is not None:
                outcomes[place] = msgspec.structs.replace(outcomes[place], recoverable_until=utc_hundredths(until))
        act = Deleted(of=number, outcomes=tuple(outcomes))
        self._append(lambda: act if number in self._log.state.open else None)
        return act

    def _outcome(self, deletion: Deletion, each: Doomed, is_there: bool) -> Outcome:
        if not is_there:
            return Outcome(state="absent")
        if deletion.job in self._log.state.on_hold:
            return Outcome(state="kept", why="LEGAL_HOLD")
        return self._account.container(each.container).delete(each)

    def _confirm(self, state: Log) -> list[int]:
        """Record the deletions of which the service lists nothing more."""
        found = [n for n in waits_for_purge(state, utc_hundredths(self._now())) if self._is_erased(state.deleted[n])]
        for part in _parts(found, MAX_PURGED):
            self._append(partial(self._purged, part))
        return found

    def _purged(self, part: tuple[int, ...]) -> Purged | None:
        """Of what no other run has confirmed meanwhile."""
        left = tuple(each for each in part if each not in self._log.state.purged)
        return Purged(of=left) if left else None

    def _is_erased(self, each: Disposed) -> bool:
        prefix = f"{each.deletion.job}/"
        there = {_identity(stored) for stored in self._account.stored(prefix)}
        for container in (self._account.inputs, self._account.results):
            found = container.recoverable(prefix)
            there |= {(container.name, left.name, left.version, left.snapshot) for left in found}
        pairs = zip(each.deletion.blobs, each.deleted.outcomes, strict=True)
        return there.isdisjoint(_key(blob) for blob, outcome in pairs if outcome.state != "kept")

    def _append(self, decide: Callable[[], Act | None]) -> Record | None:
        """Append what `decide` says, which is asked again after a record of somebody else; None if it says nothing."""
        for _ in range(_MOVES):
            act = decide()
            if act is None:
                return None
            try:
                return self._log.append(partial(self._record, act, self._of()), self._of().key)
            except LogMovedError:
                continue
        raise LogMovedError("others append records faster than this command")

    def _require(self, act: Act) -> None:
        """Raise RecordError or RetentionLogError before anything is changed for which there would be no record."""
        self._log.signed(partial(self._record, act, self._of()), self._of().key)

    def _of(self) -> Maker:
        if self._maker is None:
            raise TypeError("a desk without a maker appends no record")
        return self._maker

    def _time(self) -> str:
        """The service's clock; it has several, so one that is a little behind the last record counts as that record."""
        now, last = self._now(), self._log.state.time
        return last if utc_hundredths(now) < last <= utc_hundredths(now + _CLOCKS) else utc_hundredths(now)

    def _record(self, act: Act, maker: Maker, number: int, previous: str) -> Record:
        return Record(
            version=1,
            suite=suite_of(maker.key),
            number=number,
            previous_sha384=previous,
            account=self._account.url,
            time=self._time(),
            principal=maker.principal.object_id,
            tenant=maker.principal.tenant,
            operator=maker.operator,
            explanation=maker.explanation,
            act=act,
        )


_Key = tuple[str, str, str | None, str | None]


def _identity(each: Stored) -> _Key:
    return each.container, each.name, each.version, each.snapshot


def _key(each: Doomed) -> _Key:
    return each.container, each.name, each.version or None, each.snapshot or None


def _doomed(each: Stored) -> Doomed:
    return Doomed(
        container=each.container,
        name=each.name,
        version=each.version or UNSET,
        snapshot=each.snapshot or UNSET,
        etag=each.etag,
        size=each.size,
    )


def _always(act: Act) -> Act:
    return act


def _parts(values: Sequence[_T], size: int) -> Iterator[tuple[_T, ...]]:
    for first in range(0, len(values), size):
        yield tuple(values[first : first + size])

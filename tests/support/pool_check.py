"""What trails, ledger and results of a pool show, run through the decisions of `cji_core.pool.one_end` again.

Every entry must be one that these decisions allow after the entries before it; every end must be of an entry and of a
receipt or failure receipt in the trail that made it; every receipt in a trail must be the end or superseded; nothing
else may be published. A step that is not allowed is a PoolFault.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from cji_core.pool import names
from cji_core.pool.entries import Attempt, End, Kind, NoEntry, Outcome
from cji_core.pool.one_end import (
    Answer,
    CountDay,
    CreateAttempt,
    Effect,
    Purpose,
    Read,
    ReadAttempt,
    ReadEnd,
    Reading,
    begin_reading,
    read_on,
)
from cji_core.trail import (
    AttemptSuperseded,
    FailureSuperseded,
    JobAdmitted,
    JobCompleted,
    TaskAdmitted,
    TicketPoisoned,
    receipt_sha384,
)
from cji_core.trail.chain import Record

_NEW: Final = "f" * 32


class PoolFault(AssertionError):  # noqa: N818 - a test's assertion
    """A step that is not allowed."""


@dataclass(slots=True)
class JobSeen:
    """Everything about one job id; entries by name."""

    job: str
    entries: dict[str, Attempt | End | NoEntry] = field(default_factory=dict)
    events: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    """By trail."""
    published: tuple[str, ...] = ()

    @property
    def attempts(self) -> list[Attempt]:
        """In the order of their numbers."""
        found = [each for each in self.entries.values() if isinstance(each, Attempt)]
        return sorted(found, key=lambda each: each.number)

    @property
    def end(self) -> End | None:
        """The first one that is one."""
        number = 0
        while (found := self.entries.get(names.end(self.job, number))) is not None:
            if isinstance(found, End):
                return found
            number += 1
        return None


class _Entry(msgspec.Struct):
    claims: msgspec.Raw


def entry_of(name: str, data: bytes) -> Attempt | End | NoEntry:
    """The entry at this name by its shape; its proof is for those who have the key."""
    job, _, rest = name.partition("/")
    kind: type[Attempt | End] = Attempt if rest.startswith("attempts/") else End
    try:
        claims = msgspec.json.decode(bytes(msgspec.json.decode(data, type=_Entry).claims), type=kind)
    except ValueError:
        return NoEntry.FOREIGN
    return claims if claims.job == job else NoEntry.FOREIGN


def seen(
    ledger: Mapping[str, bytes], trails: Iterable[Sequence[Record]], published: Mapping[str, tuple[str, ...]]
) -> dict[str, JobSeen]:
    """By job id; `published` has the receipts and failure receipts beside the results."""
    jobs: dict[str, JobSeen] = {}

    def of(job: str) -> JobSeen:
        return jobs.setdefault(job, JobSeen(job))

    for name, data in ledger.items():
        job, _, rest = name.partition("/")
        if rest.startswith(("attempts/", "end")):
            of(job).entries[name] = entry_of(name, data)
    for trail in trails:
        for record in trail:
            if (about := getattr(record.event, "job_id", None)) is not None:
                of(about).events[trail[0].hash].append(record.event)
    for job_id, documents in published.items():
        of(job_id).published = documents
    return jobs


def check(job: JobSeen, *, tries: int, quiet: bool = True) -> None:
    """Raise PoolFault for a step that is not allowed. `quiet`: nothing runs, so every receipt is settled."""
    _check_attempts(job, tries)
    end = job.end
    if end is not None:
        _check_end(job, end)
    for document in job.published:
        _must(end is not None and end.document == document, job, "published, and not the end")
    for trail, events in job.events.items():
        _check_trail(job, trail, events, end, quiet=quiet)


def _check_attempts(job: JobSeen, tries: int) -> None:
    """Each entry is one that the decisions create after those before it, without an end."""
    for entry in job.attempts:
        before = {
            name: each
            for name, each in job.entries.items()
            if "/attempts/" in name and int(name.rpartition("/")[2]) < entry.number
        }
        purpose = Purpose.GIVE_UP if entry.kind is Kind.NONE else Purpose.CLAIM
        state = Reading(purpose=purpose, name=_NEW, kind=entry.kind, header_sha384=entry.header_sha384, tries=tries)
        effect = _run(job.job, state, before)
        allowed = isinstance(effect, CreateAttempt) and (effect.number, effect.kind) == (entry.number, entry.kind)
        _must(allowed, job, f"attempt {entry.number} is not allowed")


def _run(job: str, state: Reading, entries: Mapping[str, Attempt | End | NoEntry]) -> Effect:
    state, effect = begin_reading(state)
    while True:
        match effect:
            case ReadAttempt(number):
                found = entries.get(names.attempt(job, number))
            case ReadEnd(number):
                found = entries.get(names.end(job, number))
            case CountDay():
                state, effect = read_on(state, Answer.COUNTED)
                continue
            case _:
                return effect
        state, effect = read_on(state, Answer.ABSENT if found is None else Read(found))


def _check_end(job: JobSeen, end: End) -> None:
    entry = next((each for each in job.attempts if each.number == end.attempt), None)
    _must(entry is not None, job, "the end names no attempt")
    _must(entry is None or entry.header_sha384 == end.header_sha384, job, "the end is of another header")
    events = job.events.get(end.trail)
    if events is None:  # the machine and its trail are gone
        return
    if end.outcome is Outcome.RECEIPT:
        signed = [each.receipt for each in events if isinstance(each, JobCompleted)]
    else:
        signed = [each.failure for each in events if isinstance(each, TicketPoisoned)]
        counted = sum(each.kind.counts for each in job.attempts)
        stated = [each.tries for each in events if isinstance(each, TicketPoisoned) and each.failure == end.document]
        _must(all(each <= counted for each in stated), job, "the failure states attempts that were not entered")
    _must(end.document in signed, job, "the end was made before its line in the trail")


def _check_trail(job: JobSeen, trail: str, events: Sequence[Any], end: End | None, *, quiet: bool) -> None:
    entries = [each for each in job.attempts if each.trail == trail and each.kind is Kind.WHOLE]
    parts = any(each.kind is Kind.PARTS for each in job.attempts)
    admitted = [each for each in events if isinstance(each, JobAdmitted)]
    _must(parts or len(admitted) <= len(entries), job, "a job was admitted without an entry")
    tasks = [each for each in events if isinstance(each, TaskAdmitted)]
    _must(parts or not tasks, job, "a task was admitted without an entry")
    superseded = {each.receipt_sha384 for each in events if isinstance(each, AttemptSuperseded)}
    superseded |= {each.failure_sha384 for each in events if isinstance(each, FailureSuperseded)}
    for event in events:
        document = event.compact if isinstance(event, JobCompleted) else getattr(event, "failure", None)
        if document is None:
            continue
        is_end = end is not None and end.document == document
        is_superseded = receipt_sha384(document) in superseded
        _must(not (is_end and is_superseded), job, "the end was superseded")
        _must(not quiet or is_end or is_superseded, job, "neither the end nor superseded")


def _must(holds: bool, job: JobSeen, what: str) -> None:
    if not holds:
        raise PoolFault(f"{job.job}: {what}: {job}")

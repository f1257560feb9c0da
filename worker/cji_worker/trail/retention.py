"""Which closed segments of a trail may be removed: CJISSECPOL AU-11, for the operator who prunes it.

A trail is read and verified from its first line to its last. A segment may be removed, oldest first, if

    age       its latest line is a year old, by the clock and by the trail's last `attested`: a machine whose clock is
              set forward gets no token, so that line has a true time
    hold      no legal hold is on any of its lines
    export    an export with a verified proof has exactly its lines
    delivery  every destination that the worker requires has them
    state     the last receipt, the last anchor and every job without an end are after it, because the worker needs them
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from cji_core.trail.chain import Record
from cji_core.trail.events import Attested, JobAdmitted, JobCompleted
from cji_core.trail.exports import read_export
from cji_core.trail.fields import unix_seconds, utc_hundredths
from cji_core.trail.pruned import RETENTION, Pruned, UnfinishedJob
from cji_core.trail.rules import CheckpointKeys, Watcher, a_year_between
from cji_core.trail.segments import Segment
from cji_core.trail.task_events import TaskAdmitted
from cji_core.trail.trail import opened
from cji_core.trail.worker_events import FilesReloaded, TrailAnchored, TrailResumed, WorkerStarted

_STEP: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A closed segment: its digest, the latest time in it, and what would stay in place of all lines until its last."""

    segment: Segment
    sha256: str
    latest: str
    pruned: Pruned


@dataclass(slots=True, kw_only=True)
class Survey:
    """A verified trail: its closed segments, oldest first, its rules' state, and what its worker needs."""

    watcher: Watcher
    first: int
    candidates: list[Candidate] = field(default_factory=list)
    receipt: int = 0
    anchor: int = 0
    attested: str = ""
    """Time of the last attestation."""


@dataclass(slots=True, kw_only=True)
class _Pass:
    """The state of a survey after the lines so far.

    `jobs` are those that did not complete, as the replay ledger has them: an attempt that ended is one of those of the
    next. `floor` is the latest not_after of all jobs, those in parts included: their entries leave the replay ledger
    with their lines.
    """

    watcher: Watcher
    floor: int
    resumed: bool
    policy_serial: int
    first_hash: str
    jobs: dict[str, UnfinishedJob]

    def take(self, line: bytes, record: Record) -> None:
        event = record.event
        self.watcher.take(line, record)
        self.first_hash = self.first_hash or record.hash
        if isinstance(event, JobAdmitted | TaskAdmitted):
            not_after = unix_seconds(event.not_after)
            self.floor = max(self.floor, not_after)
            if isinstance(event, JobAdmitted):
                known = self.jobs.get(event.job_id)
                self.jobs[event.job_id] = UnfinishedJob(
                    header_sha384=event.header_sha384,
                    not_after=not_after,
                    attempts=(known.attempts if known else 0) + (event.attempt is None),
                    admitted=unix_seconds(record.time),
                )
        elif isinstance(event, JobCompleted):
            self.jobs.pop(event.job_id, None)
        elif isinstance(event, WorkerStarted | FilesReloaded):
            self.policy_serial = max(self.policy_serial, event.policy_serial)
        elif isinstance(event, TrailResumed):
            self.resumed = True
        elif isinstance(event, Attested):
            now, running = unix_seconds(record.time), self.watcher.state.running
            self.jobs = {job: known for job, known in self.jobs.items() if job in running or known.not_after >= now}
            if self.resumed:
                self.floor, self.resumed = max(self.floor, now), False

    def pruned(self, offset: int) -> Pruned:
        """The file that stays if all lines so far are removed."""
        state = self.watcher.state
        return Pruned(
            first_hash=self.first_hash,
            last=state.head.seq,
            hash=state.head.hash,
            offset=offset,
            peaks=tuple(peak.hex() for peak in self.watcher.tree.peaks),
            floor=self.floor,
            resumed=self.resumed,
            policy_serial=self.policy_serial,
            running={job_id: self.jobs[job_id] for job_id in state.running},
            state=msgspec.Raw(self.watcher.save()),
        )


def survey(trail: Path, progress: Callable[[int], None] = lambda _: None) -> Survey:
    """Verify a trail and find its closed segments; `progress` gets bytes. Raises ChainError or OSError."""
    with opened(trail) as files:
        before = files.pruned
        run = _Pass(
            watcher=Watcher.after(before),
            floor=before.floor if before else 0,
            resumed=before.resumed if before else False,
            policy_serial=before.policy_serial if before else 0,
            first_hash=before.first_hash if before else "",
            jobs=dict(before.running) if before else {},
        )
        found = Survey(watcher=run.watcher, first=files.head.seq + 1)
        ends = {segment.last: segment for segment in files.segments}
        digest, latest, read = hashlib.sha256(), "", 0
        for line, record in files.verified():
            run.take(line, record)
            digest.update(line)
            latest, read = max(latest, record.time), read + len(line)
            if isinstance(record.event, JobCompleted):
                found.receipt = min((record.seq, *run.watcher.needed))
            elif isinstance(record.event, TrailAnchored):
                found.anchor = record.seq
            elif isinstance(record.event, Attested):
                found.attested = record.time
            if segment := ends.get(record.seq):
                pruned = run.pruned(segment.end)
                found.candidates.append(
                    Candidate(segment=segment, sha256=digest.hexdigest(), latest=latest, pruned=pruned)
                )
                digest, latest = hashlib.sha256(), ""
            if record.seq % _STEP == 0:
                progress(read)
                read = 0
        progress(read)
    return found


def exported(folder: Path, keys: CheckpointKeys, candidates: Iterable[Candidate]) -> set[int]:
    """Verify an export; return the first lines of the segments whose very lines it has.

    Raises ProofError, ChainError or OSError.
    """
    of_line = {each.segment.first: each for each in candidates}
    digest, current, equal = hashlib.sha256(), None, set[int]()

    def take(number: int, line: bytes) -> None:
        nonlocal digest, current
        if number in of_line:
            digest, current = hashlib.sha256(), of_line[number]
        digest.update(line)
        if current is not None and number == current.segment.last and digest.hexdigest() == current.sha256:
            equal.add(current.segment.first)

    read_export(folder, keys, take)
    return equal


def refusal(
    candidate: Candidate, found: Survey, *, now: datetime, exports: set[int], delivered: Mapping[str, int]
) -> str | None:
    """Why this segment may not be removed; None if it may. `delivered` has the last line of required destinations."""
    return next(_reasons(candidate, found, now=now, exports=exports, delivered=delivered), None)


def _reasons(
    candidate: Candidate, found: Survey, *, now: datetime, exports: set[int], delivered: Mapping[str, int]
) -> Iterator[str]:
    segment, state = candidate.segment, found.watcher.state
    for what, time in (("the clock", utc_hundredths(now)), ("the trail's last attestation", found.attested)):
        if not time or not a_year_between(candidate.latest, time):
            yield f"a line of {candidate.latest} is less than {RETENTION.days} days old, by {what}"
    for name, hold in sorted(state.holds.items()):
        if hold.covers(segment.first, segment.last):
            yield f"lines are under the legal hold {name}, which {hold.operator_id} placed in line {hold.line}"
    if segment.first not in exports:
        yield "no export that was given has exactly these lines"
    for name, line in sorted(delivered.items()):
        if line <= segment.last:
            yield f"the required destination {name} has the trail until line {line} only"
    if any(0 < line <= segment.last for line in (found.receipt, found.anchor)):
        yield "the worker's last receipt or anchor is in it, which the next start needs"
    if state.running.keys() & candidate.pruned.running.keys():
        yield "a job in it has no end: start the worker once, which records it"

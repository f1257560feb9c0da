"""Lines that wait for the disk, beside an obvious twin: what is told, what counts, and what a crash may take.

The thread that syncs is turned by hand, so that every order of its end and of the main thread's steps is tried.
"""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cji_core.errors import Reason, Refusal
from cji_core.trail import Event, JobAdmitted, JobCompleted, TailRecovered, WorkerStopped, read, verify_chain
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobState
from tests.support import audit_events
from tests.support.audit_events import TIME, opened

IDS: Final = [bytes([number]) * 16 for number in range(5)]
HEADER: Final = b"\x02" * 48
KINDS: Final = st.sampled_from(["admit", "complete", "end"])
WHO: Final = {"submitter": "metro-pd", "ori": "WI0130000"}
_STATES: Final = {"job_admitted": JobState.ADMITTED, "job_completed": JobState.COMPLETED, "job_ended": JobState.ENDED}


class ByHand:
    """In place of `SyncThread`: it syncs when it is asked for the result and must wait, or was turned."""

    def __init__(self) -> None:
        self.fd = -1
        self.turned = False

    def begin(self, fd: int) -> None:
        self.fd, self.turned = fd, False

    def result(self, *, wait: bool) -> OSError | None:
        assert wait or self.turned
        try:
            os.fsync(self.fd)
        except OSError as error:
            return error
        return None

    def end(self) -> None:
        pass


class Twin:
    """The lines on disk, those of the group, and those that gather: each with the number of who waits for it."""

    def __init__(self) -> None:
        self.disk: list[Event] = []
        self.group: list[tuple[Event, int | None]] = []
        self.gathered: list[tuple[Event, int | None]] = []
        self.told: dict[int, bool] = {}
        self.fault = False

    @property
    def waiting(self) -> list[tuple[Event, int | None]]:
        return [*self.group, *self.gathered]

    def state(self, job_id: bytes) -> JobState | None:
        about = [event for event in self.disk if getattr(event, "job_id", None) == job_id.hex()]
        return _STATES[about[-1].kind] if about else None

    def accepts(self, event: Any) -> bool:
        known = self.state(bytes.fromhex(event.job_id))
        return known in ((None, JobState.ENDED) if isinstance(event, JobAdmitted) else (JobState.ADMITTED,))

    def is_of_waiting(self, event: Event) -> bool:
        job_id = getattr(event, "job_id", "")
        return any(getattr(line, "job_id", None) == job_id for line, _ in self.waiting)

    def end_group(self, *, fails: bool) -> None:
        if not self.group:
            return
        if fails:
            self._lose()
            return
        self.disk += [event for event, _ in self.group]
        self.told |= {who: True for _, who in self.group if who is not None}
        self.group = []

    def settle(self, *, fails: bool) -> None:
        self.end_group(fails=fails)
        if not self.fault and self.gathered:
            self.begin_group()
            self.end_group(fails=fails)

    def begin_group(self) -> None:
        if not self.group and not self.fault:
            self.group, self.gathered = self.gathered, []

    def _lose(self) -> None:
        self.told |= {who: False for _, who in self.waiting if who is not None}
        self.group, self.gathered, self.fault = [], [], True


class Groups(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "audit.jsonl"
        self.fails, self.asked, self.receipts = False, 0, 0
        self.told: dict[int, Reason | None] = {}
        self.patch, self.fsync = pytest.MonkeyPatch(), os.fsync
        self.patch.setattr(os, "fsync", self.sync)
        self.twin, self.hand = Twin(), ByHand()
        self.trail = self.open()

    def sync(self, fd: int) -> None:
        if self.fails and os.readlink(f"/proc/self/fd/{fd}") == str(self.path):
            raise OSError(errno.EIO, "the disk is gone")
        # what is synced is real; that it survives a power failure is not tried here

    def open(self) -> AuditFile:
        trail = opened(self.path)
        self.hand = ByHand()
        trail._thread = self.hand  # type: ignore[assignment]
        return trail

    def teardown(self) -> None:
        self.fails = False
        self.trail.close()
        self.patch.undo()
        self.folder.cleanup()

    def event(self, kind: str, job_id: bytes) -> Event:
        match kind:
            case "admit":
                return audit_events.admitted(job_id, HEADER)
            case "complete":
                self.receipts += 1
                return audit_events.completed(job_id, HEADER, receipt=f"head.receipt{self.receipts}.sig")
        return audit_events.ended(job_id, HEADER)

    def hear(self, who: int, lost: Refusal | None) -> None:
        assert who not in self.told, "told twice"
        self.told[who] = None if lost is None else lost.reason

    @rule(kind=KINDS, job_id=st.sampled_from(IDS))
    def enter(self, kind: str, job_id: bytes) -> None:
        event, who = self.event(kind, job_id), self.asked
        self.asked += 1
        try:
            self.trail.enter(event, lambda lost: self.hear(who, lost))
            accepted = True
        except (Refusal, ValueError):
            accepted = False
        twin = self.twin
        if twin.is_of_waiting(event):
            twin.settle(fails=self.fails)
        assert accepted is (not twin.fault and twin.accepts(event))
        if accepted:
            twin.gathered.append((event, who))
            twin.begin_group()

    @rule(kind=KINDS | st.just("other"), job_id=st.sampled_from(IDS))
    def append(self, kind: str, job_id: bytes) -> None:
        event = WorkerStopped(jobs_completed=0) if kind == "other" else self.event(kind, job_id)
        twin = self.twin
        try:
            self.trail.append(event)
            on_disk = True
        except (Refusal, ValueError):
            on_disk = False
        if twin.is_of_waiting(event):
            twin.settle(fails=self.fails)
        if twin.fault or not (kind == "other" or twin.accepts(event)):
            assert not on_disk
            return
        twin.gathered.append((event, None))
        twin.settle(fails=self.fails)
        assert on_disk is not self.fails

    @precondition(lambda self: self.twin.group)
    @rule()
    def the_thread_is_done(self) -> None:
        self.hand.turned = True
        self.trail.follow()
        self.twin.end_group(fails=self.fails)
        self.twin.begin_group()
        assert self.told == self.outcomes(), "all of them are told"

    @rule()
    def settle(self) -> None:
        self.trail.settle()
        self.twin.settle(fails=self.fails)

    @rule()
    def deliver(self) -> None:
        self.trail.deliver()
        assert self.told == self.outcomes()

    @rule(fails=st.booleans())
    def the_disk_fails_or_does_not(self, fails: bool) -> None:
        self.fails = fails

    @precondition(lambda self: not self.fails)
    @rule()
    def maintain(self) -> None:
        self.trail.maintain()
        self.twin.settle(fails=False)
        if self.twin.fault:
            (*_, last) = self.lines()
            assert isinstance(last, TailRecovered)
            self.twin.disk.append(last)
            self.twin.fault = False

    @rule()
    def crash(self) -> None:
        """What was written and not synced may be there after the crash, and counts then; nobody was told of it."""
        before, possible = len(self.twin.disk), [event for event, _ in self.twin.group]
        lost = {who for _, who in self.twin.waiting if who is not None}
        self.trail._ledger.close()
        self.trail._storage.close()
        self.fails = False
        self.trail = self.open()
        found = self.lines()
        assert found[:before] == self.twin.disk
        assert [event for event in found[before:] if not isinstance(event, TailRecovered)] in ([], possible)
        assert not lost & self.told.keys()
        decided = self.twin.told
        self.twin = Twin()
        self.twin.disk, self.twin.told = found, {who: kept for who, kept in decided.items() if who in self.told}

    def lines(self) -> list[Event]:
        lines = self.path.read_bytes().splitlines(keepends=True)
        verify_chain(lines)
        return [read(line).event for line in lines]

    def outcomes(self) -> dict[int, Reason | None]:
        return {who: None if on_disk else Reason.AUDIT_UNAVAILABLE for who, on_disk in self.twin.told.items()}

    @invariant()
    def what_counts_is_on_disk(self) -> None:
        twin, trail = self.twin, self.trail
        assert self.lines()[: len(twin.disk)] == twin.disk
        assert trail.head.seq == len(twin.disk)
        if not twin.fault:  # else the lines are only gone once the trail is mended
            assert self.lines() == [*twin.disk, *(event for event, _ in twin.group)]

    @invariant()
    def nobody_is_told_before_the_disk(self) -> None:
        outcomes = self.outcomes()
        assert self.told.items() <= outcomes.items()

    @invariant()
    def ledger_and_receipts_have_their_lines(self) -> None:
        twin, trail = self.twin, self.trail
        for job_id in IDS:
            if not any(getattr(event, "job_id", None) == job_id.hex() for event, _ in twin.waiting):
                entry = trail.entry(job_id)
                assert (None if entry is None else entry.state) == twin.state(job_id)
        events = [*twin.disk, *(event for event, _ in twin.waiting)]
        jobs = {event.job_id for event in events if isinstance(event, JobAdmitted)}
        assert trail.admitted(day=TIME.date(), **WHO) == len(jobs)
        receipts = [event for event in events if isinstance(event, JobCompleted)]
        assert trail.last_completion() == (receipts[-1] if receipts else None)


Groups.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestGroups = Groups.TestCase

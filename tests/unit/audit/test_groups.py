"""Lines of several jobs share a sync: nobody is told before it, and a group that is lost is lost as a whole."""

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import Reason, Refusal
from cji_core.jose import key_id
from cji_core.trail import GENESIS, Event, Head, JobAdmitted, TrailCheckpoint, WorkerStopped, read, verify_chain
from cji_core.trail.chain import MAX_LINE_BYTES, Record
from cji_core.trail.checkpoint import parse_checkpoint, sign_checkpoint
from cji_core.trail.worker_events import TailRecovered
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobState, ReplayLedger
from tests.support import audit_events
from tests.support.audit_events import TIME, opened
from tests.support.refusals import refused

HEADER: Final = b"\x02" * 48
KEY: Final = ec.generate_private_key(ec.SECP384R1())
WHO: Final = {"submitter": "metro-pd", "ori": "WI0130000"}


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def admitted(number: int) -> JobAdmitted:
    return audit_events.admitted(_id(number), HEADER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


class Told:
    """What those who waited were told, in order."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Reason | None]] = []

    def of(self, number: int) -> Callable[[Refusal | None], None]:
        return lambda lost: self.found.append((number, None if lost is None else lost.reason))


class Disk:
    """Counts the syncs of trails, holds them back, or lets them fail. What it lets pass is a real fsync."""

    def __init__(self, fsync: Callable[[int], None]) -> None:
        self._fsync, self.syncs, self.fails = fsync, 0, False
        self.open, self.asked, self.threads = threading.Event(), threading.Event(), list[str]()
        self.open.set()

    def __call__(self, fd: int) -> None:
        if not os.readlink(f"/proc/self/fd/{fd}").endswith("audit.jsonl"):
            self._fsync(fd)
            return
        self.asked.set()
        self.threads.append(threading.current_thread().name)
        assert self.open.wait(10)
        if self.fails:
            raise OSError(errno.EIO, "the disk is gone")
        self.syncs += 1
        self._fsync(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    found = Disk(os.fsync)
    monkeypatch.setattr(os, "fsync", found)
    yield found
    found.open.set()


class Loop:
    """The turns of a main thread that follows the trail."""

    def __init__(self, trail: AuditFile, alone: Callable[[], bool] = lambda: False) -> None:
        self._trail, self._woken = trail, threading.Event()
        trail.attach(self._woken.set, self._woken.set, alone)

    def turn(self) -> None:
        assert self._woken.wait(10)
        self._woken.clear()
        self._trail.follow()

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.turn()


def _events(path: Path) -> list[Event]:
    lines = path.read_bytes().splitlines(keepends=True)
    verify_chain(lines)
    return [read(line).event for line in lines]


def test_lines_of_many_jobs_take_one_sync(path: Path, disk: Disk) -> None:
    told = Told()
    with opened(path) as trail:
        for number in range(10):
            trail.enter(admitted(number), told.of(number))
        assert (disk.syncs, trail.head.seq, path.read_bytes()) == (0, 0, b"")
        trail.settle()
        assert (disk.syncs, trail.head.seq) == (1, 10)
        assert told.found == []  # the step in whose middle this may be goes on first
        trail.deliver()
        trail.deliver()
    assert told.found == [(number, None) for number in range(10)]
    assert _events(path) == [admitted(number) for number in range(10)]


def test_lines_gather_while_a_group_is_synced(path: Path, disk: Disk) -> None:
    """Six jobs, two syncs; nobody is told of a line that was written and is not synced."""
    told = Told()
    with opened(path) as trail:
        loop = Loop(trail)
        disk.open.clear()
        for number in range(6):
            trail.enter(admitted(number), told.of(number))
        assert disk.asked.wait(10)
        trail.follow()
        assert _events(path) == [admitted(0)]
        assert trail.writable()
        assert (told.found, trail.head.seq, trail.admitted(day=TIME.date(), **WHO)) == ([], 0, 6)
        disk.open.set()
        loop.turn()
        assert told.found == [(0, None)]
        loop.turn()
        assert told.found == [(number, None) for number in range(6)]
        assert disk.syncs == 2
    assert _events(path) == [admitted(number) for number in range(6)]


def test_a_group_is_no_longer_than_a_line_may_be(path: Path, disk: Disk) -> None:
    """A power failure can leave a file as long as its last write, with zeros in it: a start cuts off so much."""
    told, first = Told(), 0
    with opened(path) as trail:
        trail.append(admitted(0))
        first = path.stat().st_size
        for number in range(1, 250):
            trail.enter(admitted(number), told.of(number))
        trail.settle()
        trail.deliver()
        assert told.found == [(number, None) for number in range(1, 250)]
    most = -(-(path.stat().st_size - first) // MAX_LINE_BYTES)
    assert 1 < most <= disk.syncs - 1 <= most + 1
    os.truncate(path, path.stat().st_size + MAX_LINE_BYTES)
    with opened(path):
        assert isinstance(_events(path)[-1], TailRecovered)


def test_a_job_alone_wakes_no_thread(path: Path, disk: Disk) -> None:
    """Its line is synced at once, and what waits for it is called in the next turn as ever."""
    told, jobs = Told(), [1]
    with opened(path) as trail:
        loop = Loop(trail, lambda: len(jobs) == 1)
        trail.enter(admitted(1), told.of(1))
        assert (told.found, disk.threads) == ([], ["MainThread"])
        loop.turn()
        assert told.found == [(1, None)]
        jobs.append(2)
        trail.enter(admitted(2), told.of(2))
        loop.until(lambda: len(told.found) > 1)
        assert disk.threads == ["MainThread", "trail"]


def test_a_sync_that_fails_loses_the_group_and_what_follows(path: Path, disk: Disk) -> None:
    told = Told()
    with opened(path) as trail:
        trail.append(admitted(0))
        loop = Loop(trail)
        disk.open.clear()
        disk.fails = True
        for number in range(1, 5):
            trail.enter(admitted(number), told.of(number))
        disk.open.set()
        loop.turn()
        assert told.found == [(number, Reason.AUDIT_UNAVAILABLE) for number in range(1, 5)]
        assert not trail.writable()
        with refused(Reason.AUDIT_UNAVAILABLE):
            trail.enter(admitted(7), told.of(7))
        assert _events(path) == [admitted(0)]
        disk.fails = False
        trail.maintain()
        trail.enter(admitted(1), told.of(1))
        loop.until(lambda: len(told.found) > 4)
        assert told.found[-1] == (1, None)
        assert [trail.entry(_id(number)) is None for number in range(5)] == [False, False, True, True, True]
        assert trail.admitted(day=TIME.date(), **WHO) == 2
    assert [event.kind for event in _events(path)] == ["job_admitted", "tail_recovered", "job_admitted"]


def test_an_append_takes_along_what_waits(path: Path, disk: Disk) -> None:
    told = Told()
    with opened(path) as trail:
        trail.enter(admitted(1), told.of(1))
        assert trail.append(WorkerStopped(jobs_completed=0)).seq == 2
        assert disk.syncs == 1
        trail.deliver()
    assert told.found == [(1, None)]
    assert [event.kind for event in _events(path)] == ["job_admitted", "worker_stopped"]


def test_an_append_waits_for_the_group_that_is_synced(path: Path, disk: Disk) -> None:
    told = Told()
    with opened(path) as trail:
        loop = Loop(trail)
        disk.open.clear()
        trail.enter(admitted(1), told.of(1))
        threading.Timer(0.05, disk.open.set).start()
        assert trail.append(audit_events.ended(_id(1), HEADER)).seq == 2
        loop.turn()
    assert told.found == [(1, None)]
    assert [event.kind for event in _events(path)] == ["job_admitted", "job_ended"]


def test_a_job_has_one_line_that_waits(path: Path, disk: Disk) -> None:
    """The order of its events is checked against the ledger, which has what is on disk."""
    told = Told()
    with opened(path) as trail:
        trail.enter(admitted(1), told.of(1))
        with pytest.raises(ValueError, match="out of order"):
            trail.enter(admitted(1), told.of(2))
        trail.enter(audit_events.completed(_id(1), HEADER), told.of(3))
        assert disk.syncs == 1
        assert trail.completion(_id(1)) is not None  # whoever reads it waits for the disk
        assert disk.syncs == 2
        entry = trail.entry(_id(1))
        assert entry is not None
        assert entry.state is JobState.COMPLETED
        trail.deliver()
    assert told.found == [(1, None), (3, None)]


def test_an_attempt_that_waits_counts_with_the_first(path: Path, disk: Disk) -> None:
    with opened(path) as trail:
        trail.append(admitted(1))
        trail.append(audit_events.ended(_id(1), HEADER))
        for number in (1, 2, 3):
            trail.enter(admitted(number), Told().of(number))
        for _ in range(2):
            assert trail.admitted(day=TIME.date(), **WHO) == 3
            assert trail.admitted(day=TIME.date(), submitter="metro-pd", ori="WI0140000") == 0
            trail.settle()


def test_a_checkpoint_is_of_the_lines_that_waited(path: Path) -> None:
    with opened(path) as trail:
        trail.enter(admitted(1), Told().of(1))
        note = sign_checkpoint(trail.tree, origin="cji-worker/w", key=KEY).decode()
        assert parse_checkpoint(note.encode()).size == 1
        trail.enter(admitted(2), Told().of(2))
        with pytest.raises(ValueError, match="out of order"):  # the line that waited is one more
            trail.append(TrailCheckpoint(note=note, receipt_key=key_id(KEY.public_key())))
        note = sign_checkpoint(trail.tree, origin="cji-worker/w", key=KEY).decode()
        trail.append(TrailCheckpoint(note=note, receipt_key=key_id(KEY.public_key())))


def test_the_last_receipt_may_wait_and_be_lost(path: Path, disk: Disk) -> None:
    with opened(path) as trail:
        for number in (1, 2):
            trail.append(admitted(number))
        first, second = (
            audit_events.completed(_id(number), HEADER, receipt=f"head.receipt{number}.sig") for number in (1, 2)
        )
        trail.append(first)
        trail.enter(second, Told().of(2))
        assert trail.last_completion() == second
        disk.fails = True
        trail.settle()
        assert trail.last_completion() == first
        disk.fails = False
        trail.maintain()
        trail.append(second)
        assert trail.last_completion() == second


def test_a_line_that_cannot_be_written_is_lost_at_once(path: Path) -> None:
    told = Told()
    with opened(path) as trail:
        loop = Loop(trail)
        path.unlink()
        trail.enter(admitted(1), told.of(1))
        assert told.found == []
        loop.turn()
    assert told.found == [(1, Reason.AUDIT_UNAVAILABLE)]


def test_a_group_that_is_synced_during_a_fault_counts(path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gathered is lost with the fault; the file is read again once the group is decided."""

    def unknown(_: int) -> os.statvfs_result:
        raise OSError(errno.EIO, "no answer")

    told = Told()
    with opened(path) as trail:
        loop = Loop(trail)
        disk.open.clear()
        trail.enter(admitted(1), told.of(1))
        trail.enter(admitted(2), told.of(2))
        with monkeypatch.context() as patched:
            patched.setattr(os, "fstatvfs", unknown)
            assert not trail.writable()
        loop.turn()
        assert told.found == [(2, Reason.AUDIT_UNAVAILABLE)]
        threading.Timer(0.05, disk.open.set).start()
        trail.maintain()
        loop.turn()
        assert told.found[1:] == [(1, None)]
        assert trail.writable()
    assert [event.kind for event in _events(path)] == ["job_admitted", "tail_recovered"]


def test_no_file_is_closed_while_a_group_is_synced(path: Path, disk: Disk) -> None:
    with AuditFile(path, worker="w", clock=lambda: TIME, segment_bytes=1) as trail:
        trail.append(admitted(1))
        note = sign_checkpoint(trail.tree, origin="cji-worker/w", key=KEY).decode()
        trail.append(TrailCheckpoint(note=note, receipt_key=key_id(KEY.public_key())))
        Loop(trail)
        disk.open.clear()
        trail.enter(admitted(2), Told().of(2))
        threading.Timer(0.05, disk.open.set).start()
        trail.rotate()
        assert trail.uncovered
    assert [event.kind for event in _events(path)] == ["job_admitted", "trail_checkpoint", "job_admitted"]


def test_a_ledger_at_fault_is_not_committed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has half of a line, and the next start applies that line again; those after it were not applied either."""

    def half(ledger: ReplayLedger, record: Record, *_: Any, line: int, **__: Any) -> None:
        ledger._begin()
        ledger._apply(record.event, line, 0)
        if record.seq == 1:
            raise sqlite3.OperationalError("disk I/O error")
        ledger.mark.head = Head(seq=record.seq, hash=record.hash)

    told = Told()
    with opened(path) as trail:
        monkeypatch.setattr(ReplayLedger, "apply", half)
        for number in range(3):
            trail.enter(admitted(number), told.of(number))
        trail.settle()
        assert trail._ledger.mark.head == GENESIS
        trail.deliver()
        assert not trail.writable()
    assert told.found == [(number, None) for number in range(3)]  # the lines count
    monkeypatch.undo()
    with opened(path) as trail:
        assert [event.job_id for event in trail.unfinished()] == [admitted(number).job_id for number in range(3)]


def test_a_trail_that_is_closed_has_what_waited(path: Path) -> None:
    with opened(path) as trail:
        Loop(trail)
        for number in range(3):
            trail.enter(admitted(number), Told().of(number))
    assert _events(path) == [admitted(number) for number in range(3)]
    assert not [thread.name for thread in threading.enumerate() if thread.name == "trail"]


def test_a_crash_at_any_byte_of_a_group_leaves_whole_lines(path: Path, tmp_path: Path) -> None:
    with opened(path) as trail:
        trail.append(admitted(0))
        begin = path.stat().st_size
        for number in (1, 2, 3):
            trail.enter(admitted(number), Told().of(number))
    whole = path.read_bytes()
    for cut in range(begin, len(whole), 97):
        crashed = tmp_path / f"crashed-{cut}.jsonl"
        crashed.touch(mode=0o600)
        crashed.write_bytes(whole[:cut])
        left = whole[:cut].count(b"\n")
        with opened(crashed) as trail:
            assert [event.job_id for event in trail.unfinished()] == [admitted(n).job_id for n in range(left)]
        assert crashed.read_bytes().startswith(whole[: whole[:cut].rfind(b"\n") + 1])
        verify_chain(crashed.read_bytes().splitlines(keepends=True))


_WRITER: Final = """
import os, sys, threading, time
from pathlib import Path
from tests.unit.audit.test_groups import Loop, admitted, opened

held, fsync = threading.Event(), os.fsync
def slow(fd):
    if held.is_set() and os.readlink(f"/proc/self/fd/{fd}").endswith("audit.jsonl"):
        print("written", flush=True)
        time.sleep(60)
    fsync(fd)

os.fsync, trail = slow, opened(Path(sys.argv[1]))
loop = Loop(trail)
for number in range(20):
    trail.enter(admitted(number), lambda lost, number=number: print(number, lost, flush=True))
    if number % 3 == 0:
        loop.turn()
trail.settle()
trail.deliver()
held.set()
for number in range(20, 25):
    trail.enter(admitted(number), lambda lost, number=number: print(number, lost, flush=True))
time.sleep(60)
"""


def test_a_writer_killed_before_the_sync_loses_nothing_it_told(path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(path)]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "written\n":
                process.kill()
                break
            told.append(line)
        told += process.stdout.readlines()
    assert told == [f"{number} None\n" for number in range(20)]
    with opened(path) as trail:
        left = [event.job_id for event in trail.unfinished()]
        assert left[:20] == [admitted(number).job_id for number in range(20)]
        assert left[20:] in ([], [admitted(20).job_id])  # written, and told to nobody
    assert _events(path)[:20] == [admitted(number) for number in range(20)]

"""A worker closes its file as a segment and goes on: a crash or a fault at any step loses and doubles no line."""

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.errors import StartupError
from cji_core.jose import key_id
from cji_core.trail import TrailCheckpoint, read, verify_chain
from cji_core.trail.checkpoint import sign_checkpoint
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.segments import segment_path
from cji_core.trail.trail import lines, verified
from cji_worker.deliverer.sinks.batch import Outgoing
from cji_worker.deliverer.sinks.sink import Sink
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobState
from tests.support.audit_events import TIME, admitted, completed, ledger_of
from tests.support.rotated import split

HEADER = b"\x02" * 48
KEY = ec.generate_private_key(ec.SECP384R1())
STEPS = ("open", "fchmod", "rename", "fsync", "close", "unlink")


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def opened(path: Path, *, segment_bytes: int = 1) -> AuditFile:
    return AuditFile(path, worker="worker-1", clock=lambda: TIME, segment_bytes=segment_bytes)


def checkpoint(trail: AuditFile) -> None:
    note = sign_checkpoint(trail.tree, origin="cji-worker/worker-1", key=KEY).decode()
    trail.append(TrailCheckpoint(note=note, receipt_key=key_id(KEY.public_key())))


def fill(trail: AuditFile, *numbers: int) -> None:
    for number in numbers:
        trail.append(admitted(_id(number), HEADER))
        trail.append(completed(_id(number), HEADER))
    checkpoint(trail)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def segments(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.glob("audit.log.[1-9]*-*"))


def test_a_large_file_is_closed_after_a_checkpoint(path: Path) -> None:
    with opened(path, segment_bytes=4000) as trail:
        fill(trail, 1)
        trail.rotate()
        assert segments(path) == []
        fill(trail, 2)
        trail.append(admitted(_id(3), HEADER))
        trail.rotate()
        assert segments(path) == []  # lines follow the checkpoint
        checkpoint(trail)
        trail.rotate()
        assert segments(path) == ["audit.log.1-8"]
        assert path.read_bytes() == b""
        assert path.stat().st_mode & 0o777 == 0o640
        trail.append(completed(_id(3), HEADER))
        assert trail.completion(_id(1)) == completed(_id(1), HEADER)
        assert trail.last_completion() == completed(_id(3), HEADER)
    whole = segment_path(path, 1, 8).read_bytes() + path.read_bytes()
    assert verify_chain(whole.splitlines(keepends=True)).seq == 9
    assert b"".join(lines(path)) == whole


def test_a_second_worker_is_kept_out_after_a_rotation(path: Path) -> None:
    with opened(path) as trail:
        fill(trail, 1)
        trail.rotate()
        with pytest.raises(StartupError):
            opened(path)
        fill(trail, 2)


def test_a_start_reads_only_what_follows_the_ledger(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(path) as trail:
        fill(trail, 1)
        trail.rotate()
        fill(trail, 2)
        trail.rotate()
    for _ in range(2):
        with opened(path) as trail:
            assert trail.head.seq == 6
            assert trail.completion(_id(1)) is not None
    ledger_of(path).unlink()
    with opened(path) as trail:
        assert trail.completion(_id(2)) is not None
        assert trail.unfinished() == ()
    assert "moved" not in capfd.readouterr().err


def test_segments_that_were_copied_make_the_ledger_again(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(path) as trail:
        fill(trail, 1)
        trail.rotate()
    data = segment_path(path, 1, 3).read_bytes()
    segment_path(path, 1, 3).rename(path.with_name("kept"))
    segment_path(path, 1, 3).write_bytes(data)
    with opened(path) as trail:
        assert trail.head.seq == 3
    assert "audit file moved" in capfd.readouterr().err


def _damage_missing(path: Path) -> None:
    segment_path(path, 1, 3).unlink()


def _damage_cut(path: Path) -> None:
    last = segment_path(path, 4, 6)
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-1]))


def _damage_renamed(path: Path) -> None:
    segment_path(path, 4, 6).rename(segment_path(path, 4, 7))


@pytest.mark.parametrize("damage", [_damage_missing, _damage_cut, _damage_renamed])
@pytest.mark.parametrize("rebuild", [False, True])
def test_a_start_refuses_segments_that_are_not_its_own(
    path: Path, damage: Callable[[Path], None], *, rebuild: bool
) -> None:
    with opened(path) as trail:
        for number in (1, 2):
            fill(trail, number)
            trail.rotate()
    damage(path)
    if rebuild:
        ledger_of(path).unlink()
    with pytest.raises(StartupError) as caught:
        opened(path)
    assert "audit" in str(caught.value)


# ---- a crash, or a fault, at any step ----


class _Steps:
    """Counts the calls by which storage changes files; at one of them, something happens before or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, happen: Callable[[], None], *, after: bool) -> None:
        self.count, self._at, self._happen, self._after = 0, at, happen, after
        for name in STEPS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            number = self.count
            self.count += 1
            if number == self._at and not self._after:
                self._happen()
            result = call(*arguments, **options)
            if number == self._at and self._after:
                self._happen()
            return result

        return counted


def steps_of_rotation(path: Path) -> int:
    with opened(path) as trail, pytest.MonkeyPatch.context() as patched:
        fill(trail, 0)
        steps = _Steps(patched, -1, lambda: None, after=False)
        trail.rotate()
        return steps.count


def _killed(path: Path, at: int) -> None:
    """A worker that rotates, in a process of its own, which SIGKILL ends before one of its steps."""
    pid = os.fork()
    if pid == 0:
        try:
            trail = opened(path)
            fill(trail, 1, 2)
            with pytest.MonkeyPatch.context() as patched:
                _Steps(patched, at, lambda: os.kill(os.getpid(), signal.SIGKILL), after=False)
                trail.rotate()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    count = steps_of_rotation(tmp_path / "counted.log")
    assert count >= 10
    missing = 0
    for at in range(count):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "audit.log"
        _killed(path, at)
        missing += not path.exists()
        before = list(lines(path))  # whoever reads it meanwhile
        assert len(before) == 5
        with opened(path) as trail:
            assert trail.head.seq == 5
            assert {trail.entry(_id(n)).state for n in (1, 2)} == {JobState.COMPLETED}  # type: ignore[union-attr]
            fill(trail, 3)
            trail.rotate()
            fill(trail, 4)
        found = list(lines(path))
        assert found[:5] == before
        assert len(found) == 11
        assert [record.seq for _, record in verified(path)] == list(range(1, 12))
        assert len(segments(path)) in (1, 2)
        assert not path.with_name("audit.log.next").exists()
    assert missing  # between the two renames


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("after", [False, True])
def test_a_fault_at_any_step_of_a_rotation_is_recovered(tmp_path: Path, number: int, *, after: bool) -> None:
    count = steps_of_rotation(tmp_path / "counted.log")
    failed = 0
    for at in range(count):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "audit.log"
        with opened(path) as trail:
            fill(trail, 1, 2)
            with pytest.MonkeyPatch.context() as patched:
                _Steps(patched, at, lambda: _raise(number), after=after)
                trail.rotate()
            failed += not trail.writable()
            trail.maintain()
            assert trail.writable()
            fill(trail, 3)
            trail.rotate()
            assert trail.completion(_id(1)) == completed(_id(1), HEADER)
            fill(trail, 4)
        assert [record.seq for _, record in verified(path)] == list(range(1, trail.head.seq + 1))
        jobs = [record.event for _, record in verified(path) if record.event.kind.startswith("job_")]
        assert len(jobs) == 8
        with opened(path) as trail:
            assert trail.unfinished() == ()
    assert failed


def _raise(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_a_segment_that_is_there_already_is_not_overwritten(path: Path) -> None:
    with opened(path) as trail:
        fill(trail, 1)
        segment_path(path, 1, 3).write_bytes(b"x")
        trail.rotate()
        assert not trail.writable()
        with pytest.raises(StartupError):
            trail.maintain()
    assert segment_path(path, 1, 3).read_bytes() == b"x"
    assert path.read_bytes().count(b"\n") == 3


def test_a_trail_of_most_segments_goes_on_in_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One more would be refused at every start."""
    monkeypatch.setattr("cji_core.trail.segments.MAX_SEGMENTS", 2)
    with opened(path) as trail:
        for number in range(5):
            fill(trail, number)
            trail.rotate()
            assert trail.writable()
    assert segments(path) == ["audit.log.1-3", "audit.log.4-6"]
    assert capfd.readouterr().err.count("audit trail not rotated") == 1
    with opened(path) as trail:
        assert trail.head.seq == 15
        monkeypatch.setattr("cji_core.trail.segments.MAX_SEGMENTS", 3)
        trail.rotate()
    assert segments(path)[-1] == "audit.log.7-15"


# ---- delivery ----


class _Carrier:
    """Keeps what it gets; fails at every third batch."""

    max_bytes, max_events = 1 << 20, 3

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._calls = 0

    def encode(self, event: Outgoing) -> bytes:
        return event.id.encode()

    def send(self, batch: list[bytes]) -> None:
        self._calls += 1
        if self._calls % 3 == 0:
            raise DeliveryError("not now")
        self.ids += [each.decode() for each in batch]


def test_delivery_goes_on_across_rotations(path: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    carrier = _Carrier()
    sink = Sink("sink", carrier, "native", trail=path, state=state)
    rotations = 0
    with opened(path) as trail:
        for number in range(12):
            fill(trail, number)
            trail.rotate()
            rotations += 1
            if number % 4 == 3:  # it was behind by several segments
                sink = Sink("sink", carrier, "native", trail=path, state=state)
                _drain(sink)
            elif number % 4 == 0:
                with suppress(DeliveryError):
                    sink.advance()
        _drain(sink)
        assert len(carrier.ids) == len(set(carrier.ids)) == trail.head.seq == 36
    assert len(segments(path)) == rotations


def _drain(sink: Sink) -> None:
    before = -1
    while True:
        try:
            reached = sink.advance().seq
        except DeliveryError:
            continue
        if reached == before:
            return
        before = reached


def test_a_sink_names_a_segment_that_was_changed(tmp_path: Path) -> None:
    with opened(tmp_path / "whole.log", segment_bytes=1 << 30) as trail:
        fill(trail, *range(6))
    data = [*lines(tmp_path / "whole.log")]
    path = split(data, tmp_path / "audit.log", 4, 8)
    (tmp_path / "state").mkdir()
    sink = Sink("sink", _Carrier(), "native", trail=path, state=tmp_path / "state")
    sink.advance()
    segment = segment_path(path, 5, 8)
    segment.write_bytes(segment.read_bytes().replace(b"op-17", b"op-18", 1))
    with pytest.raises(Exception, match=r"audit line 5: hash: .*, in audit\.log\.5-8"):
        _drain(sink)
    assert read(data[4]).seq == 5

import errno
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_core.trail import (
    GENESIS,
    AttemptSuperseded,
    ChainError,
    Event,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    TailRecovered,
    TrailRefused,
    TrailStarted,
    WorkerStopped,
    append_record,
    read,
    utc_hundredths,
    verify_chain,
)
from cji_worker.trail.opening import RolledBackError
from cji_worker.trail.replay_ledger import JobState
from tests.support import audit_events
from tests.support.audit_events import TIME, ledger_of, opened
from tests.support.refusals import refused

HEADER, OTHER = b"\x02" * 48, b"\x07" * 48


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def admitted(number: int, header: bytes = HEADER) -> JobAdmitted:
    return audit_events.admitted(_id(number), header)


def completed(number: int, header: bytes = HEADER) -> JobCompleted:
    return audit_events.completed(_id(number), header, receipt=f"head.receipt{number}.sig")


def ended(number: int, header: bytes = HEADER) -> JobEnded:
    return audit_events.ended(_id(number), header)


def superseded(number: int, header: bytes = HEADER) -> AttemptSuperseded:
    return audit_events.superseded(_id(number), header)


def refusal_event(number: int) -> JobRefused:
    return JobRefused(
        source="ipv4:127.0.0.1:50000",
        stage=Stage.ADMIT,
        reason=Reason.REPLAYED,
        correlation_id="c0ffee",
        submitter="metro-pd",
        job_id=_id(number).hex(),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def _filled(path: Path, *events: Event) -> bytes:
    with opened(path) as trail:
        for event in events:
            trail.append(event)
    return path.read_bytes()


def _unavailable(path: Path) -> BaseException | None:
    with refused(Reason.AUDIT_UNAVAILABLE) as caught:
        opened(path)
    return caught.value.__cause__


def test_a_trail_begins_once_and_keeps_its_identity(path: Path, tmp_path: Path) -> None:
    with opened(path) as trail:
        trail.begin()
        assert trail.began
        identity = trail.identity
        trail.append(admitted(1))
        trail.begin()
        with pytest.raises(ValueError, match="out of order"):
            trail.append(TrailStarted(nonce="00" * 32))
    with opened(path) as again:
        again.begin()
        assert not again.began
        assert again.identity == identity
    with opened(tmp_path / "other.jsonl") as other:
        other.begin()
        assert other.identity != identity
    first = read(path.read_bytes().splitlines(keepends=True)[0])
    assert (first.hash, first.event.kind) == (identity, "trail_started")


def test_a_first_line_that_begins_no_trail_is_refused(path: Path) -> None:
    _filled(path, admitted(1))
    with opened(path) as trail, refused(Reason.AUDIT_UNAVAILABLE):
        trail.begin()


def test_a_torn_first_line_is_written_again(path: Path) -> None:
    path.write_bytes(b'{"seq":1,"ti')
    with opened(path) as trail:
        trail.begin()
        assert trail.began
    (line,) = path.read_bytes().splitlines(keepends=True)
    assert isinstance(read(line).event, TrailStarted)


def test_an_emptied_trail_gets_another_first_line(path: Path) -> None:
    """Its ledger has the lines, so it is refused; whoever resumes it gets another identity."""
    with opened(path) as trail:
        trail.begin()
        trail.append(admitted(1))
        identity = trail.identity
    path.write_bytes(b"")
    assert isinstance(_unavailable(path), RolledBackError)
    first, second = (read(line) for line in path.read_bytes().splitlines(keepends=True))
    assert isinstance(first.event, TrailStarted)
    assert isinstance(second.event, TrailRefused)
    assert first.hash != identity


def test_what_is_appended_is_a_chain_on_disk(path: Path) -> None:
    data = _filled(path, admitted(1), completed(1), WorkerStopped(jobs_completed=1))
    lines = data.splitlines(keepends=True)
    head = verify_chain(lines)
    assert (head.seq, len(lines)) == (3, 3)
    first = json.loads(lines[0])
    assert list(first) == ["seq", "time", "worker", "prev", "event", "hash"]
    assert first["time"] == "2026-11-24T15:00:00.12Z"
    assert (first["prev"], first["event"]["kind"]) == ("A" * 64, "job_admitted")
    assert json.loads(lines[1])["prev"] == first["hash"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640  # whatever the umask


def test_a_reopened_trail_knows_its_jobs(path: Path) -> None:
    _filled(path, refusal_event(9), admitted(1), completed(1), admitted(2), ended(2), refusal_event(1), admitted(3))
    with opened(path) as trail:
        entries = {number: trail.entry(_id(number)) for number in (1, 2, 3, 7, 9)}
        assert {number: entry.state for number, entry in entries.items() if entry is not None} == {
            1: JobState.COMPLETED,
            2: JobState.ENDED,
            3: JobState.ADMITTED,
        }
        assert trail.unfinished() == (admitted(3),)
        assert trail.completion(_id(1)) == completed(1)
        assert trail.completion(_id(2)) is None
        assert trail.completion(_id(9)) is None
        assert trail.last_completion() == completed(1)
        assert entries[2] is not None
        assert entries[2].header_sha384 == b"\x02" * 48
        assert trail.head.seq == 7


def test_an_empty_trail_has_no_receipt(path: Path) -> None:
    with opened(path) as trail:
        assert trail.head == GENESIS
        assert trail.last_completion() is None
        assert trail.writable()


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ([], completed(1)),
        ([], ended(1)),
        ([admitted(1)], admitted(1)),
        ([admitted(1), completed(1)], completed(1)),
        ([admitted(1), completed(1)], ended(1)),
        ([admitted(1), completed(1)], admitted(1)),
        ([admitted(1), ended(1)], admitted(1, OTHER)),
        ([admitted(1)], completed(1, OTHER)),
        ([admitted(1)], ended(1, OTHER)),
        ([], superseded(1)),
        ([admitted(1)], superseded(1)),
        ([admitted(1), ended(1)], superseded(1)),
        ([admitted(1), completed(1)], superseded(1, OTHER)),
        ([admitted(1), completed(1), superseded(1)], superseded(1)),
        ([admitted(1), completed(1), superseded(1)], completed(1)),
        ([admitted(1), completed(1), superseded(1)], admitted(1, OTHER)),
    ],
)
def test_an_event_out_of_order_is_not_written(path: Path, before: list[Event], event: Event) -> None:
    data = _filled(path, *before)
    with opened(path) as trail:
        with pytest.raises(ValueError, match="out of order"):
            trail.append(event)
        assert path.read_bytes() == data
        trail.append(WorkerStopped(jobs_completed=0))


def test_an_attempt_without_receipt_may_be_repeated(path: Path) -> None:
    _filled(path, admitted(1), ended(1), admitted(1), completed(1))
    with opened(path) as trail:
        assert trail.completion(_id(1)) == completed(1)


def test_a_job_may_run_again_after_its_receipt_was_superseded(path: Path) -> None:
    _filled(path, admitted(1), completed(1), superseded(1))
    with opened(path) as trail:
        assert trail.completion(_id(1)) is None
        assert trail.last_completion() == completed(1)  # the receipts of a worker stay one sequence
        trail.append(admitted(1))
        trail.append(completed(1))
        assert trail.completion(_id(1)) == completed(1)


def test_a_malformed_event_is_not_written_and_the_trail_goes_on(path: Path) -> None:
    with opened(path) as trail:
        for bad in (
            msgspec.structs.replace(admitted(1), submitter="two\nlines"),
            msgspec.structs.replace(admitted(1), submitter="\ud800"),
            msgspec.structs.replace(admitted(1), job_id="AB" * 16),
            msgspec.structs.replace(admitted(1), recipients=()),
            msgspec.structs.replace(admitted(1), operations=("x" * 250,) * 400),
        ):
            with pytest.raises(ValueError, match=r"out of shape|too long|hexadecimal"):
                trail.append(bad)
        assert path.read_bytes() == b""
        trail.append(admitted(1))


def test_a_crash_at_any_byte_loses_and_doubles_no_event(path: Path, tmp_path: Path) -> None:
    whole = _filled(path, admitted(1), completed(1), admitted(2), completed(2))
    last = whole.rfind(b"\n", 0, -1) + 1
    for cut in range(last, len(whole)):
        crashed = tmp_path / f"crashed-{cut}.jsonl"
        crashed.write_bytes(whole[:cut])
        crashed.chmod(0o600)
        with opened(crashed) as trail:
            assert trail.completion(_id(1)) == completed(1)
            assert trail.completion(_id(2)) is None
            assert trail.unfinished() == (admitted(2),)
            trail.append(completed(2))
            assert trail.last_completion() == completed(2)
        data = crashed.read_bytes()
        assert data.startswith(whole[:last])
        assert verify_chain(data.splitlines(keepends=True)).seq == (4 if cut == last else 5)
        assert data.count(b'"kind":"job_completed"') == 2
        assert data.count(b'"kind":"tail_recovered"') == (0 if cut == last else 1)


def test_the_cut_itself_is_recorded(path: Path) -> None:
    whole = _filled(path, admitted(1))
    path.write_bytes(whole + b'{"seq":2,"ti')
    opened(path).close()
    event = json.loads(path.read_bytes().splitlines()[1])["event"]
    assert event["kind"] == "tail_recovered"
    assert event["cut_bytes"] == 12
    assert isinstance(msgspec.convert(event, TailRecovered), TailRecovered)


def _broken(path: Path, data: bytes) -> tuple[int, str]:
    """The fault that is found when the whole trail is read."""
    ledger_of(path).unlink(missing_ok=True)
    path.write_bytes(data)
    cause = _unavailable(path)
    assert isinstance(cause, ChainError)
    assert path.read_bytes() == data
    return cause.line, cause.field


def test_tampering_inside_the_trail_is_named_and_refused(path: Path) -> None:
    data = _filled(path, admitted(1), completed(1), admitted(2), ended(2))
    lines = data.splitlines(keepends=True)
    assert _broken(path, b"".join([lines[0], *lines[2:]])) == (2, "seq")
    assert _broken(path, b"".join([lines[0], lines[0], *lines[1:]])) == (2, "seq")
    assert _broken(path, b"".join([lines[0], lines[2], lines[1], lines[3]])) == (2, "seq")
    assert _broken(path, data.replace(b"op-17", b"op-18", 1)) == (1, "hash")
    assert _broken(path, data.replace(b'"duration_ms":1250', b'"duration_ms":1251')) == (2, "hash")
    assert _broken(path, data.replace(b'"seq":3', b'"seq": 3')) == (3, "line")
    assert _broken(path, data.replace(b'{"seq":3', b'{"seq":3,"seq":3')) == (3, "line")
    assert _broken(path, b"\n" + data) == (1, "line")
    assert _broken(path, data + b"\n") == (5, "line")
    assert _broken(path, b"x" * 200_000) == (1, "line")
    other = path.with_name("other.jsonl")
    foreign = _filled(other, admitted(7), ended(7), admitted(8)).splitlines(keepends=True)
    assert _broken(path, b"".join([*lines[:2], foreign[2], lines[3]])) == (3, "prev")


def test_every_flipped_byte_is_found(path: Path) -> None:
    data = _filled(path, admitted(1), completed(1))
    for place in range(len(data) - 1):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(ChainError):
            verify_chain(flipped.splitlines(keepends=True))


def test_lines_that_chain_but_make_no_sense_are_refused(path: Path) -> None:
    head, lines = GENESIS, b""
    for event in (admitted(1), completed(1), completed(1)):
        head, line = append_record(event, head=head, time=utc_hundredths(TIME), worker="worker-1")
        lines += line
    path.touch(mode=0o600)
    assert _broken(path, lines) == (3, "event")


def test_a_line_counts_once_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    with opened(path) as trail:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", broken)
            with refused(Reason.AUDIT_UNAVAILABLE):
                trail.append(admitted(1))
        assert path.read_bytes() == b""
        assert trail.entry(_id(1)) is None
        assert not trail.writable()
        with refused(Reason.AUDIT_UNAVAILABLE):
            trail.append(admitted(1))


def test_only_one_writer_has_the_trail(path: Path) -> None:
    with opened(path):
        assert isinstance(_unavailable(path), OSError)
    opened(path).close()


@pytest.mark.parametrize("kind", ["link", "device", "pipe", "folder", "writable by others", "nowhere"])
def test_a_place_that_cannot_hold_the_trail_is_refused(path: Path, kind: str) -> None:
    match kind:
        case "link":
            path.with_name("real").touch(mode=0o600)
            path.symlink_to(path.with_name("real"))
        case "device":
            path = Path("/dev/full")
        case "pipe":
            os.mkfifo(path, 0o600)
        case "folder":
            path.mkdir()
        case "writable by others":
            path.touch()
            path.chmod(0o620)
        case _:
            path = path / "missing" / "audit.jsonl"
    assert isinstance(_unavailable(path), OSError)


def test_a_closed_trail_refuses(path: Path) -> None:
    trail = opened(path)
    trail.close()
    trail.close()
    assert not trail.writable()
    with refused(Reason.AUDIT_UNAVAILABLE):
        trail.append(admitted(1))


def test_a_killed_writer_loses_nothing_that_it_acknowledged(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from cji_core.trail import WorkerStopped; from cji_worker.trail.file import AuditFile\n"
        "trail = AuditFile(Path(sys.argv[1]), worker='w', clock=lambda: datetime.now(UTC))\n"
        "for n in range(100000):\n"
        "    trail.append(WorkerStopped(jobs_completed=n)); print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        acknowledged = 20 + len([line for line in process.stdout.read().splitlines() if line])
    with opened(path) as trail:
        kept = path.read_bytes().count(b'"kind":"worker_stopped"')
        assert acknowledged <= kept <= acknowledged + 1
        assert trail.head.seq >= kept


def test_time_is_utc_in_hundredths_and_never_rounded_up() -> None:
    east = datetime(2026, 1, 1, 0, 0, 59, 999_999, tzinfo=UTC) + timedelta(0)
    assert utc_hundredths(east) == "2026-01-01T00:00:59.99Z"
    with pytest.raises(ValueError, match="naive"):
        utc_hundredths(datetime(2026, 1, 1))


def test_the_descriptor_is_not_inherited(path: Path) -> None:
    with opened(path):
        inherited = [fd for fd in os.listdir("/proc/self/fd") if _names(fd, path) and os.get_inheritable(int(fd))]
    assert inherited == []


def _names(fd: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == str(path)
    except OSError:
        return False

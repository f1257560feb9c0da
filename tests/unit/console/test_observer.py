"""What the console reads: the status, the last hour, and the files of other processes."""

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason
from cji_core.format.configuration.console import ConsoleConfig
from cji_worker.console.history import MINUTES, History, Totals, totals
from cji_worker.console.observer import Observer, read_status
from cji_worker.console.states import MAX_DESTINATIONS, Deliveries, certificate_until, reviews_in
from cji_worker.console.view import Destination, Silence
from cji_worker.ipc.messages import ReasonCount
from cji_worker.ipc.status import UNKNOWN, Status
from tests.support.console_tools import NOW, counts, encoded, jobs, status, status_socket

DOCUMENT: dict[str, Any] = json.loads(encoded())


def changed(path: str, value: object) -> bytes:
    """The document with another value in one place."""
    made = json.loads(encoded())
    *inner, last = path.split(".")
    at = made
    for name in inner:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[int(last) if isinstance(at, list) else last] = value
    return json.dumps(made).encode()


def test_a_document_of_this_version_is_read() -> None:
    found, silence = read_status(encoded() + b"\n")
    assert silence is None
    assert found is not None
    assert found == status()


@pytest.mark.parametrize(
    ("data", "silence"),
    [
        (b"", "no answer"),
        (UNKNOWN, "supervisor silent"),
        (b"{}", "not understood"),
        (b"\xff" * 100, "not understood"),
        (b"[" * 100_000, "not understood"),
        (changed("state", "great"), "not understood"),
        (changed("reason", "op-17"), "not understood"),
        (changed("extra", 1), "not understood"),
        (changed("jobs.operations.0.operation", "fulton-pd"), "not understood"),
        (changed("jobs.operations.0.operation", "link"), "not understood"),
        (changed("jobs.refused.0.reason", "POLICY_DENIED"), "not understood"),
        (changed("host.0.condition", "core-pattern"), "not understood"),
        (changed("host.0.condition", "WI0130000"), "not understood"),
        (changed("processes.0.name", "zygote"), "not understood"),
        (changed("jobs.rows_in", -1), "not understood"),
        (changed("keys", [DOCUMENT["keys"][0]] * 65), "not understood"),
    ],
)  # fmt: skip
def test_any_other_document_is_not_used(data: bytes, silence: Silence) -> None:
    assert read_status(data) == (None, silence)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    found, silence = read_status(data)
    assert (found is None) is (silence is not None)


# ------------------------------------------------------------------ the last hour


def at(minute: float) -> datetime:
    return datetime(2026, 11, 27, 10, tzinfo=UTC) + timedelta(minutes=minute)


def told(completed: int, *, refused: int = 0, started: str = "2026-11-27T00:00:00Z") -> Status:
    found = status(
        keyholder=jobs(
            operations=(counts("link", completed),),
            refused=(ReasonCount(reason=Reason.EXPIRED, count=refused),),
            rows_out=10 * completed,
            bytes_in=completed,
            bytes_out=completed,
        )
    )
    return msgspec.structs.replace(found, started=started)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 3), st.integers(0, 50), st.integers(0, 9), st.booleans()), min_size=1, max_size=80
    )
)
def test_the_hour_equals_a_count_of_single_events(steps: list[tuple[float, int, int, bool]]) -> None:
    """Twin: a list of every event with its minute. A restart begins the counts again."""
    history, minute, completed, refused, starts = History(), 0.0, 0, 0, 0
    jobs_in, refusals_in = Counter[int](), Counter[int]()
    for number, (wait, more, more_refused, restart) in enumerate(steps):
        minute += wait
        if restart:
            completed = refused = 0
            starts += 1
        completed, refused = completed + more, refused + more_refused
        history.note(told(completed, refused=refused, started=f"2026-11-27T00:00:{starts % 60:02}Z"), at=at(minute))
        if number:
            jobs_in[int(at(minute).timestamp() // 60)] += more
            refusals_in[int(at(minute).timestamp() // 60)] += more_refused
    found = history.minutes(at=at(minute))
    first = int(at(minute).timestamp() // 60) - MINUTES + 1
    assert len(found) <= MINUTES
    assert {each.number: each.completed for each in found if each.completed} == {
        number: count for number, count in jobs_in.items() if number >= first and count
    }
    assert sum(each.refused for each in found) == sum(count for n, count in refusals_in.items() if n >= first)
    assert all((each.rows_out, each.bytes) == (10 * each.completed, 2 * each.completed) for each in found)


def test_what_was_before_the_console_is_not_in_its_hour() -> None:
    history = History()
    history.note(told(1000), at=at(0))
    history.note(told(1003), at=at(0.5))
    assert [each.completed for each in history.minutes(at=at(1))] == [3]
    assert totals(jobs().jobs) == Totals(51, 2, 18, 1_150_000, 6_300_000_000)


# ------------------------------------------------------------------ sinks and the log


def cursor(folder: Path, name: str, seq: int, **changes: object) -> None:
    document = {"version": 1, "destination": name, "seq": seq, "hash": "00" * 48, "offset": 7, **changes}
    (folder / f"{name}.delivered").write_text(json.dumps(document))


def test_sinks_and_the_log_are_found_with_their_last_line(tmp_path: Path) -> None:
    cursor(tmp_path, "sentinel", 90)
    cursor(tmp_path, "hub", 100)
    cursor(tmp_path, "log", 95)
    (tmp_path / "log").mkdir()
    (tmp_path / ".sentinel.delivered.new").write_text("half")
    found = Deliveries(tmp_path).read(100, now=NOW)
    assert found == (
        Destination(kind="log", name="log", line=95, waiting_since=NOW),
        Destination(kind="sink", name="hub", line=100, waiting_since=None),
        Destination(kind="sink", name="sentinel", line=90, waiting_since=NOW),
    )


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def test_waiting_begins_again_with_each_progress(tmp_path: Path) -> None:
    deliveries, minute = Deliveries(tmp_path), timedelta(minutes=1)
    waits = []
    for number, seq in enumerate((5, 5, 6, 6, 9, 9)):
        cursor(tmp_path, "sentinel", seq)
        (found,) = deliveries.read(9, now=NOW + number * minute)
        waits.append(found.waiting_since)
    assert waits == [NOW, NOW, NOW + 2 * minute, NOW + 2 * minute, None, None]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"x" * 5000),
        lambda file: file.write_bytes(b"[" * 1000),
        lambda file: file.write_text('{"destination":"other","seq":7}'),
        lambda file: file.write_text('{"destination":"sentinel","seq":-7}'),
        lambda file: file.write_text('{"destination":"sentinel","seq":99999999999999999999}'),
        fifo,
        lambda file: file.rename(f"{file}.2").with_name(file.name).mkdir(),
        lambda file: file.rename(f"{file}.2").with_name(file.name).symlink_to("/dev/zero"),
    ],
)
def test_a_state_that_cannot_be_read_is_shown_as_such(tmp_path: Path, damage: Any) -> None:
    cursor(tmp_path, "sentinel", 90)
    damage(tmp_path / "sentinel.delivered")
    (found,) = Deliveries(tmp_path).read(100, now=NOW)
    assert (found.line, found.waiting_since) == (None, NOW)


def test_a_crowd_of_files_is_cut_off(tmp_path: Path) -> None:
    for number in range(MAX_DESTINATIONS + 20):
        cursor(tmp_path, f"sink{number}", 1)
    (tmp_path / "<b>.delivered").write_text("{}")
    assert len(Deliveries(tmp_path).read(1, now=NOW)) == MAX_DESTINATIONS
    (gone,) = Deliveries(tmp_path / "absent").read(1, now=NOW)
    assert (gone.name, gone.line) == ("state", None)


# ------------------------------------------------------------------ reviews, certificate


def test_the_next_review_follows_the_last_signed_one(tmp_path: Path) -> None:
    for week in ("2026-W45", "2026-W46", "2026-W47", "2026-W99", "notes"):
        (tmp_path / week).mkdir()
    for week in ("2026-W45", "2026-W46", "2026-W99"):
        (tmp_path / week / "review.signed.json").write_text("e30.e30.e30")
    found = reviews_in(tmp_path, days=7, now=NOW)
    assert found.last_signed == "2026-W46"
    assert found.due == datetime(2026, 11, 30, tzinfo=UTC)  # week 47 ends with Sunday the 22nd
    (tmp_path / "2026-W45" / "review.signed.json").rename(tmp_path / "2026-W45" / "review.json")
    (tmp_path / "2026-W43").mkdir()
    (tmp_path / "2026-W43" / "review.signed.json").write_text("e30.e30.e30")
    gap = reviews_in(tmp_path, days=7, now=NOW)
    assert (gap.last_signed, gap.due) == ("2026-W46", datetime(2026, 11, 9, tzinfo=UTC))


def test_without_any_review_one_is_due_now(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        found = reviews_in(folder, days=7, now=NOW)
        assert (found.last_signed, found.due) == (None, NOW)


def test_the_certificate_is_the_first_of_its_file(tmp_path: Path) -> None:
    until = datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, until).sign(key, SHA256())
    (tmp_path / "server.pem").write_bytes(made.public_bytes(Encoding.PEM))
    assert certificate_until(tmp_path / "server.pem") == until
    (tmp_path / "server.pem").write_text("nothing")
    with pytest.raises(ValueError, match="PEM"):
        certificate_until(tmp_path / "server.pem")


# ------------------------------------------------------------------ all together


def test_a_look_asks_the_worker_and_reads_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.console.observer._ANSWER_S", 60.0)  # the worker is a thread of this busy process
    (tmp_path / "state").mkdir()
    cursor(tmp_path / "state", "sentinel", 4000)
    config = ConsoleConfig(
        status_socket=str(tmp_path / "status.sock"),
        certificate=str(tmp_path / "absent.pem"),
        reviews=str(tmp_path),
        delivery=str(tmp_path / "state"),
    )
    observer = Observer(config, clock=lambda: NOW)
    assert (observer.look().status, observer.look().silence) == (None, "no answer")
    with status_socket(tmp_path) as worker:
        found = observer.look()
        assert found.status == status()
        assert found.certificate_unreadable
        assert found.reviews is not None
        assert [each.line for each in found.destinations] == [4000]
        worker.document = b'{"state":"unknown"}'
        assert observer.look().silence == "supervisor silent"
    assert observer.look().silence == "no answer"

"""The deliverer's file as hostile input: it is what was written, or it is refused, or it is compared with the trail."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cji_core.trail.delivered import CursorError, Standing, line_at_of, read_position, standing, write_position
from cji_core.trail.trail import START, Position, after
from tests.support.sink_faults import Trail

HASHES = st.binary(min_size=48, max_size=48).map(bytes.hex)
COUNTS = st.integers(1, (1 << 63) - 1)
POSITIONS = st.builds(Position, seq=COUNTS, hash=HASHES, offset=COUNTS)
WRITTEN = datetime(2026, 11, 24, 15, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@given(position=POSITIONS)
@settings(max_examples=20)
def test_a_position_comes_back(folder: Path, position: Position) -> None:
    write_position(folder, "sink", position)
    assert read_position(folder, "sink") == position


@given(data=st.binary(max_size=2000))
@example(b"{}")
@example(b'{"version":1,"destination":"sink","seq":-1,"hash":"%b","offset":0}' % (b"0" * 96))
@example(b'{"version":1,"destination":"sink","seq":0,"hash":"%b","offset":7}' % (b"0" * 96))
@example(b'{"version":1,"destination":"other","seq":1,"hash":"%b","offset":7}' % (b"a" * 96))
@example(b'{"version":1,"destination":"sink","seq":1,"hash":"%b","offset":7,"x":1}' % (b"a" * 96))
@example(b"[" * 1000)
@example(b'{"version":1,"destination":"sink","seq":1,"hash":"%b","offset":7}%b' % (b"a" * 96, b" " * 1024))
def test_anything_else_is_refused(folder: Path, data: bytes) -> None:
    (folder / "sink.delivered").write_bytes(data)
    with pytest.raises(CursorError):
        read_position(folder, "sink")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path, make: object) -> None:
    make(tmp_path / "sink.delivered")  # type: ignore[operator]
    with pytest.raises(CursorError):
        read_position(tmp_path, "sink")
    assert read_position(tmp_path, "absent") is None


def stands(folder: Path, trail: Trail) -> Standing:
    return standing(folder, "sink", line_at_of(trail.path))


def test_a_standing_is_the_age_of_the_first_line_that_is_missing(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log")
    assert stands(tmp_path, trail) == Standing(seq=0, waiting_since=None, cause=None, complete=True)
    trail.grow(2, time="2026-11-24T15:00:00.00Z")
    trail.grow(1, time="2026-11-24T15:30:00.00Z")
    places = [position for position, _ in after(trail.path, START)]
    assert stands(tmp_path, trail).waiting_since == WRITTEN.timestamp()
    write_position(tmp_path, "sink", places[1])
    assert stands(tmp_path, trail).waiting_since == (WRITTEN + timedelta(minutes=30)).timestamp()
    write_position(tmp_path, "sink", places[2])
    assert stands(tmp_path, trail) == Standing(seq=3, waiting_since=None, cause=None, complete=True)


def test_a_claim_that_the_trail_contradicts_is_overdue_at_once(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log")
    trail.grow(3)
    first, second, third = (position for position, _ in after(trail.path, START))
    lies = (
        Position(seq=4, hash=third.hash, offset=third.offset),
        Position(seq=3, hash=second.hash, offset=third.offset),
        Position(seq=third.seq, hash=third.hash, offset=second.offset),
        Position(seq=third.seq, hash=third.hash, offset=third.offset + 1),
        Position(seq=third.seq, hash=third.hash, offset=1 << 40),
    )
    for lie in lies:
        write_position(tmp_path, "sink", lie)
        found = stands(tmp_path, trail)
        assert found.cause == "contradicted"
        assert found.overdue(WRITTEN, most_seconds=3600) == "contradicted"
    write_position(tmp_path, "sink", first)
    assert stands(tmp_path, trail).cause is None


def test_an_unreadable_file_counts_as_nothing_delivered(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log")
    trail.grow(1)
    (tmp_path / "sink.delivered").write_bytes(b"torn")
    found = stands(tmp_path, trail)
    assert found.overdue(WRITTEN + timedelta(seconds=59), most_seconds=60) is None
    assert found.overdue(WRITTEN + timedelta(seconds=62), most_seconds=60) == "unreadable"


def test_a_failed_write_leaves_the_old_position(tmp_path: Path) -> None:
    old = Position(seq=1, hash="a" * 96, offset=5)
    write_position(tmp_path, "sink", old)
    (tmp_path / ".sink.delivered.new").mkdir()
    with pytest.raises(OSError, match="sink"):
        write_position(tmp_path, "sink", Position(seq=2, hash="b" * 96, offset=6))
    assert read_position(tmp_path, "sink") == old

"""Reading on from a position: the same lines as from the start, and no line of a trail that was changed."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.trail import ChainError
from cji_core.trail.trail import START, Position, after, verified
from tests.support.sink_faults import Trail


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    found = Trail(tmp_path / "audit.log")
    found.grow(8)
    return found


def positions(trail: Trail) -> list[Position]:
    return [START, *(position for position, _ in after(trail.path, START))]


def test_every_position_leads_to_the_lines_after_it(trail: Trail) -> None:
    everything = [record for _, record in verified(trail.path)]
    for number, position in enumerate(positions(trail)):
        assert [record for _, record in after(trail.path, position)] == everything[number:]


def test_it_reads_new_lines_and_none_that_is_being_written(trail: Trail) -> None:
    last = positions(trail)[-1]
    assert list(after(trail.path, last)) == []
    trail.grow(2)
    with trail.path.open("ab") as file:
        file.write(b'{"seq":11,"time":"2026')
    assert [position.seq for position, _ in after(trail.path, last)] == [9, 10]


@pytest.mark.parametrize("end", [b"\0x", b"\1", b"x", b'{"x', b'{"seq":9,"time"\0x', b'{"seq":9,\t', b"\xff"])
def test_what_is_no_beginning_of_a_line_is_named(trail: Trail, end: bytes) -> None:
    with trail.path.open("ab") as file:
        file.write(end)
    with pytest.raises(ChainError, match="line 9: line"):
        list(verified(trail.path))
    trail.path.write_bytes(end)
    with pytest.raises(ChainError, match="line 1: line"):
        list(verified(trail.path))


@pytest.mark.parametrize("end", [b"\0", b"\0" * 4096])
def test_a_file_of_nuls_is_no_trail(trail: Trail, end: bytes) -> None:
    trail.path.write_bytes(end)
    with pytest.raises(ChainError, match="line 1: line"):
        list(verified(trail.path))


@pytest.mark.parametrize("end", [b"{", b'{"seq":', b'{"seq":9,"time":"2026-11-24T15:00', b'{"se\0\0', b"\0" * 4096])
def test_a_beginning_of_a_line_was_not_acknowledged(trail: Trail, end: bytes) -> None:
    with trail.path.open("ab") as file:
        file.write(end)
    assert len(list(verified(trail.path))) == 8


def test_a_pipe_in_its_place_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit.log")
    with pytest.raises(OSError, match="not a regular file"):
        list(verified(tmp_path / "audit.log"))


def test_a_trail_that_was_cut_is_named(trail: Trail) -> None:
    found = positions(trail)
    data = trail.path.read_bytes()
    trail.path.write_bytes(data[: found[-1].offset])
    with pytest.raises(ChainError, match="line 8: end: the trail ends before"):
        next(after(trail.path, found[-1]))
    trail.path.write_bytes(data[: found[-1].offset + 20])
    with pytest.raises(ChainError, match="line 8: line"):
        next(after(trail.path, found[-1]))


def test_another_trail_in_its_place_is_named(trail: Trail, tmp_path: Path) -> None:
    last = positions(trail)[-1]
    other = Trail(tmp_path / "other.log")
    other.grow(8, time="2026-11-24T15:00:00.13Z")
    with pytest.raises(ChainError, match="line 8: hash: another line is in its place"):
        next(after(other.path, last))


@given(data=st.data())
@settings(max_examples=30)
def test_no_changed_byte_from_the_position_on_is_accepted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes of lines before the position were read before; those of its line and after it must be as they were."""
    trail = Trail(tmp_path_factory.mktemp("trail") / "audit.log")
    trail.grow(3)
    position = positions(trail)[2]
    content = bytearray(trail.path.read_bytes())
    place = data.draw(st.integers(position.offset, len(content) - 2))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    trail.path.write_bytes(content)
    with pytest.raises(ChainError):
        list(after(trail.path, position))

"""What a process can write to is what is wiped after it, and nothing else is."""

import os
from collections.abc import Iterator

import pytest

from cji_worker.memory import Region, Writable
from cji_worker.memory.region import PIECE_BYTES

PIECES = 40
SIZE = PIECES * PIECE_BYTES
MARK = b"canary!!"


@pytest.fixture
def region() -> Iterator[Region]:
    """Full of marks."""
    fd = os.memfd_create("region")
    os.ftruncate(fd, SIZE)
    region = Region(fd)
    region.view()[:] = MARK * (SIZE // len(MARK))
    yield region
    region.unmap()


def wiped(region: Region, writable: Writable) -> set[int]:
    """The pieces that are zero after a wipe; no piece is so in part."""
    for _ in writable.wipe_in_turns():
        pass
    found = set()
    for piece in range(PIECES):
        content = bytes(region.view(piece * PIECE_BYTES, PIECE_BYTES))
        if not any(content):
            found.add(piece)
        else:
            assert content == MARK * (PIECE_BYTES // len(MARK))
    return found


def test_everything_is_wiped_until_something_is_known(region: Region) -> None:
    assert wiped(region, Writable(region)) == set(range(PIECES))


def test_what_is_closed_stays_and_every_other_piece_is_wiped(region: Region) -> None:
    writable = Writable(region)
    writable.only((0, 3 * PIECE_BYTES), (SIZE - PIECE_BYTES, PIECE_BYTES))
    assert writable.open(region.address + 10 * PIECE_BYTES, 20 * PIECE_BYTES)
    assert wiped(region, writable) == {*range(3), *range(10, 30), PIECES - 1}


def test_a_piece_of_which_a_byte_is_open_is_wiped_whole(region: Region) -> None:
    writable = Writable(region)
    writable.only((0, 1))
    assert writable.open(region.address + 6 * PIECE_BYTES - 1, 2)
    assert wiped(region, writable) == {0, 5, 6}


def test_what_is_noted_is_forgotten_with_the_process(region: Region) -> None:
    writable = Writable(region)
    writable.only((0, 1))
    writable.everything()
    assert wiped(region, writable) == set(range(PIECES))


@pytest.mark.parametrize(
    ("start", "size"),
    [(-1, 2), (0, 0), (0, SIZE + 1), (SIZE, 1), (SIZE - 1, 2), (0, 1 << 64), (-(1 << 40), 1 << 41)],
)
def test_nothing_outside_of_the_region_is_opened(region: Region, start: int, size: int) -> None:
    writable = Writable(region)
    writable.only()
    assert not writable.open(region.address + start, size)
    assert wiped(region, writable) == set()


def test_what_is_open_is_not_opened_again(region: Region) -> None:
    """So a process asks at most once for each piece."""
    writable = Writable(region)
    writable.only((0, 2 * PIECE_BYTES))
    assert not writable.open(region.address, 2 * PIECE_BYTES)
    assert writable.open(region.address, 3 * PIECE_BYTES)
    assert not writable.open(region.address + 2 * PIECE_BYTES, 1)

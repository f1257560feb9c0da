"""A trail of segments is read as one file would be, and no segment can be missing, doubled, moved or changed."""

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_audit.packet.material import Period
from cji_audit.packet.survey import survey as packet_survey
from cji_audit.reconcile import Releases
from cji_core.trail import ChainError, Record
from cji_core.trail.chain import read
from cji_core.trail.index import TrailIndex
from cji_core.trail.proofs import prove_line, prove_lines, verify_line, verify_lines
from cji_core.trail.rules import Watcher
from cji_core.trail.segments import segment_path
from cji_core.trail.trail import START, Position, after, last, line_at, lines, opened, size_of, verified
from cji_core.trail.witnesses.comparison import compare
from cji_core.trail.witnesses.findings import Examination
from cji_core.trail.witnesses.follower import Follower
from cji_core.trail.witnesses.keys import ReceiptKeys
from tests.support.rotated import ends_of, split, two_years
from tests.support.trails import week

WEEK = two_years()
ENDS = ends_of(WEEK)
LINES = len(WEEK.lines)
OTHER = week(jobs=20)
PERIOD = Period(first=date(2024, 1, 1), last=date(2026, 12, 31))


def records(path: Path) -> list[Record]:
    return [record for _, record in verified(path)]


@pytest.fixture
def one(tmp_path: Path) -> Path:
    folder = tmp_path / "one"
    folder.mkdir()
    return WEEK.write(folder / "audit.log")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return split(WEEK.lines, tmp_path / "audit.log", *ENDS)


@settings(max_examples=25)
@given(ends=st.sets(st.integers(1, LINES), max_size=5), data=st.data())
def test_any_split_is_read_as_one_file(
    tmp_path_factory: pytest.TempPathFactory, ends: set[int], data: st.DataObject
) -> None:
    path = split(WEEK.lines, tmp_path_factory.mktemp("trail") / "audit.log", *sorted(ends))
    assert list(lines(path)) == WEEK.lines
    assert [line for line, _ in verified(path)] == WEEK.lines
    assert size_of(path) == sum(map(len, WEEK.lines))
    places = [place for place, _ in after(path, START)]
    assert last(path) == places[-1]
    number = data.draw(st.integers(0, LINES - 1))
    place = places[number]
    assert line_at(path, place.offset) == WEEK.lines[number]
    assert place == Position(
        seq=number + 1, hash=read(WEEK.lines[number]).hash, offset=sum(map(len, WEEK.lines[:number]))
    )
    assert [record.seq for _, record in after(path, place)] == list(range(number + 2, LINES + 1))


def test_every_reader_finds_the_same_in_segments(path: Path, one: Path) -> None:
    with TrailIndex(path, path.with_name("a")) as ours, TrailIndex(one, one.with_name("b")) as theirs:
        for index in (ours, theirs):
            index.update()
        assert ours.watcher.save() == theirs.watcher.save()
        for seq in (1, ENDS[0], ENDS[0] + 1, LINES - 4):
            assert prove_line(ours, seq) == prove_line(theirs, seq)
            assert verify_line(prove_line(ours, seq), WEEK.keys)[0].seq == seq
    surveyed = [packet_survey(each, PERIOD, sizes={ENDS[0]}) for each in (path, one)]
    assert surveyed[0] == surveyed[1]
    results = []
    for each in (path, one):
        result = Examination()
        compare(result, each, ReceiptKeys(()))
        follower = Follower(each, keys=lambda: ReceiptKeys(()))
        follower.read()
        results.append((result, follower.position(), [release.line for release in Releases(each).read()]))
    assert results[0] == results[1]


def test_an_export_over_segments_has_its_lines(path: Path) -> None:
    with TrailIndex(path, path.with_name("a")) as index:
        index.update()
        first, end = ENDS[0] - 2, ENDS[1] + 4
        proof = prove_lines(index, first, end)
        found = list(index.lines(first, end))
        assert found == WEEK.lines[first - 1 : end]
        assert verify_lines(proof, found, WEEK.keys)[0].seq == end


def _moved(path: Path, first: int, end: int, *, to: tuple[int, int]) -> None:
    segment_path(path, first, end).rename(segment_path(path, *to))


def _removed(path: Path) -> None:
    segment_path(path, 1, ENDS[0]).unlink()


def _second_removed(path: Path) -> None:
    segment_path(path, ENDS[0] + 1, ENDS[1]).unlink()


def _doubled(path: Path) -> None:
    shutil.copy(segment_path(path, 1, ENDS[0]), segment_path(path, 2, ENDS[0] + 1))


def _renamed(path: Path) -> None:
    _moved(path, ENDS[0] + 1, ENDS[1], to=(ENDS[0] + 1, ENDS[1] + 1))


def _swapped(path: Path) -> None:
    first, second = segment_path(path, 1, ENDS[0]), segment_path(path, ENDS[0] + 1, ENDS[1])
    data = first.read_bytes(), second.read_bytes()
    first.write_bytes(data[1])
    second.write_bytes(data[0])


def _foreign(path: Path) -> None:
    segment_path(path, ENDS[0] + 1, ENDS[1]).write_bytes(b"".join(OTHER.lines[ENDS[0] : ENDS[1]]))


def _shortened(path: Path) -> None:
    segment = segment_path(path, ENDS[0] + 1, ENDS[1])
    segment.write_bytes(b"".join(WEEK.lines[ENDS[0] : ENDS[1] - 1]))


def _last_shortened(path: Path) -> None:
    _shortened(path)
    path.write_bytes(b"")


def _torn(path: Path) -> None:
    segment = segment_path(path, ENDS[0] + 1, ENDS[1])
    os.truncate(segment, segment.stat().st_size - 5)


def _extended(path: Path) -> None:
    with segment_path(path, 1, ENDS[0]).open("ab") as file:
        file.write(WEEK.lines[ENDS[0]])


def _backwards(path: Path) -> None:
    segment_path(path, 9, 3).touch()


def _linked(path: Path) -> None:
    segment = segment_path(path, 1, ENDS[0])
    segment.rename(path.with_name("elsewhere"))
    segment.symlink_to("elsewhere")


def _same_file(path: Path) -> None:
    path.unlink()
    os.link(segment_path(path, ENDS[0] + 1, ENDS[1]), path)


A, B = f"audit.log.1-{ENDS[0]}", f"audit.log.{ENDS[0] + 1}-{ENDS[1]}"
FAULTS: dict[Callable[[Path], None], tuple[int, str, str]] = {
    _removed: (1, "segment", f"lines 1 to {ENDS[0]} are missing before {B}"),
    _second_removed: (ENDS[0] + 1, "seq", f"expected {ENDS[0] + 1}, found {ENDS[1] + 1}"),
    _doubled: (2, "segment", f"audit.log.2-{ENDS[0] + 1} overlaps {A}, which ends at line {ENDS[0]}"),
    _renamed: (ENDS[1] + 1, "segment", f"audit.log.{ENDS[0] + 1}-{ENDS[1] + 1} does not end with line {ENDS[1] + 1}"),
    _swapped: (1, "seq", f"in {A}"),
    _foreign: (ENDS[0] + 1, "prev", f"in {B}"),
    _shortened: (ENDS[1], "segment", f"{B} does not end with line {ENDS[1]}"),
    _last_shortened: (ENDS[1], "segment", f"{B} does not end with line {ENDS[1]}"),
    _torn: (ENDS[1], "line", f"in {B}"),
    _extended: (ENDS[0], "segment", f"{A} does not end with line {ENDS[0]}"),
    _backwards: (9, "segment", "audit.log.9-3 ends before it begins"),
    _linked: (1, "segment", f"{A} is not a regular file"),
    _same_file: (1, "segment", "the same file"),
}


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__.strip("_"))
def test_a_wrong_segment_is_named_at_its_line(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    line, field, detail = FAULTS[damage]
    with pytest.raises(ChainError) as caught:
        records(path)
    assert (caught.value.line, caught.value.field) == (line, field)
    assert detail in caught.value.detail
    with pytest.raises(ChainError), TrailIndex(path, path.with_name("a")) as index:
        index.update()


def test_a_trail_without_current_file_ends_with_a_segment(path: Path) -> None:
    """As after a crash between the two renames; a checkpoint that was kept shows a file that was removed."""
    path.unlink()
    assert len(records(path)) == ENDS[1]
    for segment in path.parent.glob("audit.log.*-*"):
        segment.unlink()
    with pytest.raises(FileNotFoundError):
        records(path)


def test_names_that_are_no_segments_are_left_alone(path: Path) -> None:
    for name in (
        "audit.log.01-9",
        "audit.log.1-9.gz",
        "audit.log.1",
        "audit.log.ledger",
        "other.log.1-9",
        "audit.log.0-1",
    ):
        path.with_name(name).write_bytes(b"x")
    assert len(records(path)) == LINES


def test_a_reader_goes_on_across_several_rotations(tmp_path: Path) -> None:
    path = split(WEEK.lines[:5], tmp_path / "audit.log")
    place = last(path)
    assert place.seq == 5
    split(WEEK.lines, path, 9, 20, 33)
    assert [record.seq for _, record in after(path, place)] == list(range(6, LINES + 1))


def test_a_reader_of_before_a_rotation_reads_to_the_end(path: Path) -> None:
    with opened(path) as trail:
        found = trail.verified()
        next(found)
        path.rename(segment_path(path, ENDS[1] + 1, LINES))
        path.touch()
        assert sum(1 for _ in found) == LINES - 1
    assert len(records(path)) == LINES


def test_the_state_of_the_rules_is_the_same(path: Path, one: Path) -> None:
    saved = []
    for each in (path, one):
        watcher = Watcher(keys=WEEK.keys)
        for line, record in verified(each):
            watcher.take(line, record)
        saved.append(watcher.save())
    assert saved[0] == saved[1]

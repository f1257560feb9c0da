"""Lines are removed after a year, exported and free of holds, and what follows them is verified as before."""

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_audit.packet.checks.trail import retention
from cji_audit.packet.material import File, Material, Period
from cji_audit.packet.survey import survey as packet_survey
from cji_audit.reconcile import Releases
from cji_audit.review import Context, Report, Settings, Week, heads_of_review, review
from cji_audit.review.model import KnownHead
from cji_core.errors import Reason, Stage, StartupError
from cji_core.trail import ChainError, Event, HoldReleased, TrailPruned, read
from cji_core.trail.auditor_checkpoints import AuditorCheckpoint, Comparison
from cji_core.trail.checkpoint import parse_checkpoint
from cji_core.trail.delivered import line_at_of, standing, write_position
from cji_core.trail.exports import LINES as EXPORT_LINES
from cji_core.trail.exports import read_export, write_export
from cji_core.trail.index import IndexUnusableError, TrailIndex
from cji_core.trail.index_search import Query
from cji_core.trail.merkle import ProofError, leaf_hash, verify_inclusion
from cji_core.trail.proofs import prove_continued, prove_line, prove_lines, verify_continued, verify_line, verify_lines
from cji_core.trail.pruned import SUFFIX, Pruned, decode_pruned
from cji_core.trail.rules import Watcher
from cji_core.trail.segments import PrunedError, segment_path
from cji_core.trail.task_events import TaskCompleted, TaskEnded, TaskEvent
from cji_core.trail.trail import START, after, lines, opened, pruned_of, verified
from cji_core.trail.witnesses.comparison import compare
from cji_core.trail.witnesses.findings import Examination
from cji_core.trail.witnesses.follower import Follower
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_worker.trail.retention import exported, refusal, survey
from tests.support.audit_events import admitted, completed, ended, ledger_of, superseded, task_admitted
from tests.support.rotated import NOW, OLD, ends_of, held, opened_at, prune, pruned_event, split, two_years
from tests.support.trails import HEADER, Writer, attested, job_id

TRAIL = two_years(jobs=20)
ENDS = ends_of(TRAIL)
KEYS = ReceiptKeys(TRAIL.keys.values())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return split(TRAIL.lines, tmp_path / "audit.log", *ENDS)


@pytest.fixture
def gone(path: Path) -> Path:
    """The trail without its first segment."""
    prune(path)
    return path


def indexed(path: Path, name: str = "index") -> TrailIndex:
    index = TrailIndex(path, path.with_name(name))
    index.update()
    return index


def inspected(path: Path) -> Watcher:
    with opened(path) as trail:
        watcher = Watcher.after(trail.pruned, keys=TRAIL.keys)
        for line, record in trail.verified():
            watcher.take(line, record)
    return watcher


def test_what_stays_is_verified_as_the_whole_was(path: Path, tmp_path: Path) -> None:
    whole = TRAIL.write(tmp_path / "whole.log")
    prune(path)
    added = list(lines(path))[len(TRAIL.lines) - ENDS[0] :]
    with whole.open("ab") as file:
        file.writelines(added)
    assert list(lines(path)) == [*TRAIL.lines[ENDS[0] :], *added]
    assert inspected(path).save() == inspected(whole).save()
    assert not segment_path(path, 1, ENDS[0]).exists()
    pruned = pruned_of(path)
    assert pruned is not None
    assert (pruned.last, pruned.first_hash) == (ENDS[0], read(TRAIL.lines[0]).hash)
    assert path.with_name(path.name + SUFFIX).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("through", [0, 1])
def test_every_later_line_is_proven_as_before(path: Path, tmp_path: Path, through: int) -> None:
    prune(path, through=through)
    last = ENDS[through]
    with indexed(path) as ours, indexed(TRAIL.write(tmp_path / "whole.log"), "b") as theirs:
        for seq in range(last + 1, len(TRAIL.lines) - 3):
            proof = prove_line(ours, seq)
            assert proof == prove_line(theirs, seq)
            assert verify_line(proof, TRAIL.keys)[0].seq == seq
        for first in (last + 1, last + 7, last + 40):
            range_proof = prove_lines(ours, first, first + 9)
            assert range_proof == prove_lines(theirs, first, first + 9)
            assert verify_lines(range_proof, ours.lines(first, first + 9), TRAIL.keys)
        notes = [read(line).event for line in TRAIL.lines[last:]]
        kept = [parse_checkpoint(event.note.encode()) for event in notes if event.kind == "trail_checkpoint"]  # type: ignore[attr-defined]
        for earlier in kept:
            assert verify_continued(prove_continued(ours, earlier, kept[-1]), TRAIL.keys)
        with pytest.raises(ProofError, match=f"line {last} was pruned with all until line {last}"):
            prove_line(ours, last)
        with pytest.raises(ProofError, match="was pruned"):
            prove_lines(ours, last, last + 3)
        assert ours.rows.search(Query(columns={"kind": "trail_pruned"}))[0] == 1


def test_an_older_index_goes_on_and_knows_what_is_gone(path: Path) -> None:
    indexed(path).close()
    prune(path)
    with indexed(path) as index:
        count, found = index.rows.search(Query(columns={"kind": "job_admitted"}))
        assert (count, found[0].line < ENDS[0]) == (60, True)
        with pytest.raises(KeyError):
            index.line(found[0].line)
        assert index.line(ENDS[0] + 1)[0] == TRAIL.lines[ENDS[0]]
        assert verify_line(prove_line(index, ENDS[1]), TRAIL.keys)


def test_an_index_that_ends_in_pruned_lines_is_made_again(path: Path) -> None:
    short = split(TRAIL.lines[: ENDS[0] - 3], path.with_name("short.log"))
    TrailIndex(short, path.with_name("index")).close()
    with TrailIndex(short, path.with_name("index")) as index:
        index.update()
    prune(path)
    with pytest.raises(IndexUnusableError, match="pruned"):
        TrailIndex(path, path.with_name("index"))


def test_other_readers_begin_after_what_is_gone(gone: Path) -> None:
    period = Period(first=date(2024, 1, 1), last=date(2026, 12, 31))
    kept = {record.seq - 1: record for _, record in verified(gone) if record.event.kind == "trail_checkpoint"}
    trail = packet_survey(gone, period, sizes=kept.keys()).trail
    assert (trail.first_line, trail.broken) == (ENDS[0] + 1, "")
    for size, record in kept.items():
        note = parse_checkpoint(record.event.note.encode())  # type: ignore[attr-defined]
        assert trail.roots[str(size)] == note.root.hex()
    whole = [*TRAIL.lines, *list(lines(gone))[len(TRAIL.lines) - ENDS[0] :]]
    assert trail.included
    for each in trail.included:
        verify_inclusion(
            leaf_hash(whole[each.number - 1]),
            index=each.number - 1,
            size=trail.first_line - 1 + trail.lines,
            proof=[bytes.fromhex(node) for node in each.proof],
            root=bytes.fromhex(trail.root),
        )
    result = Examination()
    compare(result, gone, KEYS)
    assert (result.findings, result.pruned) == ([], ENDS[0])
    follower = Follower(gone, keys=lambda: KEYS)
    follower.read()
    assert follower.root() == result.root
    assert follower.newest is not None
    assert all(not release.boot_pruned for release in Releases(gone).read())


@pytest.mark.parametrize(("last", "kept"), [(date(2025, 11, 4), True), (date(2025, 11, 3), False)])
def test_a_year_begins_after_the_last_pruned_line(path: Path, last: date, *, kept: bool) -> None:
    """The first line that is there may be much younger: nothing was written in between."""
    prune(path, through=1)
    period = Period(first=date(2025, 1, 1), last=last)
    trail = packet_survey(path, period).trail
    assert (trail.pruned_until[:10], trail.first_time[:10]) == ("2024-11-04", "2026-11-23")
    catalog = File(name="c", size=0, sha256="", sha384="")
    result = retention(Material(product="1", period=period, catalog=catalog, trails=(trail,)))
    assert (result.status == "holds") == kept, result


def test_a_checkpoint_of_lines_that_are_gone_is_not_compared(gone: Path) -> None:
    events = [read(line).event for line in TRAIL.lines]
    notes = [parse_checkpoint(event.note.encode()) for event in events if event.kind == "trail_checkpoint"]  # type: ignore[attr-defined]
    comparison = Comparison([AuditorCheckpoint.of(str(note.size), note, TRAIL.keys) for note in notes])
    with opened(gone) as trail:
        watcher = Watcher.after(trail.pruned, keys=TRAIL.keys)
        comparison.begin(watcher)
        for line, record in trail.verified():
            watcher.take(line, record)
            comparison.take(watcher, record)
    comparison.finish(watcher)


# ---- what is refused ----


def _forged(path: Path, **changes: object) -> None:
    file = path.with_name(path.name + SUFFIX)
    found = decode_pruned(file.read_bytes())
    file.write_bytes(msgspec.structs.replace(found, **changes).encode())


def _hidden(path: Path) -> None:
    """Somebody removes a segment and writes the file that would stay, without a line."""
    candidate = survey(path).candidates[0]
    path.with_name(path.name + SUFFIX).write_bytes(candidate.pruned.encode())
    candidate.segment.path.unlink()


@pytest.mark.parametrize(
    ("damage", "line", "field"),
    [
        (lambda path: _forged(path, floor=0), 1, "pruned"),
        (lambda path: _forged(path, first_hash="0" * 96), 1, "pruned"),
        (lambda path: _forged(path, hash="0" * 96), ENDS[0] + 1, "prev"),
        (lambda path: path.with_name(path.name + SUFFIX).unlink(), 1, "segment"),
        (lambda path: path.with_name(path.name + SUFFIX).write_bytes(b"{}"), 1, "pruned"),
        (lambda path: path.with_name(path.name + SUFFIX).write_bytes(b"["), 1, "pruned"),
        (lambda path: segment_path(path, ENDS[0] + 1, ENDS[1]).unlink(), ENDS[0] + 1, "seq"),
    ],
)
def test_another_file_in_place_of_the_lines_is_named(
    gone: Path, damage: Callable[[Path], None], line: int, field: str
) -> None:
    damage(gone)
    with pytest.raises(ChainError) as caught:
        list(verified(gone))
    assert (caught.value.line, caught.value.field) == (line, field)
    ledger_of(gone).unlink()
    with pytest.raises(StartupError):
        opened_at(gone)


def test_lines_that_somebody_hid_are_named(path: Path) -> None:
    _hidden(path)
    for read_all in (lambda: list(verified(path)), lambda: indexed(path)):
        with pytest.raises(ChainError, match=f"lines 1 to {ENDS[0]} are missing, and no line records"):
            read_all()


def test_a_state_of_other_lines_is_named(gone: Path) -> None:
    pruned = pruned_of(gone)
    assert pruned is not None
    for state in (b"{}", b'{"head":{"seq":1,"hash":"x"}}', b'"x"'):
        with pytest.raises(ChainError, match="not of the pruned lines"):
            Watcher.after(msgspec.structs.replace(pruned, state=msgspec.Raw(state)))


def test_lines_that_are_not_a_year_old_are_not_removed_unseen(path: Path) -> None:
    candidate = survey(path).candidates[0]
    early = datetime(2025, 11, 1, tzinfo=UTC)
    with opened_at(path, early) as audit:
        audit.append(pruned_event(1, candidate.pruned))
        audit.prune(candidate.pruned)
    with pytest.raises(ChainError, match="was not a year old when it was removed"):
        inspected(path)


def test_lines_under_a_hold_are_not_removed_unseen(path: Path) -> None:
    with opened_at(path) as audit:
        audit.append(held(last=3))
    prune(path)
    with pytest.raises(ChainError, match=r"lines 1 to \d+ are under case-7, and were removed"):
        inspected(path)


def test_a_removal_is_of_all_lines_until_its_last(path: Path) -> None:
    """A line that names fewer lines than were removed passes by no hold on the others."""
    candidate = survey(path).candidates[0]
    with opened_at(path) as audit:
        audit.append(held(last=3))
        audit.append(pruned_event(ENDS[0], candidate.pruned))
        audit.prune(candidate.pruned)
    with pytest.raises(ChainError, match=rf"lines 1 to {ENDS[0]} are under case-7, and were removed"):
        inspected(path)


def _recorded_then_held(path: Path) -> Pruned:
    """An announced removal was not carried out, and then its lines came under a hold."""
    candidate = survey(path).candidates[0]
    with opened_at(path) as audit:
        audit.append(pruned_event(1, candidate.pruned))
        audit.append(held(last=3))
    return candidate.pruned


def test_a_removal_recorded_before_a_hold_is_not_permitted(path: Path) -> None:
    pruned = _recorded_then_held(path)
    with opened_at(path) as audit:
        audit.prune(pruned)
    for read_all in (lambda: list(verified(path)), lambda: inspected(path), lambda: indexed(path)):
        with pytest.raises(ChainError, match=f"lines 1 to {ENDS[0]} are missing, and no line records"):
            read_all()
    ledger_of(path).unlink()
    with pytest.raises(StartupError, match="no line records"):
        opened_at(path)


def test_a_removal_is_recorded_again_after_a_hold(path: Path) -> None:
    pruned = _recorded_then_held(path)
    with opened_at(path) as audit:
        audit.append(HoldReleased(name="case-7", operator_id="jdoe", explanation="closed"))
        audit.append(pruned_event(1, pruned))
        audit.append(held("rest", first=ENDS[0] + 1))
        audit.prune(pruned)
    inspected(path)
    indexed(path).close()
    ledger_of(path).unlink()
    opened_at(path).close()


@pytest.mark.parametrize(
    ("events", "detail"),
    [
        ([held(), held()], "case-7 is in force already"),
        ([held(first=10_000)], "on lines that are not there"),
        ([held(first=5, last=4)], "on lines that are not there"),
        ([held(last=10_000)], "on lines that are not there"),
        ([HoldReleased(name="x", operator_id="o", explanation="e")], "x is not in force"),
    ],
)
def test_holds_that_name_no_lines_or_no_hold(path: Path, events: list[Event], detail: str) -> None:
    with opened_at(path) as audit:
        for event in events:
            audit.append(event)
    with pytest.raises(ChainError, match=re.escape(detail)):
        inspected(path)


# ---- who may remove what ----


@pytest.fixture
def export(path: Path) -> Path:
    with indexed(path, "of-export") as index:
        write_export(index, 1, ENDS[1], path.with_name("export"))
    return path.with_name("export")


def why(path: Path, export: Path | None, number: int = 0, *, now: datetime = NOW, **delivered: int) -> str | None:
    found = survey(path)
    covered = exported(export, TRAIL.keys, found.candidates) if export else set()
    return refusal(found.candidates[number], found, now=now, exports=covered, delivered=delivered)


def test_segments_that_are_old_and_exported_may_be_removed(path: Path, export: Path) -> None:
    assert [why(path, export, number) for number in (0, 1)] == [None, None]
    assert why(path, None) == "no export that was given has exactly these lines"


def test_a_year_is_counted_by_the_clock_and_by_the_trail(path: Path, export: Path, tmp_path: Path) -> None:
    """Lines of commands have the time of a clock that may be wrong; an attestation has the token's time."""
    old = datetime.fromisoformat(read(TRAIL.lines[ENDS[0] - 1]).time)
    assert "by the clock" in (why(path, export, now=old + timedelta(days=365, hours=23)) or "")
    assert why(path, export, now=old + timedelta(days=366)) is None
    short = split(TRAIL.lines[: ENDS[1]], tmp_path / "short.log", ENDS[0])
    with opened_at(short) as audit:
        audit.append(held(first=ENDS[1], last=ENDS[1]))
    assert "by the trail's last attestation" in (why(short, export, now=NOW) or "")


def test_a_line_from_the_future_keeps_its_segment(tmp_path: Path) -> None:
    """The clock was set forward for a moment: the segment is as old as its latest line."""
    writer = two_years(jobs=2)
    ends = ends_of(writer)
    changed = Writer(now=datetime(2026, 6, 1, tzinfo=UTC))
    for number, line in enumerate(writer.lines, 1):
        record = read(line)
        changed.now = datetime.fromisoformat("2026-06-01T00:00:00Z" if number == 3 else record.time)
        if record.event.kind != "trail_checkpoint":
            changed.add(record.event, seconds=0)
    path = split(changed.lines, tmp_path / "audit.log", ends[0] - 6)
    assert "2026-06-01" in (why(path, None) or "")


def test_a_hold_keeps_its_segments_alone(path: Path, export: Path) -> None:
    with opened_at(path) as audit:
        audit.append(held(first=ENDS[0] + 3, last=ENDS[0] + 4))
    assert why(path, export) is None
    assert "legal hold case-7, which jdoe placed in line" in (why(path, export, 1) or "")
    with opened_at(path) as audit:
        audit.append(HoldReleased(name="case-7", operator_id="jdoe", explanation="closed"))
        audit.append(held("all"))
    assert "legal hold all" in (why(path, export) or "")


def test_an_export_counts_for_its_very_lines(path: Path, export: Path) -> None:
    lines_file = export / EXPORT_LINES
    data = lines_file.read_bytes()
    found = survey(path)
    lines_file.write_bytes(data.replace(b"op-17", b"op-18", 1))
    with pytest.raises(ChainError):
        exported(export, TRAIL.keys, found.candidates)
    lines_file.write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
    with pytest.raises(ProofError):
        exported(export, TRAIL.keys, found.candidates)
    lines_file.write_bytes(data)
    with pytest.raises(ProofError, match="not signed"):
        exported(export, Writer().keys, found.candidates)
    with indexed(path, "index-of-part") as index:
        write_export(index, 2, ENDS[1], path.with_name("part-of"))
    assert exported(path.with_name("part-of"), TRAIL.keys, found.candidates) == {ENDS[0] + 1}
    assert read_export(export, TRAIL.keys).last == ENDS[1]


def test_what_the_worker_needs_stays(path: Path, export: Path) -> None:
    assert f"monitor has the trail until line {ENDS[0]}" in (why(path, export, monitor=ENDS[0]) or "")
    assert why(path, export, monitor=ENDS[0] + 1) is None
    found = survey(path)
    found.receipt = ENDS[0]
    assert "last receipt" in (refusal(found.candidates[0], found, now=NOW, exports={1}, delivered={}) or "")
    found = survey(path)
    found.anchor = 1
    assert "last receipt or anchor" in (refusal(found.candidates[0], found, now=NOW, exports={1}, delivered={}) or "")


def test_a_job_without_an_end_keeps_its_segment(tmp_path: Path) -> None:
    other = Writer(now=datetime(2024, 1, 1, tzinfo=UTC))
    other.start()
    other.add(admitted(job_id(1), HEADER))
    other.mark()
    other.now = datetime(2026, 11, 1, tzinfo=UTC)
    other.start(new_key=False)
    other.job(2)
    path = split(other.lines, tmp_path / "audit.log", 5)
    found = survey(path)
    reason = refusal(found.candidates[0], found, now=NOW, exports={1}, delivered={})
    assert reason is not None
    assert "has no end" in reason


# ---- the worker afterwards ----


def test_the_ledger_is_the_same_built_again(gone: Path) -> None:
    def state() -> tuple[object, ...]:
        with opened_at(gone) as audit:
            entries = [audit.entry(job_id(number)) for number in range(60)]
            return entries, audit.floor, audit.last_anchor(), audit.last_completion(), audit.head, audit.tree.encode()

    before = state()
    ledger_of(gone).unlink()
    after_building = state()
    assert before == after_building
    entries = before[0]
    assert isinstance(entries, list)
    assert entries[:20] == [None] * 20
    assert None not in entries[40:]


def test_attempts_of_a_job_are_kept_with_its_lines_gone(tmp_path: Path) -> None:
    """A job by a connection whose third attempt ran at the boundary, and one by reference."""
    writer, of_pool = Writer(now=OLD), msgspec.structs.replace(admitted(job_id(2), HEADER), attempt="ab" * 16)
    writer.start()
    for _ in range(2):
        writer.add(admitted(job_id(1), HEADER))
        writer.add(ended(job_id(1), HEADER))
    writer.add(attested(writer.key_id))
    writer.add(admitted(job_id(1), HEADER))
    writer.add(of_pool)
    end = writer.head.seq
    for number in (1, 2):
        writer.add(ended(job_id(number), HEADER))
    writer.now = OLD + timedelta(days=700)
    writer.start(new_key=False)
    writer.job(3)
    path = split(writer.lines, tmp_path / "audit.log", end)

    def entries() -> list[object]:
        with opened_at(path) as audit:
            found = [audit.entry(job_id(number)) for number in (1, 2)]
        return [each and dataclasses.replace(each, admission=None) for each in found]  # its line is gone

    before = entries()
    assert [getattr(each, "attempts", None) for each in before] == [3, 0]
    prune(path)
    assert entries() == before
    ledger_of(path).unlink()
    assert entries() == before


def test_a_ledger_from_before_is_built_again(path: Path) -> None:
    """A restored ledger that ends in lines that are gone is no rollback of the trail."""
    head = split(TRAIL.lines[: ENDS[0] - 2], path.with_name("older.log"))
    opened_at(head).close()
    stale = ledger_of(head).read_bytes()
    prune(path)
    ledger_of(path).write_bytes(stale)
    with opened_at(path) as audit:
        assert audit.entry(job_id(59)) is not None


def _across_a_boundary(path: Path) -> Path:
    """Jobs with lines on both sides of the first boundary; the second starts a year later and has its last receipt."""
    writer = Writer(now=OLD)
    writer.start()
    writer.add(task_admitted(job_id(2), HEADER))
    writer.add(task_admitted(job_id(3), HEADER))
    writer.job(1)
    writer.checkpoint()
    end = writer.head.seq
    writer.add(superseded(job_id(1), HEADER))
    writer.add(task_of(TaskCompleted, 2, rows_in=1, bytes_in=1, bytes_out=1, statement_sha384="ab" * 48))
    writer.add(task_of(TaskEnded, 3, stage=Stage.COMPUTE, reason=Reason.CELL_FAILED, correlation_id="c0ffee"))
    writer.job(2)
    writer.add(task_admitted(job_id(3), HEADER))
    writer.checkpoint()
    return split(writer.lines, path, end)


def task_of(kind: type[TaskEvent], number: int, **fields: Any) -> Event:
    """The end of the task of a job in parts."""
    task = task_admitted(job_id(number), HEADER)
    shared: dict[str, Any] = {name: getattr(task, name) for name in TaskEvent.__struct_fields__}
    event: Event = msgspec.convert(
        {"kind": kind.__struct_config__.tag, **shared, "duration_ms": 1, **fields}, type=Event
    )
    return event


@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_job_may_have_lines_on_both_sides(tmp_path: Path, *, rebuilt: bool) -> None:
    path = _across_a_boundary(tmp_path / "audit.log")
    prune(path)
    if rebuilt:
        ledger_of(path).unlink()
    with opened_at(path) as audit:
        assert audit.entry(job_id(1)) is None or not rebuilt
        assert audit.entry(job_id(2)) is not None
        for event in (completed(job_id(9), HEADER), ended(job_id(9), HEADER), superseded(job_id(9), HEADER)):
            with pytest.raises(ValueError, match="out of order"):
                audit.append(event)
    inspected(path)


LATER = "2026-11-25T12:00:00.00Z"


@pytest.mark.parametrize("rebuilt", [False, True])
def test_no_task_of_a_pruned_time_begins_again(tmp_path: Path, *, rebuilt: bool) -> None:
    """Its entry leaves with its lines, so the floor must forbid its id."""
    writer = Writer(now=OLD)
    writer.start()
    writer.add(task_admitted(job_id(2), HEADER, not_after=LATER))
    writer.checkpoint()
    end = writer.head.seq
    writer.start(new_key=False)
    writer.job(1)
    path = split(writer.lines, tmp_path / "audit.log", end)
    opened_at(path).close()
    prune(path)
    if rebuilt:
        ledger_of(path).unlink()
    with opened_at(path) as audit:
        assert audit.entry(job_id(2)) is None
        assert audit.floor == datetime.fromisoformat(LATER).timestamp()


def test_a_superseded_job_is_known_if_nothing_is_gone(tmp_path: Path) -> None:
    writer = Writer(now=OLD)
    writer.start()
    writer.add(superseded(job_id(1), HEADER))
    with pytest.raises(StartupError, match="out of order for its job"):
        opened_at(writer.write(tmp_path / "audit.log"))


def test_a_crash_between_the_file_and_the_removal_is_finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = survey(path).candidates[0]
    with opened_at(path) as audit:
        audit.append(pruned_event(1, candidate.pruned))
        with monkeypatch.context() as patched:
            patched.setattr("cji_worker.trail.storage.left_behind", lambda *_: [])
            audit.prune(candidate.pruned)
    assert segment_path(path, 1, ENDS[0]).exists()
    assert len(list(verified(path))) == len(TRAIL.lines) - ENDS[0] + 1
    with opened_at(path) as audit:
        assert audit.remove_pruned() == [segment_path(path, 1, ENDS[0]).name]
        assert audit.remove_pruned() == []
    assert inspected(path).state.head.seq == len(TRAIL.lines) + 1


def test_lines_that_are_announced_and_still_there_are_read(path: Path) -> None:
    """A crash came after the line and before the file."""
    candidate = survey(path).candidates[0]
    with opened_at(path) as audit:
        audit.append(pruned_event(1, candidate.pruned))
    assert inspected(path).pruned is None
    prune(path)
    assert inspected(path).state.head.seq == len(TRAIL.lines) + 2


def test_it_is_pruned_twice(path: Path) -> None:
    prune(path)
    pruned, _ = prune(path)
    assert pruned.last == ENDS[1]
    assert inspected(path).state.head.seq == len(TRAIL.lines) + 2
    events = [record.event for _, record in verified(path) if isinstance(record.event, TrailPruned)]
    assert [(event.first, event.last) for event in events] == [(1, ENDS[0]), (ENDS[0] + 1, ENDS[1])]
    with opened_at(path) as audit:
        audit.append(held(first=ENDS[1] + 1))


def test_a_sink_that_was_behind_is_named_and_a_new_one_begins(gone: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    places = [place for place, _ in after(TRAIL.write(tmp_path / "whole.log"), START)]
    write_position(state, "sink", places[3])
    with pytest.raises(PrunedError, match=f"until line {ENDS[0]} were pruned"):
        next(after(gone, places[3]))
    assert next(after(gone, places[ENDS[0] - 1]))[1].seq == ENDS[0] + 1
    assert next(after(gone, START))[1].seq == ENDS[0] + 1
    assert standing(state, "sink", line_at_of(gone)).cause == "contradicted"


def test_the_file_that_stays_has_one_form() -> None:
    candidate_fields = {
        "first_hash": "0" * 96,
        "last": 3,
        "hash": "1" * 96,
        "offset": 9,
        "floor": 0,
        "resumed": False,
        "policy_serial": 0,
    }
    whole = Pruned(**candidate_fields, peaks=("2" * 64, "3" * 64), running={}, state=msgspec.Raw(b"{}"))  # type: ignore[arg-type]
    data = whole.encode()
    assert decode_pruned(data) == whole
    found = json.loads(data)
    for changed in (
        json.dumps(found).encode(),
        data[:-1],
        data + b"\n",
        data.replace(b'"last":3', b'"last":1'),
        data.replace(b'"version":1', b'"version":2'),
        b"[" * 100_000,
    ):
        with pytest.raises((ValueError, RecursionError)):
            decode_pruned(changed)


def reviewed(path: Path, heads: tuple[KnownHead, ...] = ()) -> Report:
    context = Context(week=Week.parse("2026-W48"), settings=Settings(), software="1", complete=True, heads=heads)
    return review([path], context)


@pytest.mark.parametrize("through", [0, 1])
def test_a_review_is_of_the_same_trail_after_a_pruning(path: Path, through: int) -> None:
    before = reviewed(path)
    old = KnownHead(source="2024-W45", kind="review", worker="worker-1", line=5, hash="0" * 96)
    prune(path, through=through)
    after = reviewed(path, (*heads_of_review(before), old))
    assert after.trails[0].first_hash == before.trails[0].first_hash == read(TRAIL.lines[0]).hash
    assert [head.state for head in after.heads] == ["same", "pruned"]
    rules = {finding.rule for finding in after.findings}
    assert "trail_pruned" in rules
    assert not rules & {"checkpoint_differs", "head_differs", "receipt_sequence", "job_order", "anchor_went_back"}
    assert after.trails[0].checkpoints.compared > 0

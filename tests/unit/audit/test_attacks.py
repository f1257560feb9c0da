"""What somebody can do to a trail, and the line and the name under which an auditor finds it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest

from cji_core.trail import GENESIS, ChainError, Event, TrailAnchored, TrailCheckpoint, append_record, read
from cji_core.trail.auditor_checkpoints import AuditorCheckpoint, Comparison
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, parse_checkpoint, sign_checkpoint
from cji_core.trail.merkle import Frontier
from cji_core.trail.rules import CheckpointKeys, Watcher
from cji_core.trail.trail import verified
from tests.support.audit_events import admitted, ended
from tests.support.trails import HEADER, Writer, attested, job_id, rechained, week

WEEK: Final = week()
LINES: Final = tuple(WEEK.lines)
KINDS: Final = [read(line).event.kind for line in LINES]
LAST: Final = parse_checkpoint(WEEK.note())
CHECKPOINTS: Final = [at for at, kind in enumerate(KINDS) if kind == "trail_checkpoint"]


def audit(
    path: Path, lines: Sequence[bytes], held: Sequence[Checkpoint] = (), keys: CheckpointKeys | None = None
) -> Watcher:
    path.write_bytes(b"".join(lines))
    watcher = Watcher(keys=keys)
    comparison = Comparison([AuditorCheckpoint.of(f"{each.size}.checkpoint", each, keys or {}) for each in held])
    for line, record in verified(path):
        watcher.take(line, record)
        comparison.take(watcher, record)
    comparison.finish(watcher)
    return watcher


def fault(
    path: Path, lines: Sequence[bytes], held: Sequence[Checkpoint] = (), keys: CheckpointKeys | None = None
) -> tuple[int, str, str]:
    with pytest.raises(ChainError) as caught:
        audit(path, lines, held, keys)
    return caught.value.line, caught.value.field, caught.value.detail


def without(at: int) -> list[bytes]:
    return [*LINES[:at], *LINES[at + 1 :]]


def doubled(at: int) -> list[bytes]:
    return [*LINES[: at + 1], *LINES[at:]]


def swapped(at: int) -> list[bytes]:
    return [*LINES[:at], LINES[at + 1], LINES[at], *LINES[at + 2 :]]


def test_a_true_trail_passes(tmp_path: Path) -> None:
    found = audit(tmp_path / "a", LINES, [LAST], WEEK.keys)
    assert (found.tree.size, found.state.checkpoints) == (len(LINES), len(CHECKPOINTS))
    assert found.verified == {WEEK.key_id: len([at for at in CHECKPOINTS if at > len(LINES) // 2])}
    assert found.signed == CHECKPOINTS[-1]
    assert not found.state.clock_went_back


# ---- without a new chain: the line itself


@pytest.mark.parametrize("at", range(len(LINES)))
def test_a_flipped_bit_is_found_at_its_line(tmp_path: Path, at: int) -> None:
    for byte in {0, 7, len(LINES[at]) // 2, len(LINES[at]) - 2, len(LINES[at]) - 1}:
        line = bytearray(LINES[at])
        line[byte] ^= 1
        number, field, _ = fault(tmp_path / "a", [*LINES[:at], bytes(line), *LINES[at + 1 :]])
        assert (number, field in {"line", "hash"}) == (at + 1, True)


@pytest.mark.parametrize("at", range(len(LINES) - 1))
def test_a_removed_doubled_or_swapped_line_is_found_at_its_line(tmp_path: Path, at: int) -> None:
    assert fault(tmp_path / "a", without(at)) == (
        at + 1, "seq", f"expected {at + 1}, found {at + 2}: lines are missing, or not in their order"
    )  # fmt: skip
    assert fault(tmp_path / "a", doubled(at)) == (at + 2, "seq", f"line {at + 1} again, expected {at + 2}")
    assert fault(tmp_path / "a", swapped(at))[:2] == (at + 1, "seq")


def test_lines_of_another_trail_are_found(tmp_path: Path) -> None:
    other = week()
    for at in (2, 10, len(LINES) - 1):  # the first lines are equal
        assert fault(tmp_path / "a", [*LINES[:at], *other.lines[at:]])[:2] == (at + 1, "prev")


# ---- with a new chain over all lines, but without the key: the rules, or the next checkpoint


def next_checkpoint(at: int) -> int:
    """The line of the first checkpoint that covers line `at + 1`."""
    return next(number for number in CHECKPOINTS if number > at) + 1


@pytest.mark.parametrize("attack", [without, doubled, swapped])
def test_a_new_chain_is_found_by_the_next_checkpoint(tmp_path: Path, attack: Callable[[int], list[bytes]]) -> None:
    for at in range(CHECKPOINTS[-1]):
        number, field, _ = fault(tmp_path / "a", list(rechained(attack(at))))
        assert at + 1 <= number <= next_checkpoint(at) + 1
        assert field in {"checkpoint", "event", "receipt", "receipt_key", "worker"}


def short() -> Writer:
    writer = Writer()
    writer.start()
    for number in range(3):
        writer.job(number)
    return writer


def stolen_receipt(writer: Writer) -> int:
    """The receipt of another job, under a job's own id."""
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, writer.receipt(8))


def doubled_receipt(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, writer.receipt(9, sequence=3))


def missing_receipt(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, writer.receipt(9, sequence=5))


def replaced_receipt(writer: Writer) -> int:
    """Its predecessor was replaced."""
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, writer.receipt(9, previous_sha384="ab" * 48))


def receipt_of_another_worker(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, writer.receipt(9, worker="worker-2"))


def receipt_by_another_key(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    writer.key = Writer().key
    return writer.complete(9)


def receipt_that_is_none(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, "head.receipt.sig")


def receipt_of_a_later_anchor(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.complete(9, writer.receipt(9, audit_anchor=writer.anchor + 1))


def end_without_admission(writer: Writer) -> int:
    return writer.add(ended(job_id(9), HEADER))


def doubled_end(writer: Writer) -> int:
    return writer.add(ended(job_id(2), HEADER))


def doubled_admission(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.add(admitted(job_id(9), HEADER))


def end_of_another_header(writer: Writer) -> int:
    writer.add(admitted(job_id(9), HEADER))
    return writer.add(ended(job_id(9), bytes(48)))


def anchor_again(writer: Writer) -> int:
    return writer.add(TrailAnchored(counter=writer.anchor))


def line_of_another_worker(writer: Writer) -> int:
    writer.worker = "worker-2"
    return writer.refuse(9)


def checkpoint_of_fewer_lines(writer: Writer) -> int:
    note = writer.note()
    writer.mark()
    return writer.add(TrailCheckpoint(note=note.decode(), receipt_key=writer.key_id))


def checkpoint_of_other_lines(writer: Writer) -> int:
    other = Frontier(writer.tree.size, [bytes(32)] * writer.tree.size.bit_count())
    note = sign_checkpoint(other, origin="cji-worker/worker-1", key=writer.key)
    return writer.add(TrailCheckpoint(note=note.decode(), receipt_key=writer.key_id))


def checkpoint_of_another_trail(writer: Writer) -> int:
    note = sign_checkpoint(writer.tree, origin="cji-worker/worker-2", key=writer.key)
    return writer.add(TrailCheckpoint(note=note.decode(), receipt_key=writer.key_id))


def checkpoint_that_is_none(writer: Writer) -> int:
    return writer.add(TrailCheckpoint(note="signed", receipt_key=writer.key_id))


def forged_checkpoint(writer: Writer) -> int:
    """It names the worker's key, and another one signed it."""
    note = sign_checkpoint(writer.tree, origin="cji-worker/worker-1", key=Writer().key)
    return writer.add(TrailCheckpoint(note=note.decode(), receipt_key=writer.key_id))


def checkpoint_by_another_key(writer: Writer) -> int:
    writer.key = Writer().key
    writer.checkpoint()
    return writer.head.seq


def evidence_of_another_key(writer: Writer) -> int:
    return writer.add(attested(Writer().key_id))


@pytest.mark.parametrize(
    ("attack", "field", "words"),
    [
        (stolen_receipt, "receipt", "of another event: job_id"),
        (doubled_receipt, "receipt", "receipt 3 again"),
        (missing_receipt, "receipt", "expected receipt 4, found 5: receipts are missing"),
        (replaced_receipt, "receipt", "names another one"),
        (receipt_of_another_worker, "receipt", "of another event: worker"),
        (receipt_by_another_key, "receipt_key", "another one"),
        (receipt_that_is_none, "receipt", "payload"),
        (receipt_of_a_later_anchor, "receipt", "was not reached"),
        (end_without_admission, "event", "was not admitted"),
        (doubled_end, "event", "has ended before"),
        (doubled_admission, "event", "has not ended"),
        (end_of_another_header, "event", "another header"),
        (anchor_again, "event", "follows"),
        (line_of_another_worker, "worker", "another worker"),
        (checkpoint_of_fewer_lines, "checkpoint", "are before it"),
        (checkpoint_of_other_lines, "checkpoint", "changed, removed or added"),
        (checkpoint_of_another_trail, "checkpoint", "of another trail"),
        (checkpoint_that_is_none, "checkpoint", "not a signed note"),
        (forged_checkpoint, "checkpoint", "not signed by this key"),
        (checkpoint_by_another_key, "receipt_key", "another one"),
        (evidence_of_another_key, "receipt_key", "another one"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_a_chain_permits_is_found_at_its_line(
    tmp_path: Path, attack: Callable[[Writer], int], field: str, words: str
) -> None:
    writer = short()
    keys = writer.keys
    audit(tmp_path / "a", writer.lines, keys=keys)
    line = attack(writer)
    found = fault(tmp_path / "a", writer.lines, keys=keys)
    assert found[:2] == (line, field)
    assert words in found[2]


def test_a_clock_that_goes_back_is_noted_at_its_line(tmp_path: Path) -> None:
    writer = short()
    line = writer.add(TrailAnchored(counter=99), seconds=-3600)
    found = audit(tmp_path / "a", writer.lines).state
    assert (found.clock_went_back, [each.line for each in found.steps_back]) == (1, [line])


# ---- against one checkpoint that was kept elsewhere


@pytest.mark.parametrize("left", [1, 30, len(LINES) - 1])
def test_a_cut_tail_and_an_older_copy(tmp_path: Path, left: int) -> None:
    line, field, detail = fault(tmp_path / "a", LINES[:left], [LAST])
    assert (line, field) == (left + 1, "cut")
    assert f"{LAST.size}.checkpoint" in detail


def test_a_rewritten_line_is_between_the_checkpoints(tmp_path: Path) -> None:
    """Somebody without the key writes the whole chain again, and leaves out the checkpoints, which they cannot sign."""
    kept = [parse_checkpoint(read(LINES[at]).event.note.encode()) for at in CHECKPOINTS]  # type: ignore[attr-defined]
    for at, line in enumerate(LINES):
        if KINDS[at] != "job_refused":
            continue
        changed = [*LINES[:at], line.replace(b"county-so", b"metro-pd2"), *LINES[at + 1 :]]
        plain = list(_without_checkpoints(changed))
        first = next(each for each in kept if each.size > at)
        number, field, detail = fault(tmp_path / "a", plain, [first])
        assert (number, field) == (1, "rewritten")
        assert f"one of 1 to {first.size}" in detail


def _without_checkpoints(lines: Sequence[bytes]) -> Iterator[bytes]:
    """With as many lines: an anchor in place of each checkpoint would be found, so a refusal is there."""
    filler = Writer()
    filler.refuse(7)
    texts = [filler.lines[0] if b'"kind":"trail_checkpoint"' in line else line for line in lines]
    head = GENESIS
    for line, before in zip(texts, lines, strict=True):
        event = msgspec.json.decode(line)["event"]
        head, again = append_record(
            msgspec.convert(event, Event), head=head, time=msgspec.json.decode(before)["time"], worker="worker-1"
        )
        yield again


def test_a_fork_is_two_signed_histories(tmp_path: Path) -> None:
    """An older copy was continued: both ways are by the worker, and each checkpoint of one betrays the other."""
    one = short()
    common = one.checkpoint()
    other = one.copy()
    for branch, number in ((one, 10), (other, 20)):
        branch.job(number)
        branch.checkpoint()
        branch.job(number + 1)
    seen = parse_checkpoint(one.note())
    other.checkpoint()
    line, field, detail = fault(tmp_path / "a", other.lines, [common, seen], one.keys)
    assert (line, field) == (common.size + 1, "fork")
    assert f"one of {line} to {seen.size}" in detail
    assert fault(tmp_path / "a", other.lines, [seen], one.keys)[:2] == (1, "fork")  # signed lines are no bound
    assert fault(tmp_path / "a", other.lines, [common, seen])[:2] == (common.size + 1, "rewritten")  # nobody's word


def test_a_checkpoint_of_another_trail(tmp_path: Path) -> None:
    other = Writer(worker="worker-2")
    other.start()
    assert fault(tmp_path / "a", LINES, [parse_checkpoint(other.note())])[:2] == (other.head.seq, "origin")
    long = Frontier(1 << 20, [bytes(32)])
    note = sign_checkpoint(long, origin="cji-worker/worker-2", key=other.key)
    assert fault(tmp_path / "a", LINES, [parse_checkpoint(note)])[1] == "origin"


def test_a_forged_checkpoint_is_refused_by_its_signature() -> None:
    note = WEEK.note()
    forged = parse_checkpoint(note.replace(str(LAST.size).encode(), b"77"))
    with pytest.raises(CheckpointError, match="signature"):
        AuditorCheckpoint.of("forged", forged, WEEK.keys)
    assert not AuditorCheckpoint.of("unknown", forged, {}).verified


def test_an_inspection_continues_where_it_was_saved(tmp_path: Path) -> None:
    path = WEEK.write(tmp_path / "a")
    whole = audit(path, LINES)
    watcher = Watcher()
    for line, record in verified(path):
        watcher.take(line, record)
        watcher = Watcher.load(watcher.save())
    assert watcher.save() == whole.save()

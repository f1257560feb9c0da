"""The statements of front and cell about one job: what both vouch for, and that no single value may differ."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cji_core.format.envelope import sha384
from cji_core.format.job import InputPart, OutputPart, parse
from cji_core.format.job.result_header import result_header
from cji_core.format.records import SCHEMAS
from cji_core.operations.registry import plan
from cji_core.trail import PartDigest
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.ipc.messages import CountedPart, SealedPart, Summary, Witnessed
from cji_worker.keyholder.witnesses import Disagreement, agree
from tests.support.job_headers import OURS, THEIRS, make

ROWS = 60
DISSEMINATE = pb.Operation(disseminate=pb.Disseminate(recipient_class="criminal_justice", as_of="2026-02-01"))
HEADER = parse(
    make(recipients=[OURS, THEIRS], inputs=[InputPart(name="people", schema="person/1", rows_declared=ROWS)])
)
PLAN = plan(HEADER.operations, HEADER.input_schemas)
OUTPUTS = [OutputPart(name=part.name, schema=part.schema.schema_id) for part in PLAN.outputs]
KEYS = [b"\x01" * 384, b"\x02" * 384]


def made(**changes: Any) -> bytes:
    values = {"worker_id": "w", "outputs": OUTPUTS, "wrapped_keys": KEYS, **changes}
    return result_header(values.pop("header", HEADER), **values)


def counted(number: int, plain: int) -> CountedPart:
    return CountedPart(segments=1, bytes=74 + 32 + plain, tags_sha256=bytes([number]) * 32)


INPUT, RESULT, STATUS = counted(1, 200), counted(2, 300), counted(3, 17 * ROWS)
CELL = Summary(
    inputs=(INPUT,), outputs=(RESULT, STATUS), result_header=made(), rows_in=ROWS, rows_out=(ROWS - 10, ROWS)
)
FRONT = Witnessed(
    call=1,
    inputs=(SealedPart(sha256=b"i" * 32, counted=INPUT),),
    outputs=(SealedPart(sha256=b"r" * 32, counted=RESULT), SealedPart(sha256=b"s" * 32, counted=STATUS)),
    result_header_sha384=sha384(made()),
)


def about(*, cell: Summary = CELL, front: Witnessed = FRONT) -> tuple[str, ...]:
    with pytest.raises(Disagreement) as found:
        agree(HEADER, PLAN, worker_id="w", cell=cell, front=front)
    return found.value.about


def headed(header: bytes) -> tuple[str, ...]:
    """Both have seen the same wrong header."""
    return about(cell=replace(CELL, result_header=header), front=replace(FRONT, result_header_sha384=sha384(header)))


def test_what_both_vouch_for() -> None:
    agreed = agree(HEADER, PLAN, worker_id="w", cell=CELL, front=FRONT)
    assert agreed.inputs == (PartDigest(name="people", sha256=(b"i" * 32).hex(), bytes=INPUT.bytes),)
    assert [part.name for part in agreed.outputs] == ["result", "row_status"]
    assert agreed.result_header_sha384 == sha384(made())
    volumes = agreed.volumes
    assert (volumes.rows_in, volumes.rows_out, volumes.subjects_out, volumes.chri_rows_out) == (ROWS, 50, 50, 0)
    assert (volumes.bytes_in, volumes.bytes_out) == (INPUT.bytes, RESULT.bytes + STATUS.bytes)


def test_rows_and_subjects_follow_the_plan() -> None:
    """CHRI and subjects are counted where the operation says so, not where the cell does."""
    header = parse(
        make(
            inputs=[InputPart(name="records", schema="chri_event/1")],
            operations=[DISSEMINATE],
        )
    )
    planned = plan(header.operations, header.input_schemas)
    names = [part.name for part in planned.outputs]
    rows = [5 if name == "ledger" else 40 for name in names]
    parts = tuple(counted(number, 17 * ROWS) for number in range(len(names)))
    own = result_header(
        header,
        worker_id="w",
        outputs=[OutputPart(name=part.name, schema=part.schema.schema_id) for part in planned.outputs],
        wrapped_keys=KEYS[:1],
    )
    cell = Summary(inputs=(INPUT,), outputs=parts, result_header=own, rows_in=40, rows_out=tuple(rows))
    front = Witnessed(
        call=1,
        inputs=FRONT.inputs,
        outputs=tuple(SealedPart(sha256=bytes(32), counted=part) for part in parts),
        result_header_sha384=sha384(own),
    )
    volumes = agree(header, planned, worker_id="w", cell=cell, front=front).volumes
    assert (volumes.rows_out, volumes.chri_rows_out, volumes.subjects_out) == (40, 40, 5)


@pytest.mark.parametrize("field", ["segments", "bytes", "tags_sha256"])
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_every_count_of_a_part_is_compared(side: str, field: str) -> None:
    *parts, last = getattr(CELL, side)
    other = b"x" * 32 if field == "tags_sha256" else getattr(last, field) + 1
    changed: dict[str, Any] = {side: (*parts, replace(last, **{field: other}))}
    assert about(cell=replace(CELL, **changed)) == (side,)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_both_leave_the_same_part_out(side: str) -> None:
    changed: dict[str, Any] = {side: getattr(CELL, side)[:-1]}
    less: dict[str, Any] = {side: getattr(FRONT, side)[:-1]}
    assert side in about(cell=replace(CELL, **changed), front=replace(FRONT, **less))


FOREIGN: dict[str, Callable[[], bytes]] = {
    "of another job": lambda: made(header=parse(make(job_id=b"k" * 16, recipients=[OURS, THEIRS]))),
    "of another worker": lambda: made(worker_id="v"),
    "another output": lambda: made(outputs=[OutputPart(name="other", schema="person/1"), *OUTPUTS[1:]]),
    "one output less": lambda: made(outputs=OUTPUTS[:1]),
    "recipients exchanged": lambda: made(header=parse(make(recipients=[THEIRS, OURS]))),
    "one recipient less": lambda: made(header=parse(make(recipients=[OURS])), wrapped_keys=KEYS[:1]),
    "short key": lambda: made(wrapped_keys=[KEYS[0], KEYS[1][1:]]),
    "long key": lambda: made(wrapped_keys=[KEYS[0], KEYS[1] + b"\0"]),
    "more than a header": lambda: made() + b"\xf8\x07\x01",
    "not protobuf": lambda: b"\xff",
    "empty": lambda: b"",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_result_header_is_refused(what: str) -> None:
    assert headed(FOREIGN[what]()) == ("result_header",)


def test_the_caller_received_the_same_header() -> None:
    assert about(front=replace(FRONT, result_header_sha384=bytes(48))) == ("result_header",)


@pytest.mark.parametrize(
    ("rows_in", "rows_out"),
    [
        (ROWS, (ROWS, ROWS + 1)),  # a status without its row
        (ROWS - 1, (ROWS, ROWS - 1)),  # fewer than declared
        (ROWS, (300 * 8 + 1, ROWS)),  # no column takes less than a bit
        (ROWS, (ROWS,)),
        (ROWS, ()),
        (ROWS, (ROWS, ROWS, 0)),
    ],
)
def test_rows_fit_the_job_and_each_other(rows_in: int, rows_out: tuple[int, ...]) -> None:
    assert about(cell=replace(CELL, rows_in=rows_in, rows_out=rows_out)) == ("rows",)


def test_rows_may_be_spread_over_the_shards_of_the_records() -> None:
    """Three shards of one third of the bytes hold the rows of one part, and two do not."""
    for shards, doubt in ((3, ()), (2, ("rows",))):
        records = InputPart(name="people", schema="person/1", rows_declared=ROWS, shards=shards)
        header = parse(make(recipients=[OURS, THEIRS], inputs=[records]))
        plain = -(-ROWS * SCHEMAS["person/1"].least_row_bits // 24)
        parts = [counted(number, plain) for number in range(shards)]
        cell = replace(CELL, inputs=tuple(parts), result_header=made(header=header))
        front = replace(
            FRONT,
            inputs=tuple(SealedPart(sha256=bytes(32), counted=part) for part in parts),
            result_header_sha384=sha384(cell.result_header),
        )
        if doubt:
            with pytest.raises(Disagreement) as caught:
                agree(header, PLAN, worker_id="w", cell=cell, front=front)
            assert caught.value.about == doubt
        else:
            agreed = agree(header, PLAN, worker_id="w", cell=cell, front=front)
            assert [part.name for part in agreed.inputs] == ["people"] * shards


def test_a_status_takes_17_bytes() -> None:
    assert SCHEMAS["row_status/1"].least_row_bits == 8 * 17
    short = replace(STATUS, bytes=STATUS.bytes - 1)
    front = replace(FRONT, outputs=(FRONT.outputs[0], SealedPart(sha256=bytes(32), counted=short)))
    assert about(cell=replace(CELL, outputs=(RESULT, short)), front=front) == ("rows",)

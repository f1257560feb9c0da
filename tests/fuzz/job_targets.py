"""What a submitter's job holds beyond its header's form: operations, the order of its stream, records; and its answer.

Records are given as JSON, a list of rows by column, and reach an operation as a cell would hand them over.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec
import pyarrow as pa
from google.protobuf.message import DecodeError

from cji_client.description import Description
from cji_client.errors import Unverified
from cji_client.received import Collector
from cji_core.errors import Refusal
from cji_core.format.job import LIMITS, Empty, HalfClose, InputPart, Open, RunState, Segment, advance, parse
from cji_core.format.job import Finish as Finished
from cji_core.format.records import SCHEMAS, RowStatus, tagged
from cji_core.operations.declaration import Operation
from cji_core.operations.registry import OPERATIONS, plan
from cji_core.wire.v1 import worker_pb2 as pb
from cji_operations.operation import Case
from cji_operations.registry import IMPLEMENTATIONS, prepare
from cji_worker.cell.pipeline import Pipeline
from cji_worker.front.frames import SegmentFrame, read_request
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import JSON, SIZED, of_packets, packets, split
from tests.fuzz.process_targets import TABLES
from tests.support.contexts import context
from tests.support.job_headers import OURS, make

__all__ = ["JOBS"]

CASES: Final = {
    f"{name}-{number}": (operation, case)
    for name, operation in OPERATIONS.items()
    for number, case in enumerate(IMPLEMENTATIONS[name].self_test)
}
_ROWS: Final = 64
_CELL_BYTES: Final = 4096
_SLOT_BYTES: Final = 1 << 20


class NoRows(Exception):  # noqa: N818 - of the target, not of the worker
    """The input is not a list of rows."""


# ---------------------------------------------------------------- headers whose operations are read


def _schemas(case: Case) -> dict[str, str]:
    return {**{name: schema for name, (schema, _) in case.sides.items()}, "records": case.schema}


@functools.cache
def _headers() -> tuple[bytes, ...]:
    return tuple(
        make(
            operations=[operation.message(case.parameters)],
            inputs=[InputPart(name=name, schema=schema) for name, schema in _schemas(case).items()],
        )
        for operation, case in CASES.values()
    )


def _plan(data: bytes) -> object:
    header = parse(data)
    return header, plan(header.operations, header.input_schemas, TABLES())


def _plan_fair(_: bytes, value: Any) -> bool:
    """What was understood can be written, and means the same when it is read again."""
    header, planned = value
    messages = [each.operation.message(each.parameters) for each in planned.operations]
    again = plan(messages, header.input_schemas, TABLES())
    return bool(again.operations == planned.operations and again.outputs == planned.outputs)


# ---------------------------------------------------------------- a stream of requests


def _requests() -> tuple[bytes, ...]:
    def segment(index: int, part: int = 0, size: int = 200) -> bytes:
        data = pb.RunRequest(segment=pb.Segment(part=part, index=index, data=bytes(size)))
        return data.SerializeToString()

    finish = pb.RunRequest(finish=pb.Finish()).SerializeToString()
    return packets(segment(0), segment(0, part=1), finish), packets(segment(0), segment(1))


def _stream(data: bytes) -> object:
    """The front's reading of a call that was admitted with two inputs."""
    state = advance(RunState(), Open(parts=2))
    for raw in split(data):
        request = read_request(raw)
        if isinstance(request, SegmentFrame):
            event: Any = Segment(part=request.part, index=request.index, size=len(request.data))
        else:
            event = {"finish": Finished(), "open": Open(parts=2)}.get(request.WhichOneof("message") or "", Empty())
        state = advance(state, event)
    return advance(state, HalfClose())


def _stream_fair(data: bytes, value: Any) -> bool:
    return bool(value.part == 1 and value.job_bytes <= len(data) <= LIMITS.job_bytes)


# ---------------------------------------------------------------- records


class _Counted:
    """Where the outputs of a pipeline go: counted, and read as their recipient would."""

    def __init__(self) -> None:
        self.rows = self.statuses = 0

    def result(self, batch: pa.RecordBatch) -> None:
        batch.validate(full=True)
        self.rows += batch.num_rows

    def status(self, status: RowStatus) -> None:
        self.statuses += len(status.status)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        batch.validate(full=True)


def _rows(case: Case) -> tuple[bytes, ...]:
    sides = {name: [dict(row)] for name, (_, row) in case.sides.items()}
    rows = [dict(case.row)]
    return tuple(msgspec.json.encode({**sides, "records": each}) for each in (rows, rows * 3, []))


def _batch(schema_id: str, rows: Any, sound: Any) -> pa.RecordBatch:
    """These rows in the columns of the sound ones; NoRows for values that no column has."""
    names = list(sound)
    if not isinstance(rows, list) or len(rows) > _ROWS or not all(isinstance(row, dict) for row in rows):
        raise NoRows
    fields = [pa.field(name, SCHEMAS[schema_id].columns[name].types[0]) for name in names]
    columns = []
    for field in fields:
        values = [row.get(field.name) for row in rows]
        if any(not isinstance(value, str | int | None) or len(str(value)) > _CELL_BYTES for value in values):
            raise NoRows
        try:
            columns.append(pa.array(values, field.type))
        except (ValueError, OverflowError, pa.ArrowException):  # half of a surrogate pair, a number in a text column
            raise NoRows from None
    return pa.RecordBatch.from_arrays(columns, schema=tagged(schema_id, fields))


def _new_slot() -> memoryview:
    return memoryview(bytearray(_SLOT_BYTES))


@functools.cache
def _resident() -> memoryview:
    """A reference that the worker has kept since another job: the sound rows of the case that leaves one."""
    slot = memoryview(bytearray(_SLOT_BYTES))
    for operation, case in CASES.values():
        reference = operation.signature(case.parameters).reference
        if reference is not None and reference.seconds:
            _records(operation, case, slot=lambda: slot)(_rows(case)[0])
    return slot


def _records(
    operation: Operation[Any], case: Case, *, slot: Callable[[], memoryview] | None = None
) -> Callable[[bytes], object]:
    (planned,) = plan([operation.message(case.parameters)], _schemas(case), TABLES()).operations
    reference = planned.signature.reference
    if slot is None:
        slot = _resident if reference is not None and not reference.seconds else _new_slot

    def read(data: bytes) -> object:
        try:
            tables = json.loads(data)
        except (ValueError, RecursionError):
            raise NoRows from None
        if not isinstance(tables, dict):
            raise NoRows
        records = _batch(case.schema, tables.get("records"), case.row)
        sides = {name: [_batch(schema, tables.get(name), row)] for name, (schema, row) in case.sides.items()}
        key = None if planned.signature.project is None else bytes(32)
        memory = None if reference is None else slot()
        given = replace(context(key, tables=TABLES()), sides=sides, reference_slot=memory)
        sink = _Counted()
        prepared = prepare(planned, records.schema, given)
        pipeline = Pipeline([prepared], columns=records.num_columns, sink=sink, progress=lambda *_: None)
        pipeline.push(records)
        pipeline.finish()
        return records.num_rows, sink.statuses

    return read


def _record_targets() -> list[Any]:
    return [
        target(
            f"records-{name}",
            functools.partial(_rows, case),
            _records(operation, case),
            refusals=(Refusal, NoRows),
            fair=lambda _, value: value[0] == value[1],  # each row has one status
            mutators=JSON,
            weight=2,
        )
        for name, (operation, case) in CASES.items()
    ]


# ---------------------------------------------------------------- what a worker answers to its client


@functools.cache
def _job() -> Any:
    return parse(make())


@functools.cache
def _answers() -> tuple[bytes, ...]:
    header = pb.ResultHeader(
        version=1,
        job_id=_job().job_id,
        job_header_sha384=_job().sha384,
        worker_id="w",
        outputs=[
            pb.OutputPart(name="result", schema="person/1"),
            pb.OutputPart(name="row_status", schema="row_status/1"),
        ],
        recipients=[pb.WrappedKey(key_id=OURS.key_id, wrapped_dek=bytes(384))],
    )
    messages = [
        pb.RunResponse(accepted=pb.Accepted()),
        pb.RunResponse(progress=pb.Progress(stage="rows", per_cent=7)),
        *(pb.RunResponse(segment=pb.Segment(part=part, index=0, data=bytes(200))) for part in (0, 1)),
        pb.RunResponse(done=pb.Done(receipt="a.b.c", result_header=header.SerializeToString(deterministic=True))),
    ]
    return (packets(*(message.SerializeToString() for message in messages)),)


def _collect(data: bytes) -> object:
    collector = Collector(_job(), progress=lambda _: None)
    try:
        for raw in split(data):
            collector.take(pb.RunResponse.FromString(raw))
        header, outputs = collector.finish()
        parts = [(output.name, output.length, output.file.tell()) for output in outputs]
        return header, parts, collector.done.receipt
    finally:
        collector.discard()


def _collected_fair(data: bytes, value: Any) -> bool:
    header, outputs, receipt = value
    whole = all(length == written <= len(data) for _, length, written in outputs)
    return whole and tuple(part.name for part in header.parts) == tuple(name for name, *_ in outputs) and bool(receipt)


@functools.cache
def _descriptions() -> tuple[bytes, ...]:
    key = pb.KeyDescription(kek_id="k", public_jwk=OURS.jwk)
    message = pb.DescribeResponse(audience="a", worker_id="w", operations=["x"], schemas=["s"], keys=[key])
    return (message.SerializeToString(),)


def _describe(data: bytes) -> object:
    return Description.of(pb.DescribeResponse.FromString(data)).pin("k", thumbprint=OURS.key_id)


JOBS: Final = (
    target("job-plan", _headers, _plan, refusals=(Refusal,), fair=_plan_fair, mutators=SIZED, weight=30),
    target(
        "run-stream", _requests, _stream, refusals=(Refusal,), fair=_stream_fair, mutators=of_packets(SIZED), weight=20
    ),
    *_record_targets(),
    target(
        "answer",
        _answers,
        _collect,
        refusals=(Unverified, DecodeError),
        fair=_collected_fair,
        mutators=of_packets(SIZED),
        weight=10,
    ),
    target(
        "description",
        _descriptions,
        _describe,
        refusals=(Unverified, DecodeError),
        fair=lambda _, value: value.thumbprint == OURS.key_id,
        mutators=SIZED,
        weight=10,
    ),
)

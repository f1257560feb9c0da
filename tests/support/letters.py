"""An operation in parts for tests, with everything that stages can have: how often the first letter of `last` occurs.

count   rows of each shard, to all
plan    so many `bucket` tasks as `buckets` says, and a key for the buckets
split   each letter to its bucket
bucket  letters and their numbers, to all
label   the records with the number of their letter, the status of each row, and the letters themselves by shard
"""

from typing import Any

import numpy as np
import pyarrow as pa

from cji_core.data_classes import DataClass
from cji_core.format.records import ROW_STATUS, SCHEMAS, RecordSchema, RowStatus, Status, columns
from cji_core.format.records.declared import UINT32, UINT64, UTF8, Fields
from cji_core.operations.declaration import Operation, OutputSpec, Signature
from cji_core.operations.parameters import Parameters
from cji_core.operations.registry import Plan, Planned
from cji_core.operations.stages.stage import Edge, Stage, Stages, Width
from cji_core.operations.status_codes import ValueCode
from cji_operations.stages.task import StageFunctions, Task

COUNTS = Edge(name="counts", fields=Fields.of([("rows", UINT64)]))
KEY = Edge(name="key", fields=Fields.of([("salt", UINT64)]))
LETTERS = Edge(name="letters", fields=Fields.of([("letter", UTF8), ("shard", UINT32)]), each=True)
SUMS = Edge(name="sums", fields=Fields.of([("letter", UTF8), ("number", UINT64)]))
RESULT = RecordSchema.output(
    "letters/1", columns(DataClass.CASE, "letter", UTF8), columns(DataClass.CASE, "number", UINT64)
)
SEEN = OutputSpec(name="seen", schema=RecordSchema.output("seen/1", columns(DataClass.CASE, "letter", UTF8)))


class Letters(Parameters, frozen=True, kw_only=True, tag="letters"):
    """The number of buckets, and how often each row goes to its bucket."""

    buckets: int = 3
    times: int = 1


def _first(batch: pa.RecordBatch) -> list[str | None]:
    return [value[0] if value else None for value in batch.column(batch.schema.get_field_index("last")).to_pylist()]


def _count(task: Task) -> None:
    rows = sum(batch.num_rows for batch in task.records())
    task.write("counts", pa.RecordBatch.from_pydict({"rows": [rows]}, schema=COUNTS.schema))


def _plan(task: Task) -> None:
    rows = sum(batch.column(0)[0].as_py() for _, batch in task.read("counts"))
    task.plan({"bucket": task.parameters.buckets})
    task.write("key", pa.RecordBatch.from_pydict({"salt": [rows]}, schema=KEY.schema))


def _split(task: Task) -> None:
    letters = [letter for batch in task.records() for letter in _first(batch) if letter]
    (salt,) = (batch.column(0)[0].as_py() for _, batch in task.read("key"))
    buckets = task.tasks["bucket"]
    found: dict[int, list[str]] = {}
    for letter in letters * task.parameters.times:
        found.setdefault((ord(letter) + salt) % buckets, []).append(letter)
    for bucket, own in found.items():
        batch = pa.RecordBatch.from_pydict({"letter": own, "shard": [task.number] * len(own)}, schema=LETTERS.schema)
        task.write("letters", batch, to=bucket)


def _bucket(task: Task) -> None:
    found: dict[str, int] = {}
    for _, batch in task.read("letters"):
        for letter in batch.column(0).to_pylist():
            found[letter] = found.get(letter, 0) + 1
    values = {"letter": sorted(found), "number": [found[letter] for letter in sorted(found)]}
    task.write("sums", pa.RecordBatch.from_pydict(values, schema=SUMS.schema))
    task.progress("rows", 100)


def _label(task: Task) -> None:
    shard = [letter for batch in task.records() for letter in _first(batch)]
    sums: dict[str, int] = {}
    for _, batch in task.read("sums"):
        sums.update(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
    numbers = [sums.get(letter or "", 0) // task.parameters.times for letter in shard]
    for first in range(0, len(shard), 1000):
        own = slice(first, first + 1000)
        task.output(
            "result", pa.RecordBatch.from_pydict({"letter": shard[own], "number": numbers[own]}, schema=RESULT.arrow)
        )
    missing = np.flatnonzero([letter is None for letter in shard])
    status = RowStatus.all_ok(len(shard))
    task.status(status.found(missing, status=Status.WARNED, code=ValueCode.WRONG_LENGTH))
    if seen := sorted({letter for letter in shard if letter}):
        task.output("seen", pa.RecordBatch.from_pydict({"letter": seen}, schema=SEEN.schema.arrow))


STAGES = Stages(
    in_order=(
        Stage(name="count", width=Width.SHARDS, records=True, writes=(COUNTS,)),
        Stage(name="plan", width=Width.ONE, reads=("counts",), writes=(KEY,), plans=True),
        Stage(name="split", width=Width.SHARDS, records=True, reads=("key",), writes=(LETTERS,)),
        Stage(name="bucket", width=Width.PLANNED, reads=("letters",), writes=(SUMS,)),
        Stage(
            name="label",
            width=Width.SHARDS,
            records=True,
            reads=("sums",),
            outputs=("result", "row_status", "seen"),
        ),
    )
)


FUNCTIONS: StageFunctions = {"count": _count, "plan": _plan, "split": _split, "bucket": _bucket, "label": _label}


def _never(*_: object) -> Any:
    raise AssertionError("it is only planned by hand")


SIGNATURE = Signature(accepts=frozenset(("person/1",)), result="letters/1", parts=(SEEN,))
LETTERS_OPERATION: Operation[Letters] = Operation(
    parameters=Letters,
    decode=_never,
    encode=_never,
    signature=lambda _: SIGNATURE,
    schemas=(RESULT, SEEN.schema),
    stages=lambda _: STAGES,
)


def planned(parameters: Letters) -> Plan:
    """The plan of a job of this operation."""
    one = Planned(operation=LETTERS_OPERATION, parameters=parameters, signature=SIGNATURE, schema_id="person/1")
    outputs = (
        OutputSpec(name="result", schema=RESULT),
        OutputSpec(name="row_status", schema=SCHEMAS[ROW_STATUS]),
        SEEN,
    )
    return Plan(operations=(one,), outputs=outputs)

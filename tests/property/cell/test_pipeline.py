"""Whatever operations do to rows and columns, every input row has one status, and its findings name input columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason
from cji_core.format.records import WHOLE_ROW, RowStatus, Status, tagged
from cji_operations.operation import CHUNK_ROWS, Applied, Outputs, PreparedOperation
from cji_operations.progress import ProgressCallback
from cji_worker.cell.pipeline import Pipeline
from tests.support.refusals import refused

PART = tagged("person/1", [pa.field("n", pa.int64())])


def schema(columns: Sequence[int]) -> pa.Schema:
    return tagged("person/1", [pa.field(f"c{c}", pa.int64()) for c in columns])


@dataclass
class _Common:
    """Takes `columns` of the input, in that order; finds rows whose first value is divisible by `marks`."""

    columns: tuple[int, ...]
    marks: int
    name: str
    from_row: bool = False

    @property
    def output_schema(self) -> pa.Schema:
        return schema(self.columns)

    @property
    def sources(self) -> np.ndarray:
        return np.array([WHOLE_ROW if self.from_row else column for column in self.columns], np.int16)

    def judge(self, batch: pa.RecordBatch) -> RowStatus:
        rows = np.flatnonzero(batch.column(0).to_numpy() % self.marks == 0)
        return RowStatus.all_ok(batch.num_rows).found(rows, status=Status.WARNED, code=self.marks, column=0)

    def count(self, n: int) -> dict[str, list[pa.RecordBatch]]:
        return {self.name: [pa.RecordBatch.from_arrays([pa.array([n])], schema=PART)]}


@dataclass
class Drop(_Common):
    """Of scope batch: rows whose first value is divisible by `divisor` go no further."""

    divisor: int = 1

    def apply(self, batch: pa.RecordBatch) -> Applied:
        kept = np.flatnonzero(batch.column(0).to_numpy() % self.divisor != 0)
        out = batch.take(pa.array(kept)).select(list(self.columns)).rename_columns(self.output_schema.names)
        out = pa.RecordBatch.from_arrays(out.columns, schema=self.output_schema)
        return Applied(batch=out, status=self.judge(batch), kept=kept, parts=self.count(batch.num_rows))

    def finish(self) -> Mapping[str, Iterable[pa.RecordBatch]]:
        return self.count(-1)


@dataclass
class Whole(_Common):
    """Of scope table; gives its rows back in batches of `cut` rows, or their number only."""

    cut: int = 1
    keeps_rows: bool = True

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        progress("check", 100)
        table = pa.Table.from_batches(records) if records else None
        n = 0 if table is None else table.num_rows
        status = RowStatus.all_ok(0) if table is None else RowStatus.concatenate([self.judge(r) for r in records])
        result = []
        if table is not None and self.keeps_rows:
            chosen = table.select(list(self.columns)).rename_columns(self.output_schema.names)
            result = [
                pa.RecordBatch.from_arrays([c.combine_chunks() for c in piece.columns], schema=self.output_schema)
                for first in range(0, n, self.cut)
                for piece in [chosen.slice(first, self.cut)]
            ]
        return Outputs(status=status, result=result, parts=self.count(n))


class Sink:
    def __init__(self) -> None:
        self.results: list[pa.RecordBatch] = []
        self.statuses: list[RowStatus] = []
        self.counts: dict[str, list[int]] = {}

    def result(self, batch: pa.RecordBatch) -> None:
        self.results.append(batch)

    def status(self, status: RowStatus) -> None:
        self.statuses.append(status)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        self.counts.setdefault(name, []).extend(batch.column(0).to_pylist())


FAULT = 900
"""The code of a row that is not usable from the start."""


def is_faulty(row: list[int], fault: int) -> bool:
    return fault > 0 and row[0] % fault == 0


def twin(
    rows: list[list[int]], operations: Sequence[Drop | Whole], fault: int
) -> tuple[list[list[int]], dict[int, list[tuple[int, int]]]]:
    """Row by row: the values that are left, and (code, input column) for each input row."""
    found: dict[int, list[tuple[int, int]]] = {
        i: [(FAULT, 0)] if is_faulty(row, fault) else [] for i, row in enumerate(rows)
    }
    alive = [(i, row, list(range(len(row)))) for i, row in enumerate(rows) if not found[i]]
    for operation in operations:
        following = []
        for i, row, origin in alive:
            if row[0] % operation.marks == 0:
                found[i].append((operation.marks, origin[0]))
            if isinstance(operation, Drop) and row[0] % operation.divisor == 0:
                continue
            following.append(
                (
                    i,
                    [row[c] for c in operation.columns],
                    [WHOLE_ROW if operation.from_row else origin[c] for c in operation.columns],
                )
            )
        alive = following
    return [row for _, row, _ in alive], found


@st.composite
def jobs(draw: st.DrawFn) -> tuple[int, list[list[list[int]]], list[Drop | Whole], int]:
    width = columns = draw(st.integers(1, 4))
    operations: list[Drop | Whole] = []
    for k in range(draw(st.integers(0, 4))):
        chosen = tuple(draw(st.lists(st.integers(0, columns - 1), min_size=1, max_size=4)))
        from_row = draw(st.booleans())
        common: dict[str, Any] = {
            "columns": chosen,
            "marks": draw(st.integers(1, 5)),
            "name": f"part{k}",
            "from_row": from_row,
        }
        if draw(st.booleans()):
            operations.append(Drop(**common, divisor=draw(st.integers(1, 7))))
        else:
            operations.append(Whole(**common, cut=draw(st.integers(1, 9))))
        columns = len(chosen)
    value = st.integers(0, 40)
    batch = st.lists(st.lists(value, min_size=width, max_size=width), max_size=12)
    return width, draw(st.lists(batch, max_size=4)), operations, draw(st.integers(0, 3))


def run(width: int, batches: list[list[list[int]]], operations: Sequence[PreparedOperation], *, fault: int = 0) -> Sink:
    sink = Sink()
    told: list[tuple[str, int]] = []
    pipeline = Pipeline(
        operations, columns=width, sink=sink, progress=lambda step, per_cent: told.append((step, per_cent))
    )
    for rows in batches:
        kept = [i for i, row in enumerate(rows) if not is_faulty(row, fault)]
        columns = [pa.array([rows[i][c] for i in kept], pa.int64()) for c in range(width)]
        batch = pa.RecordBatch.from_arrays(columns, schema=schema(range(width)))
        if len(kept) == len(rows):
            pipeline.push(batch)
        else:
            faulty = np.setdiff1d(np.arange(len(rows)), kept)
            status = RowStatus.all_ok(len(rows)).found(faulty, status=Status.NOT_USABLE, code=FAULT, column=0)
            pipeline.push(batch, status, np.array(kept, np.int64))
    pipeline.finish()
    return sink


@settings(max_examples=300, deadline=None)
@given(jobs())
def test_rows_findings_and_results_are_those_of_the_obvious_way(
    job: tuple[int, list[list[list[int]]], list[Drop | Whole], int],
) -> None:
    width, batches, operations, fault = job
    sink = run(width, batches, operations, fault=fault)
    rows = [row for rows in batches for row in rows]
    left, found = twin(rows, operations, fault)
    got = [list(row.values()) for batch in sink.results for row in named(batch)]
    assert got == left
    whole = RowStatus.concatenate(sink.statuses)
    assert len(whole.status) == len(rows)
    for i in range(len(rows)):
        mine = whole.rows == i
        assert list(zip(whole.codes[mine].tolist(), whole.columns[mine].tolist(), strict=True)) == found[i]
        worst = Status.NOT_USABLE if (FAULT, 0) in found[i] else Status.WARNED
        assert whole.status[i] == (worst if found[i] else Status.OK)
    for operation in operations:
        if isinstance(operation, Drop):
            assert sink.counts[operation.name][-1] == -1
        else:
            assert len(sink.counts[operation.name]) == 1


def named(batch: pa.RecordBatch) -> list[dict[int, int]]:
    columns = [column.to_pylist() for column in batch.columns]
    return [dict(enumerate(values)) for values in zip(*columns, strict=True)] if columns else []


def test_a_result_of_other_rows_still_judges_every_input_row() -> None:
    rows = [[i] for i in range(CHUNK_ROWS + 5)]
    counting = Whole(columns=(0,), marks=7, name="count", cut=1, keeps_rows=False)
    sink = run(1, [rows], [counting])
    assert sink.results == []
    assert sink.counts == {"count": [len(rows)]}
    assert [len(status.status) for status in sink.statuses] == [CHUNK_ROWS, 5]
    assert RowStatus.concatenate(sink.statuses).counts()[1] == len(range(0, len(rows), 7))


def test_rows_dropped_before_the_operations_keep_their_places() -> None:
    rows = [[i] for i in range(2 * CHUNK_ROWS + 5)]
    sink = run(1, [rows], [Drop(columns=(0,), marks=10**6, name="a", divisor=10**6)], fault=3)
    assert [len(status.status) for status in sink.statuses] == [CHUNK_ROWS, CHUNK_ROWS, 5]
    whole = RowStatus.concatenate(sink.statuses)
    assert whole.rows[whole.codes == FAULT].tolist() == list(range(0, len(rows), 3))
    assert [value for batch in sink.results for value in batch.column(0).to_pylist()] == [i for (i,) in rows if i % 3]


ROWS = tagged("person/1", [pa.field("n", pa.int64()), pa.field("row", pa.uint64())])


@dataclass
class Naming(Drop):
    """Names each row that it saw, in a part and, with its last batch, what came before."""

    rows: int = 0

    def apply(self, batch: pa.RecordBatch) -> Applied:
        applied, first = super().apply(batch), self.rows
        self.rows += batch.num_rows
        rows = pa.array([None if n % 5 == 0 else first + n for n in range(batch.num_rows)], pa.uint64())
        seen = pa.RecordBatch.from_arrays([batch.column(0), rows], schema=ROWS)
        return Applied(batch=applied.batch, status=applied.status, kept=applied.kept, parts={self.name: [seen]})


class Naming2(Whole):
    """The same of scope table, in its result."""

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        true = super().run(records, progress)
        values = [value for batch in records for value in batch.column(0).to_pylist()]
        rows = pa.array(range(len(values)), pa.uint64())
        named = pa.RecordBatch.from_arrays([pa.array(values, pa.int64()), rows], schema=ROWS)
        return Outputs(status=true.status, result=[named])


class NamedRows(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, list[tuple[int, int]]] = {}

    def result(self, batch: pa.RecordBatch) -> None:
        self.part("result", batch)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        if "row" in batch.schema.names:
            pairs = zip(batch["n"].to_pylist(), batch["row"].to_pylist(), strict=True)
            self.named.setdefault(name, []).extend(pairs)


@pytest.mark.parametrize("input_rows", [(0, 1), (1,), ()])
def test_rows_that_outputs_name_are_those_of_the_input(input_rows: tuple[int, ...]) -> None:
    """Every third row never arrives, and of the rest the first operation drops every seventh."""
    sink, n = NamedRows(), 2 * CHUNK_ROWS + 5
    first = Naming(columns=(0,), marks=10**6, name="a", divisor=7)
    second = Naming2(columns=(0,), marks=10**6, name="b", cut=1, keeps_rows=False)
    pipeline = Pipeline([first, second], columns=1, sink=sink, progress=lambda *_: None, input_rows=input_rows)
    for start in range(0, n, 1000):
        rows = np.arange(start, min(start + 1000, n))
        kept = np.flatnonzero(rows % 3)
        batch = pa.RecordBatch.from_arrays([pa.array(rows[kept])], schema=schema([0]))
        pipeline.push(batch, RowStatus.all_ok(len(rows)), kept)
    pipeline.finish()
    arrived = [i for i in range(n) if i % 3]
    left = [i for i in arrived if i % 7]
    assert [value for value, _ in sink.named["a"]] == arrived
    assert [value for value, _ in sink.named["result"]] == left
    for at, (name, values) in enumerate((("a", arrived), ("result", left))):
        expected = values if at in input_rows else range(len(values))
        pairs = zip(sink.named[name], expected, strict=True)
        assert all(row in {None, wanted} for (_, row), wanted in pairs)
        assert sum(row is None for _, row in sink.named[name]) < len(values) // 2


class Liar(Drop):
    """Says that it kept one row more than it did."""

    def apply(self, batch: pa.RecordBatch) -> Applied:
        true = super().apply(batch)
        assert true.kept is not None
        return Applied(batch=true.batch, status=true.status, kept=np.append(true.kept, batch.num_rows - 1))


class Forgetful(Whole):
    """Judges one row too few."""

    def judge(self, batch: pa.RecordBatch) -> RowStatus:
        return super().judge(batch).slice(0, batch.num_rows - 1)


class Shrinking(Whole):
    """Claims to keep rows and loses its last batch."""

    def run(self, records: Sequence[pa.RecordBatch], progress: ProgressCallback) -> Outputs:
        true = super().run(records, progress)
        return Outputs(status=true.status, result=list(true.result)[:-1])


@pytest.mark.parametrize(
    "operation",
    [
        Liar(columns=(0,), marks=2, name="a", divisor=3),
        Forgetful(columns=(0,), marks=2, name="a", cut=2),
        Shrinking(columns=(0,), marks=2, name="a", cut=2),
    ],
)
def test_an_operation_that_loses_a_row_ends_the_job(operation: PreparedOperation) -> None:
    with refused(Reason.INTERNAL):
        run(1, [[[1], [2], [4], [5]]], [operation])

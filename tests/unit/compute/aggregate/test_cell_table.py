"""`aggregate` at its edges: parameters that are refused, limits, columns of other types, a released order."""

from typing import Any

import pyarrow as pa
import pytest

from tests.support.contexts import planned
from tests.support.refusals import refused
from worker.compute.operation import Outputs
from worker.compute.operations.aggregate import (
    Aggregate,
    cell_table,
    run,
)
from worker.errors import Reason, Stage
from worker.wire.v1 import worker_pb2 as wire

GOOD = Aggregate(keys={"SEX": ("F", "M"), "RAC": ()}, person="SID", sums=("n",))


def outputs(parameters: Aggregate, *batches: pa.RecordBatch) -> Outputs:
    return run(parameters, batches, lambda *_: None)


def rows(parameters: Aggregate, *batches: pa.RecordBatch) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pa.Table.from_batches(list(outputs(parameters, *batches).result)).to_pylist()
    return found


def message(**changes: object) -> wire.Operation:
    """GOOD as it stands in a header, with these fields instead."""
    fields = {"keys": [key("SEX", "F", "M"), key("RAC")], "person": "SID", "sums": ["n"], "threshold": 11, "base": 1}
    return wire.Operation(aggregate=wire.Aggregate(**fields | changes))  # type: ignore[arg-type]


def key(column: str, *categories: str) -> wire.GroupKey:
    return wire.GroupKey(column=column, categories=categories)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(message(keys=[]), id="no key"),
        pytest.param(message(keys=[key(c) for c in "abcde"]), id="five keys"),
        pytest.param(message(keys=[key("")]), id="a key without a column"),
        pytest.param(message(keys=[key("a"), key("a")]), id="a key twice"),
        pytest.param(message(keys=[key("a", "")]), id="an empty category"),
        pytest.param(message(keys=[key("a", "x", "x")]), id="a category twice"),
        pytest.param(message(keys=[key("a", *(str(i) for i in range(4097)))]), id="too many"),
        pytest.param(message(sums=list("abcde")), id="five sums"),
        pytest.param(message(sums=[""]), id="a sum without a column"),
        pytest.param(message(sums=["a", "a"]), id="a sum twice"),
        pytest.param(message(threshold=0), id="a threshold of 0"),
        pytest.param(message(threshold=1001), id="a threshold too high"),
        pytest.param(message(base=0), id="a base of 0"),
        pytest.param(message(base=1001), id="a base too high"),
        pytest.param(message(preset="srs_return_a"), id="a preset and keys"),
        pytest.param(wire.Operation(aggregate=wire.Aggregate(preset="return_b")), id="an unknown preset"),
    ],
)
def test_parameters_that_no_table_could_make_right_are_refused(bad: wire.Operation) -> None:
    (good,) = planned([message()], "person/1").operations
    assert good.parameters == GOOD
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([bad], "person/1")


@pytest.mark.parametrize("missing", ["SEX", "RAC", "SID", "n"])
def test_a_column_that_is_not_there_is_a_mismatch(missing: str) -> None:
    batch = pa.RecordBatch.from_pydict({name: ["1"] for name in ("SEX", "RAC", "SID", "n") if name != missing})
    with refused(Reason.SCHEMA_MISMATCH):
        outputs(GOOD, batch)


def test_small_cells_are_hidden_unless_the_caller_says_otherwise() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x"] * 10 + ["y"] * 30 + ["z"] * 11})
    found = rows(Aggregate(keys={"a": ()}), batch)
    assert [(r["key_1"], r["hidden"], r["rows"]) for r in found] == [
        (b"x", True, None),
        (b"y", False, 30),
        (b"z", True, None),
        (None, False, 51),
    ]


def test_the_order_of_cells_and_totals_ignores_the_order_of_rows() -> None:
    columns: dict[str, list[Any]] = {"a": ["x", "yy", None, "x"], "b": [True, False, True, None]}
    parameters = Aggregate(keys={"a": (), "b": ()}, threshold=1)
    batch = pa.RecordBatch.from_pydict(columns)
    again = pa.RecordBatch.from_pydict({name: column[::-1] for name, column in columns.items()})
    assert rows(parameters, batch) == rows(parameters, again)
    assert [(r["grouping"], r["key_1"], r["key_2"]) for r in rows(parameters, batch)][-4:] == [
        (2, b"x", None),
        (2, b"yy", None),
        (2, None, None),
        (3, None, None),
    ]


def test_numbers_may_be_of_a_number_type() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x", "x"], "n": pa.array([7, 8], pa.uint64())})
    assert rows(Aggregate(keys={"a": ()}, sums=("n",), threshold=1), batch)[0]["sum_1"] == 15


@pytest.mark.parametrize(("threshold", "limit"), [(1, "MAX_CELLS"), (2, "MAX_PROTECTED")])
def test_too_many_cells_are_refused_before_they_are_made(
    threshold: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = pa.RecordBatch.from_pydict({"a": [str(i) for i in range(6)]})  # 8 with unclassifiable and total
    parameters = Aggregate(keys={"a": ()}, threshold=threshold)
    monkeypatch.setattr(cell_table, limit, 8)
    outputs(parameters, batch)
    monkeypatch.setattr(cell_table, limit, 7)
    with refused(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE):
        outputs(parameters, batch)


@pytest.mark.parametrize(("count", "rounded"), [(12, 10), (14, 15), (17, 15), (18, 20), (20, 20)])
def test_numbers_are_rounded_to_the_nearest_multiple(count: int, rounded: int) -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x"] * count, "n": ["1"] * count})
    found = rows(Aggregate(keys={"a": ()}, person="a", sums=("n",), threshold=1, base=5), batch)[0]
    assert (found["rows"], found["sum_1"], found["persons"]) == (rounded, rounded, 0)


def test_halves_are_rounded_up() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x"] * 15})
    assert rows(Aggregate(keys={"a": ()}, threshold=1, base=10), batch)[0]["rows"] == 20


def test_sums_that_would_not_be_exact_are_refused() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x"] * 10, "n": ["9" * 15] * 10})
    with refused(Reason.LIMIT_EXCEEDED):
        outputs(Aggregate(keys={"a": ()}, sums=("n",), threshold=1), batch)
    batch = batch.slice(0, 9)
    assert rows(Aggregate(keys={"a": ()}, sums=("n",), threshold=1), batch)[0]["sum_1"] == 9 * (10**15 - 1)


def test_no_rows_make_no_cell() -> None:
    assert list(outputs(GOOD).result) == []
    batch = pa.RecordBatch.from_pydict({"SEX": [], "RAC": [], "SID": [], "n": []}, schema=pa.schema(
        [pa.field(name, pa.utf8()) for name in ("SEX", "RAC", "SID", "n")]
    ))  # fmt: skip
    assert list(outputs(GOOD, batch).result) == []

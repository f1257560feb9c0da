"""`aggregate` at its edges: parameters that are refused, limits, columns of other types, a released order."""

from typing import Any

import pyarrow as pa
import pytest

from cji_core.errors import Reason, Stage
from cji_core.operations.aggregate import Aggregate, Dominance
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.aggregate import cell_table, run
from cji_operations.operation import Outputs
from tests.support.contexts import planned
from tests.support.refusals import refused

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


def preset(**changes: object) -> wire.Operation:
    """The forms of all reports as they stand in a header, with these fields instead."""
    fields = {"preset": "srs_return_a", "reports": wire.Aggregate.ALL, "threshold": 1, "base": 1}
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
        pytest.param(message(dominance=wire.Dominance(top=1)), id="dominance of no percent"),
        pytest.param(message(dominance=wire.Dominance(top=1, percent=100)), id="dominance of all"),
        pytest.param(message(dominance=wire.Dominance(top=6, percent=50)), id="dominance of six"),
        pytest.param(message(dominance=wire.Dominance(top=1, percent=50), sums=[]), id="dominance of no sums"),
        pytest.param(message(reports=wire.Aggregate.ALL), id="reports without a preset"),
        pytest.param(message(months=["2020-04"]), id="months without a preset"),
        pytest.param(preset(preset="return_b"), id="an unknown preset"),
        pytest.param(preset(reports=0), id="a preset that does not state which reports"),
        pytest.param(preset(reports=3), id="other reports"),
        pytest.param(preset(months=["2020-13"]), id="no month"),
        pytest.param(preset(months=["202004"]), id="a month without a hyphen"),
        pytest.param(preset(months=["2020-04"] * 2), id="a month twice"),
        pytest.param(preset(dominance=wire.Dominance(top=1, percent=50)), id="a preset with dominance"),
        pytest.param(preset(base=5), id="a preset with rounding"),
    ],
)
def test_parameters_that_no_table_could_make_right_are_refused(bad: wire.Operation) -> None:
    (good,) = planned([message()], "person/1").operations
    assert good.parameters == GOOD
    planned([preset()], "nibrs.flat/3.1")
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([bad], "nibrs.flat/3.1" if bad.aggregate.preset else "person/1")


def test_accepted_reports_need_the_verdicts_of_a_validation() -> None:
    accepted = preset(reports=wire.Aggregate.ACCEPTED)
    planned([accepted], "nibrs.flat/3.1", sides={"incidents": "nibrs_verdicts/1"})
    for sides in ({}, {"incidents": "nibrs_ori/1"}, {"verdicts": "nibrs_verdicts/1"}):
        with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
            planned([accepted], "nibrs.flat/3.1", sides=sides)
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([preset()], "nibrs.flat/3.1", sides={"incidents": "nibrs_verdicts/1"})


def test_a_preset_is_exact_and_cells_are_hidden_by_default() -> None:
    assert Aggregate(preset="srs_return_a", reports="all").hides_below == 1
    assert Aggregate(keys={"a": ()}).hides_below == 11


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


def dominated(
    percent: int, *amounts: tuple[str | None, int], top: int = 1, person: str = "p"
) -> dict[str | None, bool]:
    """Which cells of one key are hidden: x has these amounts by person, y and z those of a hundred persons each."""
    rows_of = [("x", who, amount) for who, amount in amounts]
    rows_of += [(cell, f"{cell}{i}", 10) for cell in "yz" for i in range(100)]
    batch = pa.RecordBatch.from_pydict({
        "a": [cell for cell, _, _ in rows_of],
        "p": [who for _, who, _ in rows_of],
        "n": [str(amount) for _, _, amount in rows_of],
    })  # fmt: skip
    parameters = Aggregate(
        keys={"a": ()}, person=person, sums=("n",), threshold=1, dominance=Dominance(top=top, percent=percent)
    )
    found = rows(parameters, batch)
    return {None if r["key_1"] is None else str(r["key_1"], "ascii"): r["hidden"] for r in found}  # type: ignore[misc, call-overload]


def test_a_cell_that_one_person_dominates_is_hidden() -> None:
    many = [(f"p{i}", 10) for i in range(20)]
    assert not any(dominated(80, *many).values())
    hidden = dominated(80, ("rich", 801), *many[:20])
    assert hidden["x"]
    assert sum(hidden.values()) >= 2
    assert not any(dominated(80, ("rich", 800), *many[:20]).values())  # exactly 80 per cent is not more


def test_the_share_of_a_person_is_that_of_all_of_its_rows() -> None:
    many = [(f"p{i}", 10) for i in range(20)]
    split_up = [("rich", 267)] * 3
    assert dominated(80, *split_up, *many)["x"]
    assert not dominated(80, *split_up, *many, person="")["x"]  # each row by itself
    assert dominated(80, *split_up, *many, person="", top=3)["x"]
    assert not any(dominated(80, *[(None, amount) for _, amount in split_up], *many).values())  # nobody is the same


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

"""Tables of cells beside a loop over rows."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records import Status
from cji_core.operations.aggregate import CELLS, Aggregate, Code
from cji_operations.aggregate import run

Row = tuple[str | None, str | None, str | None, str | None]
NAMES = ("a", "b", "person", "number")
WORDS = st.none() | st.sampled_from(["", "x", "y", "zz", "abc", "é"])
ROWS = st.lists(
    st.tuples(
        WORDS,
        st.none() | st.sampled_from(["1", "2", "3"]),
        st.none() | st.sampled_from(["p", "q", "r", ""]),
        st.none()
        | st.sampled_from(["0", "7", "012", "-1", "1.5", "1A", "", "999999999999999", "1000000000000000", "9 "]),
    ),
    max_size=40,
)
PARAMETERS = Aggregate(keys={"a": (), "b": ("2", "1")}, person="person", sums=("number",), threshold=1)


def batches(rows: Sequence[Row], size: int) -> list[pa.RecordBatch]:
    schema = pa.schema([pa.field(name, pa.utf8()) for name in NAMES])
    table = pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in rows], schema=schema)
    found: list[pa.RecordBatch] = table.to_batches(max_chunksize=size)
    return found


def cells_of(found: Sequence[pa.RecordBatch]) -> dict[tuple[object, ...], tuple[int, int, int]]:
    rows = pa.Table.from_batches(found, schema=CELLS.arrow).to_pylist()
    key = ("grouping", "unclassifiable", "key_1", "key_2")
    return {tuple(r[k] for k in key): (r["rows"], r["persons"], r["sum_1"]) for r in rows}


def twin(rows: Sequence[Row]) -> dict[tuple[object, ...], tuple[int, int, int]]:
    """Each row goes into each of the four tables by itself."""
    count: dict[tuple[object, ...], int] = defaultdict(int)
    people: dict[tuple[object, ...], set[str]] = defaultdict(set)
    total: dict[tuple[object, ...], int] = defaultdict(int)
    for a, b, person, number in rows:
        for all_a, all_b in product((False, True), repeat=2):
            no_a, no_b = not a and not all_a, b not in ("1", "2") and not all_b
            value_a = None if all_a or no_a else str(a).encode()
            value_b = None if all_b or no_b else str(b).encode()
            cell = (all_a + 2 * all_b, no_a + 2 * no_b, value_a, value_b)
            count[cell] += 1
            people[cell] |= {person} if person else set()
            total[cell] += int(number) if number and number.isdecimal() and len(number) <= 15 else 0
    return {cell: (count[cell], len(people[cell]), total[cell]) for cell in count}


@given(ROWS, st.integers(1, 9))
def test_every_table_and_total_is_what_a_loop_over_rows_counts(rows: list[Row], size: int) -> None:
    outputs = run(PARAMETERS, batches(rows, size), lambda *_: None)
    assert cells_of(list(outputs.result)) == twin(rows)


@given(ROWS)
def test_totals_reconcile_and_every_row_is_accounted_for(rows: list[Row]) -> None:
    outputs = run(PARAMETERS, batches(rows, 7), lambda *_: None)
    table = pa.Table.from_batches(list(outputs.result), schema=CELLS.arrow).to_pylist()
    for grouping in range(4):
        assert sum(r["rows"] for r in table if r["grouping"] == grouping) == len(rows)
    missing = [not a or b not in ("1", "2") for a, b, _, _ in rows]
    apart = sum(r["rows"] for r in table if r["grouping"] == 0 and r["unclassifiable"])
    assert apart == sum(missing)
    assert sum(outputs.status.counts()) == len(rows)
    found = set(outputs.status.rows[outputs.status.codes == Code.UNCLASSIFIABLE].tolist())
    assert found == {i for i, wrong in enumerate(missing) if wrong}
    assert set(outputs.status.status.tolist()) <= {Status.OK, Status.PARTLY_USED}


@given(ROWS, st.integers(2, 12), st.integers(1, 7))
def test_hidden_cells_show_no_number_others_round_halves_up(rows: list[Row], threshold: int, base: int) -> None:
    parameters = Aggregate(keys=PARAMETERS.keys, person="person", sums=("number",), threshold=threshold, base=base)
    outputs = run(parameters, batches(rows, 7), lambda *_: None)
    exact = twin(rows)
    for r in pa.Table.from_batches(list(outputs.result), schema=CELLS.arrow).to_pylist():
        count, people, total = exact[r["grouping"], r["unclassifiable"], r["key_1"], r["key_2"]]
        if r["hidden"]:
            assert (r["rows"], r["persons"], r["sum_1"]) == (None, None, None)
        else:
            assert people >= threshold
            withheld = r["persons"] is None and r["grouping"] > 0  # a total that would tell of hidden cells
            expected: list[int | None] = [(v + base // 2) // base * base for v in (count, people, total)]
            assert [r["rows"], r["persons"], r["sum_1"]] == [
                expected[0],
                None if withheld else expected[1],
                expected[2],
            ]

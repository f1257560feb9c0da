"""k-anonymity beside an obvious twin, and the token map."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.format.records import RowStatus, Status, tagged
from cji_core.operations.deidentify.declaration import Code
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.deidentify.k_anonymity import too_small
from cji_operations.deidentify.people import Rows
from cji_worker.cell.pipeline import Pipeline
from tests.support.contexts import context, planned, prepare_table

KEY = bytes(range(32))
Row = tuple[str | None, str | None]


def twin(rows: list[Row], k: int) -> list[bool]:
    """Which rows lose their quasi-identifiers."""
    sizes = Counter(rows)
    gone = {row for row, size in sizes.items() if size < k}
    nothing = (None, None)
    pooled = gone | ({nothing} if nothing in sizes else set())
    if 0 < sum(sizes[row] for row in pooled) < k:
        others = [row for row in dict.fromkeys(rows) if row not in pooled]
        if others:
            gone = gone | {min(others, key=lambda row: sizes[row])}
    return [row in gone and row != nothing for row in rows]


class Sink:
    def __init__(self) -> None:
        self.rows: list[dict[str, str | None]] = []
        self.statuses: list[RowStatus] = []
        self.parts: dict[str, list[dict[str, Any]]] = {}

    def result(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.to_pylist()

    def status(self, status: RowStatus) -> None:
        self.statuses.append(status)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        batch.validate(full=True)
        self.parts.setdefault(name, []).extend(batch.to_pylist())


def run(rows: Sequence[Row], cut: int, k: int, *, token_map: bool = False) -> Sink:
    schema = tagged("person/1", [pa.field(name, pa.utf8()) for name in ("SEX", "postcode", "SOC", "last")])
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([sex for sex, _ in rows], pa.utf8()),
            pa.array([code for _, code in rows], pa.utf8()),
            pa.array([f"{i % 3:09d}" for i in range(len(rows))], pa.utf8()),
            pa.array(["x"] * len(rows), pa.utf8()),
        ],
        schema=schema,
    )
    parameters = wire.Deidentify(
        project="p",
        wrapped_project_key=b"sealed",
        columns=[
            wire.ColumnRule(column="SEX", keep=wire.Keep()),
            wire.ColumnRule(column="postcode", generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=2))),
            wire.ColumnRule(column="SOC", ff1=wire.Ff1(domain="soc", radix=10)),
            wire.ColumnRule(column="last", drop=wire.Drop()),
        ],
        small_classes=wire.SmallClasses(quasi_identifiers=["SEX", "postcode"], k=k),
        token_map=token_map,
    )
    operation = wire.Operation(deidentify=parameters)
    prepared = prepare_table(operation, "person/1", schema, context(KEY))
    names = [part.name for part in planned([operation], "person/1").outputs]
    assert names == ["result", "row_status", *(["token_map"] * token_map), "k_anonymity", "disclosure_risk"]
    sink = Sink()
    pipeline = Pipeline([prepared], columns=4, sink=sink, progress=lambda step, per_cent: None)
    for first in range(0, max(len(rows), 1), cut):
        pipeline.push(batch.slice(first, cut))
    pipeline.finish()
    return sink


sexes = st.sampled_from(["M", "F", "U", None])
postcodes = st.sampled_from(["12345", "12999", "54321", "nonsense", None])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(sexes, postcodes), max_size=40), st.integers(1, 9), st.integers(2, 6))
def test_every_class_of_the_result_is_large_enough(rows: list[Row], cut: int, k: int) -> None:
    sink = run(rows, cut, k)
    general: list[Row] = [(sex, None if code is None or not code.isdigit() else code[:2]) for sex, code in rows]
    gone = twin(general, k)
    wanted = [(None, None) if lost else row for row, lost in zip(general, gone, strict=True)]
    assert [(row["SEX"], row["postcode"]) for row in sink.rows] == wanted
    sizes = Counter(wanted)
    assert not sizes or min(sizes.values()) >= k or len(rows) < k or len(sizes) == 1
    whole = RowStatus.concatenate(sink.statuses)
    small = whole.rows[whole.codes == Code.SMALL_CLASS]
    assert small.tolist() == [i for i, lost in enumerate(gone) if lost]
    assert all(whole.status[small] >= Status.WARNED)
    for stage, classes in (("before", Counter(general)), ("after", sizes)):
        report = {r["size"]: (r["classes"], r["rows"]) for r in sink.parts["k_anonymity"] if r["stage"] == stage}
        assert report == {size: (n, size * n) for size, n in Counter(classes.values()).items()}


STEPS = (
    wire.ColumnRule(keep=wire.Keep()),
    wire.ColumnRule(generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=3))),
    wire.ColumnRule(generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=1))),
    wire.ColumnRule(null=wire.Null()),
)


def generalised(rows: Sequence[Row], cut: int, k: int) -> Sink:
    schema = tagged("person/1", [pa.field(name, pa.utf8()) for name in ("RAC", "postcode", "SEX")])
    columns = ([f"{i % 2}" for i in range(len(rows))], [code for code, _ in rows], [sex for _, sex in rows])
    batch = pa.RecordBatch.from_arrays([pa.array(values, pa.utf8()) for values in columns], schema=schema)
    parameters = wire.Deidentify(
        columns=[
            wire.ColumnRule(column="SEX", keep=wire.Keep()),
            wire.ColumnRule(column="postcode", hierarchy=wire.Hierarchy(steps=STEPS)),
            wire.ColumnRule(column="RAC", keep=wire.Keep()),
        ],
        small_classes=wire.SmallClasses(quasi_identifiers=["postcode", "SEX"], k=k, sensitive=["RAC"]),
    )
    prepared = prepare_table(wire.Operation(deidentify=parameters), "person/1", schema, context(KEY))
    sink = Sink()
    pipeline = Pipeline([prepared], columns=3, sink=sink, progress=lambda step, per_cent: None)
    for first in range(0, max(len(rows), 1), cut):
        pipeline.push(batch.slice(first, cut))
    pipeline.finish()
    return sink


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(postcodes, sexes), max_size=40), st.integers(1, 9), st.integers(2, 6))
def test_rows_take_steps_before_they_lose_all(rows: list[Row], cut: int, k: int) -> None:
    sink = generalised(rows, cut, k)

    def may_be(code: str | None) -> set[str | None]:
        if code is None or not code.isdigit():
            return {code, None}
        return {code, code[:3], code[:1], None}

    for (code, sex), row in zip(rows, sink.rows, strict=True):
        assert row["postcode"] in may_be(code)
        assert row["SEX"] in {sex, None}
        assert row["SEX"] == sex or row["postcode"] is None
    sizes = Counter((row["postcode"], row["SEX"]) for row in sink.rows)
    assert not sizes or min(sizes.values()) >= k or len(rows) < k or len(sizes) == 1
    whole = RowStatus.concatenate(sink.statuses)
    assert sum(whole.counts()) == len(rows)
    unfit = {i for i, code in zip(whole.rows.tolist(), whole.codes.tolist(), strict=True) if code == Code.NOT_A_ZIP}
    assert all(rows[i][0] == "nonsense" and sink.rows[i]["postcode"] is None for i in unfit)
    risk = {(r["stage"], r["measure"], r["column"], r["step"]): r["value"] for r in sink.parts["disclosure_risk"]}
    assert risk["after", "rows", None, None] == len(rows)
    assert risk["after", "smallest_class", None, None] == min(sizes.values(), default=0)
    taken = [risk["after", "rows_at_step", "postcode", step] for step in (0, 1, 2, 3, None)]
    assert sum(taken) == len(rows)
    lost = {i for i, code in zip(whole.rows.tolist(), whole.codes.tolist(), strict=True) if code == Code.SMALL_CLASS}
    assert all(sink.rows[i]["postcode"] is None and sink.rows[i]["SEX"] is None for i in lost)
    if rows:
        assert risk["after", "l_distinct", "RAC", None] >= 1
        assert 0 <= risk["after", "t", "RAC", None] <= 1


def test_a_hierarchy_saves_what_suppression_alone_would_take() -> None:
    rows: list[Row] = [*((f"123{i:02d}", "M") for i in range(20)), *([("54321", "F")] * 5)]
    sink = generalised(rows, 7, 5)
    assert [row["postcode"] for row in sink.rows] == ["123"] * 20 + ["54321"] * 5
    assert Code.SMALL_CLASS not in RowStatus.concatenate(sink.statuses).codes
    assert [(r["size"], r["classes"]) for r in sink.parts["k_anonymity"] if r["stage"] == "before"] == [(1, 20), (5, 1)]


def test_no_finer_value_of_a_generalised_column_is_in_the_output() -> None:
    rows: list[Row] = [(f"987{i:02d}", "M") for i in range(30)]
    sink = generalised(rows, 30, 10)
    assert {row["postcode"] for row in sink.rows} == {"987"}


def test_too_few_to_be_helped() -> None:
    none = np.zeros(3, np.bool_)
    assert too_small(np.array([0, 0, 1]), Rows(rows=np.ones(3, np.int64)), none, 5).tolist() == [True] * 3
    assert too_small(np.array([0, 0, 0]), Rows(rows=np.ones(3, np.int64)), none, 3).tolist() == [False] * 3
    assert too_small(np.empty(0, np.int64), Rows(rows=np.empty(0, np.int64)), np.empty(0, np.bool_), 3).tolist() == []


def test_the_token_map_leads_back() -> None:
    sink = run([("M", "12345")] * 50, 7, 2, token_map=True)
    tokens = [row["SOC"] for row in sink.rows]
    back = {row["token"].decode(): row["value"].decode() for row in sink.parts["token_map"]}
    assert [back[token] for token in tokens if token] == [f"{i % 3:09d}" for i in range(50)]
    assert [(row["column"], row["value"]) for row in sink.parts["token_map"]] == [
        ("SOC", b"000000000"),
        ("SOC", b"000000001"),
        ("SOC", b"000000002"),
    ]

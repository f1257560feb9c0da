"""k-anonymity beside an obvious twin, and the token map."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.contexts import context, planned, prepare_table
from worker.cell.pipeline import Pipeline
from worker.compute.operations.deidentify.codes import Code
from worker.compute.operations.deidentify.k_anonymity import too_small
from worker.records import RowStatus, Status, tagged
from worker.wire.v1 import worker_pb2 as wire

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
        self.parts: dict[str, list[dict[str, object]]] = {}

    def result(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.to_pylist()

    def status(self, status: RowStatus) -> None:
        self.statuses.append(status)

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        batch.validate(full=True)
        self.parts.setdefault(name, []).extend(batch.to_pylist())


def run(rows: list[Row], cut: int, k: int, *, token_map: bool = False) -> Sink:
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
    assert names == ["result", "row_status", *(["token_map"] * token_map), "k_anonymity"]
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


def test_too_few_to_be_helped() -> None:
    none = np.zeros(3, np.bool_)
    assert too_small(np.array([0, 0, 1]), none, 5).tolist() == [True] * 3
    assert too_small(np.array([0, 0, 0]), none, 3).tolist() == [False] * 3
    assert too_small(np.empty(0, np.int64), np.empty(0, np.bool_), 3).tolist() == []


def test_the_token_map_leads_back() -> None:
    sink = run([("M", "12345")] * 50, 7, 2, token_map=True)
    tokens = [row["SOC"] for row in sink.rows]
    back = {row["token"].decode(): row["value"].decode() for row in sink.parts["token_map"]}  # type: ignore[attr-defined]
    assert [back[token] for token in tokens if token] == [f"{i % 3:09d}" for i in range(50)]
    assert [(row["column"], row["value"]) for row in sink.parts["token_map"]] == [
        ("SOC", b"000000000"),
        ("SOC", b"000000001"),
        ("SOC", b"000000002"),
    ]

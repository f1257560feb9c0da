"""The clusters of a graph in shares are those of the whole graph, bit by bit, whatever the graph."""

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cji_core.errors import Limit, Refusal
from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.link import Link, edges, outputs
from cji_core.operations.link.stages import STAGES
from cji_core.operations.stages.stage import Edge, Width
from cji_core.operations.stages.streams import TaskStreams
from cji_operations.kernels import components as kernel
from cji_operations.kernels.components import Components, forest
from cji_operations.link.cluster_report import ClusterReport
from cji_operations.link.clusters import LEAST, cluster
from cji_operations.link.copies import MOST_LISTED, of_records
from cji_operations.link.facts import Facts
from cji_operations.link.report import pair_batches
from cji_operations.link.rows import Rows
from cji_operations.link.score import Pairs, gather, log2_odds
from cji_operations.link.stages import clustering, components, count, edge_data, shares
from cji_operations.link.stages.clustering import Reported
from cji_operations.link.stages.count import MOST_SHARES, Planned
from cji_operations.link.stages.finish import bounds
from cji_operations.link.stages.routes import MOST_TASKS, Assignment
from cji_operations.link.stages.shard import Rows as RowsOfShards
from cji_operations.link.stages.shares import Summed
from cji_operations.link.units import Units
from tests.reference.link import people
from tests.support.in_parts import ran

_STREAMS = dict[tuple[str, int], list[tuple[int, pa.RecordBatch]]]


@dataclass(kw_only=True)
class _Task:
    """A task over streams in lists."""

    number: int
    parameters: Link
    streams: _STREAMS
    outputs: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    def read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        found: Edge = next(one for one in vars(edges).values() if isinstance(one, Edge) and one.name == edge)
        batches = self.streams.get((edge, self.number if found.each else 0), [])
        return iter(
            sorted((one for one in batches if not found.aligned or one[0] == self.number), key=lambda one: one[0])
        )

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        self.streams.setdefault((edge, to), []).append((self.number, batch))

    def output(self, name: str, batch: pa.RecordBatch) -> None:
        self.outputs.setdefault(name, []).append(batch)

    def progress(self, step: str, per_cent: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Graph:
    """`n` units, some of which stand for several records, and weighed pairs of them."""

    units: Units
    pairs: Pairs
    ids: pa.Array

    @classmethod
    def of(cls, n: int, left: Ints, right: Ints, weight: npt.NDArray[Any], copies: Ints) -> "Graph":
        """copies int64[c]: units, each once for every further record that it stands for; its twin is the one before."""
        copies = copies[copies > 0]
        total = n + len(copies)
        rows = np.random.default_rng(3).permutation(total)
        first = np.sort(rows[:n])
        head = first[copies]
        row = np.sort(rows[n:])
        later = row > head  # the rows of a unit come behind its first
        row, head, copies = row[later], head[later], copies[later]
        kept = np.sort(np.concatenate((first, row)))
        first, row, head = (np.searchsorted(kept, one) for one in (first, row, head))
        units = Units(first=first, row=row, record=row, head=head, twin=first[copies - 1])
        some = left != right
        code = np.unique((np.minimum(left, right)[some] << 32) | np.maximum(left, right)[some], return_index=True)
        pairs = Pairs(
            left=(code[0] >> 32).astype(np.int32),
            right=(code[0] & 0xFFFFFFFF).astype(np.int32),
            pattern=code[0] % 7,
            weight=weight[some][code[1]],
        )
        names = [None if at % 11 == 0 else b"" if at % 13 == 0 else f"R{at}".encode() for at in range(len(kept))]
        return cls(units=units, pairs=gather([pairs]), ids=pa.array(names, pa.binary()))


def of_one_machine(graph: Graph, parameters: Link, *, fewer: bool) -> tuple[Ints, dict[str, pa.Table]]:
    found = cluster(graph.pairs, graph.units, None, None, parameters)
    root = graph.units.roots(found.root, found.together)
    rows = Rows(ids=graph.ids, first_of_second=None)
    match = log2_odds(parameters.match)
    shown = graph.pairs.from_weight(log2_odds(parameters.clerical_review_threshold))
    listed = of_records(shown, graph.units, fewer=fewer)
    codes, pattern = np.unique(listed.pattern, return_inverse=True)
    joined = root[listed.left] == root[listed.right]
    pairs = pair_batches(listed, joined, rows, least=match, pattern=pattern, weights=codes / 3)
    report = ClusterReport(clusters=found, units=graph.units, root=root, rows=rows, least=match).batches()
    batches = {"pairs": pairs} | report
    schemas = {one.name: one.schema.arrow for one in (outputs.PAIRS, outputs.CLUSTERS, outputs.BRIDGES)}
    return root, {name: pa.Table.from_batches(some, schemas[name]).combine_chunks() for name, some in batches.items()}


def in_shares(
    graph: Graph, parameters: Link, *, tasks: int, width: int, shards: Sequence[int], fewer: bool | None = None
) -> tuple[Ints, dict[str, pa.Table]]:
    """The stages from `components` on. `fewer`: as if more were listed than may be."""
    units, n = graph.units, len(graph.units.first)
    streams = _STREAMS()
    planned = _plan(graph, width, shards)
    tasks_of = [
        _Task(number=at, parameters=parameters, streams=streams) for at in range(max(tasks, width, len(shards)))
    ]
    edge_data.write_document(tasks_of[0], edges.PLAN, planned)  # type: ignore[arg-type]
    _write_units(graph, tasks_of[0], width)
    owner = np.arange(len(graph.pairs)) % tasks
    for number in range(tasks):
        some = graph.pairs.some(np.flatnonzero(owner == number))
        left, right = some.left.astype(np.uint32), some.right.astype(np.uint32)
        for share, which in shares.chosen(shares.share_of(right, n, width), width):
            columns = (one[which] for one in (left, right, some.pattern, some.weight))
            edge_data.write(tasks_of[number], edges.WEIGHED, *columns, to=share)  # type: ignore[arg-type]
        matched = some.weight >= log2_odds(parameters.match)
        joined = (side.astype(np.uint32) for side in forest(left[matched], right[matched]))
        edge_data.write(tasks_of[number], edges.FOREST, *joined)  # type: ignore[arg-type]
    components.form(tasks_of[0])  # type: ignore[arg-type]
    for function in (shares.gather, shares.list_):
        for task in tasks_of[:width]:
            function(task)  # type: ignore[arg-type]
    _report(tasks_of[0], fewer)
    for function in (clustering.cluster, clustering.order):
        for task in tasks_of[:width]:
            function(task)  # type: ignore[arg-type]
    root, start = np.full(units.n, -1), 0
    for at, rows in enumerate(shards):
        for edge in (edges.ALONE, edges.LABELS):
            for _, batch in tasks_of[at].read(edge.name):
                place = start + arrow.numbers(batch.column(0)).astype(np.int64)
                assert (root[place] == -1).all()
                root[place] = arrow.numbers(batch.column(1)).astype(np.int64)
        start += rows
    schemas = {one.name: one.schema.arrow for one in (outputs.PAIRS, outputs.CLUSTERS, outputs.BRIDGES)}
    return root, {
        name: pa.Table.from_batches(
            [one for task in tasks_of for one in task.outputs.get(name, ())], schema
        ).combine_chunks()
        for name, schema in schemas.items()
    }


def _plan(graph: Graph, width: int, shards: Sequence[int]) -> Planned:
    return Planned(
        rows=RowsOfShards(own=list(shards), side=None),
        facts=Facts(n=len(graph.units.first), first_of_second=None, filled={}, squares={}),
        frequent={},
        left_out=[],
        assignment=Assignment(tasks=1, routes=(), anchors=0, heavy=(), alone=(), own=()),
        maps=[],
        random=1,
        shares=width,
    )


def _write_units(graph: Graph, task: Any, width: int) -> None:
    units, n = graph.units, len(graph.units.first)
    unit = np.concatenate((np.arange(n), np.searchsorted(units.first, units.head)))
    twin = np.concatenate((np.arange(n), np.searchsorted(units.first, units.twin)))
    row, record = np.concatenate((units.first, units.row)), np.concatenate((units.first, units.record))
    for share, some in shares.chosen(shares.share_of(unit, n, width), width):
        numbers = (one[some].astype(np.uint32) for one in (unit, row, record, twin))
        ids = graph.ids.take(pa.array(row[some]))
        no = np.zeros(len(some), np.bool_)
        edge_data.write(task, edges.ROWS, *numbers, ~no, no, ids, to=share)
    heavy, equal = units.twins
    edge_data.write(task, edges.TWINS, equal.astype(np.uint32), heavy.astype(np.uint32))


def _report(task: Any, fewer: bool | None) -> None:
    """What `finish.report` tells `cluster`, with other weights of patterns."""
    pattern, *counts = edge_data.read_numbers(task, edges.TALLIED)
    summed = edge_data.read_documents(task, edges.SUMMED, Summed)
    fewer = sum(one.looked_at for one in summed) > MOST_LISTED if fewer is None else fewer
    codes = np.unique(pattern[counts[fewer] > 0])
    edge_data.write_document(task, edges.REPORTED, Reported(fewer=fewer, bounds=bounds(summed)))
    edge_data.write(task, edges.CODES, codes, codes / 3)


def assert_same(graph: Graph, parameters: Link, **how: Any) -> dict[str, pa.Table]:
    root, tables = in_shares(graph, parameters, **how)
    expected, wanted = of_one_machine(graph, parameters, fewer=bool(how.get("fewer")))
    assert np.array_equal(root, expected)
    for name, table in wanted.items():
        assert tables[name].equals(table), name
    return tables


def _split(rows: int, cuts: Sequence[int]) -> list[int]:
    ends = [0, *sorted(cut % (rows + 1) for cut in cuts), rows]
    return np.diff(ends).tolist()


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data())
def test_a_random_graph_gives_the_same_clusters(data: st.DataObject) -> None:
    """Any weights around all thresholds, units that stand for several records, shards and shares that are empty."""
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    n = data.draw(st.integers(1, 60), label="units")
    edges_ = data.draw(st.integers(0, 3 * n), label="pairs")
    left, right = draw.integers(0, n, edges_), draw.integers(0, n, edges_)
    weight = np.round(draw.normal(1, 5, edges_), data.draw(st.sampled_from([0, 3]), label="digits")).clip(LEAST)
    copies = draw.integers(0, n, data.draw(st.integers(0, 20), label="copies"))
    graph = Graph.of(n, left, right, weight, copies)
    assert_same(
        graph,
        Link(linkage=data.draw(st.sampled_from(["average", "components"])), clerical_review_threshold=0.1, match=0.6),
        tasks=data.draw(st.integers(1, 4), label="tasks"),
        width=data.draw(st.integers(1, 7), label="shares"),
        shards=_split(graph.units.n, data.draw(st.lists(st.integers(0, 200), max_size=4), label="cuts")),
        fewer=data.draw(st.booleans(), label="fewer"),
    )


@pytest.mark.parametrize("linkage", ["average", "components"])
def test_a_giant_component_and_long_chains_are_the_same(linkage: Any) -> None:
    """A component of a tenth of all units, and a chain of 10 000 that is in every task's matches."""
    n, draw = 40_000, np.random.default_rng(7)
    giant = draw.permutation(n)[: n // 10]
    chain = draw.permutation(np.setdiff1d(np.arange(n), giant))[:10_001]
    left = np.concatenate((giant[draw.integers(0, len(giant), 12_000)], chain[:-1], draw.integers(0, n, 9_000)))
    right = np.concatenate((giant[draw.integers(0, len(giant), 12_000)], chain[1:], draw.integers(0, n, 9_000)))
    weight = np.concatenate((draw.uniform(1, 12, 12_000), draw.uniform(1, 12, 10_000), draw.uniform(-5, 0.5, 9_000)))
    graph = Graph.of(n, left, right, weight, draw.integers(0, n, 300))
    found = assert_same(
        graph, Link(linkage=linkage, match=0.6), tasks=3, width=5, shards=_split(graph.units.n, [9, 20_000])
    )
    rows = found["clusters"].column("rows").to_pylist()
    assert max(rows) > 10_000 if linkage == "components" else found["bridges"].num_rows > 1_000


@pytest.mark.parametrize("portion", [1, 3, 1 << 20])
def test_components_in_portions_are_those_of_all_edges(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PORTION", portion)
    draw = np.random.default_rng(5)
    for n in (1, 2, 30, 200):
        left, right = draw.integers(0, n, n), draw.integers(0, n, n)
        found = Components(n)
        for some in np.array_split(np.arange(n), 4):
            found.join(left[some].astype(np.uint32), right[some].astype(np.uint32))
        expected = kernel.components(n, left, right)
        nodes, root = found.members()
        sizes = np.bincount(expected, minlength=n)
        assert nodes.tolist() == np.flatnonzero(sizes[expected] > 1).tolist()
        assert root.tolist() == expected[nodes].tolist()


def test_a_forest_has_as_few_edges_as_there_can_be() -> None:
    draw = np.random.default_rng(6)
    left, right = (draw.integers(0, 50, 400).astype(np.uint32) for _ in range(2))
    one, other = forest(left, right)
    whole = kernel.components(50, left.astype(np.int64), right.astype(np.int64))
    assert np.array_equal(kernel.components(50, one, other), whole)
    assert len(one) == 50 - len(np.unique(whole))


@pytest.mark.parametrize("sizes", [1, 2, 3, 200_000])
def test_components_need_no_more_memory_than_is_planned(sizes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether no unit has a match, or all do: in pairs, threes, or one component."""
    monkeypatch.setattr(kernel, "PORTION", 1_000)
    monkeypatch.setattr(components, "PORTION", 1_000)
    monkeypatch.setattr(edge_data, "write", lambda *_, **__: None)
    n = 200_000
    graph = Graph(units=Units.each(np.arange(n)), pairs=gather([]), ids=pa.nulls(n, pa.binary()))
    task = _Task(number=0, parameters=Link(), streams=_STREAMS())
    edge_data.write_document(task, edges.PLAN, _plan(graph, 32, [n]))  # type: ignore[arg-type]
    some = np.flatnonzero(np.arange(n) % sizes).astype(np.uint32)
    schema = edges.FOREST.schema
    for start in range(0, len(some), 1_000):
        right = some[start : start + 1_000]
        left = (right - right % sizes).astype(np.uint32)
        task.write("forest", pa.RecordBatch.from_arrays([pa.array(left), pa.array(right)], schema=schema))
    tracemalloc.start()
    try:
        components.form(task)  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < n * count.ROW_BYTES
    finally:
        tracemalloc.stop()


def test_tallies_of_a_rule_need_no_more_memory_than_is_planned() -> None:
    """Where no two rows have one key: what is sent, and what is done with it."""
    n, task = 200_000, _Task(number=0, parameters=Link(), streams=_STREAMS())
    keys = np.random.default_rng(4).integers(0, 1 << 64, n, np.uint64)
    for some in np.array_split(keys, 4):
        one, none = np.ones(len(some), np.uint32), np.zeros(len(some), np.uint32)
        edge_data.write(task, edges.TALLIES, none.astype(np.uint16), np.sort(some), one, none)  # type: ignore[arg-type]
    batches, parts = [batch for _, batch in task.read("tallies")], range(1 << count.PART_BITS)
    sent = sum(batch.nbytes for batch in batches)
    tracemalloc.start()
    try:
        assert sum(count.pairs_of_keys(batches, part, linking=False) for part in parts) == 0
        assert sent + tracemalloc.get_traced_memory()[1] < n * count.ROW_BYTES
    finally:
        tracemalloc.stop()
    twice = [*batches, batches[0]]
    assert sum(count.pairs_of_keys(twice, part, linking=False) for part in parts) == batches[0].num_rows


def test_a_share_beyond_its_memory_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "MEMORY", 1_000)
    left = np.arange(20)
    graph = Graph.of(21, left, left + 1, np.full(20, 9.0), np.empty(0, np.int64))
    with pytest.raises(Refusal) as refused:
        in_shares(graph, Link(), tasks=1, width=1, shards=[21])
    assert refused.value.limit is Limit.LINK_MEMORY


@pytest.mark.parametrize(("number", "fits"), [(100, True), (120, False)])
def test_100_shards_have_as_many_streams_as_a_job_may(number: int, fits: bool) -> None:
    """As docs/fleet.md advises, with as many tasks and shares as there can be."""
    widths = {Width.ONE: 1, Width.SHARDS: number}
    tasks = {stage.name: widths[stage.width] for stage in STAGES.in_order if stage.width in widths}
    job = TaskStreams(stages=STAGES, inputs=("records",), outputs=(), shards=number, tasks=tasks)
    planned = {name: MOST_TASKS if name in {"observe", "pairs"} else MOST_SHARES for name in job.to_plan}
    if fits:
        job.under(planned)
        return
    with pytest.raises(Refusal) as refused:
        job.under(planned)
    assert refused.value.limit is Limit.STREAMS


def test_rows_beyond_the_memory_of_one_task_name_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    records = people(last=["A", "B", "C"], first=["D", "E", "F"], DOB=["19800102"] * 3)
    monkeypatch.setattr(count, "MEMORY", 3 * count.ROW_BYTES - 1)
    with pytest.raises(Refusal) as refused:
        ran(records, Link(), [], side=None, rows_of_task=10)
    assert refused.value.limit is Limit.LINK_MEMORY


def test_what_sizes_of_streams_of_shares_show_is_stated() -> None:
    """docs/fleet.md names each stream to or from a share whose size depends on records."""
    planned = {"components", *(stage.name for stage in STAGES.in_order if stage.width is Width.PLANNED)}
    shares = planned - {"observe", "pairs"}
    named = {
        edge.name
        for stage in STAGES.in_order
        for edge in stage.writes
        if edge.fields != edges.DOCUMENT
        and (stage.name in shares or any(edge.name in other.reads for other in STAGES.in_order if other.name in shares))
    }
    page = (Path(__file__).parents[4] / "docs/fleet.md").read_text()
    stated = page.split("What the engine's operator can see")[1].split("\n* times")[0]
    assert {name for name in named if f"`{name}`" not in stated} == set()
    assert {"homes", "inside", "labels"} <= named

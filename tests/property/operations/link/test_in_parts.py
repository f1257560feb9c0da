"""`link` in parts gives the bytes of `link`, however rows are divided into shards and tasks."""

import random
from dataclasses import replace as changed
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cji_core.errors import Limit, Reason
from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.link.stages import STAGES
from cji_core.operations.stages.stage import Stages
from cji_operations.link.stages import count, routes
from cji_operations.link.stages.routes import Assignment
from tests.reference.link import people
from tests.support.in_parts import assert_same_bytes, ran
from tests.support.narrow_zygote import ROWS_OF_TASK
from tests.support.parts import KEYS
from tests.support.parts_shapes import SHAPES
from tests.support.refusals import refused

_NAMES = st.sampled_from(["SMITH", "SMYTH", "JONES", "JONAS", "LEE", "smith ", "123", "", None])
_DATES = st.sampled_from(["19800102", "1980-01-02", "19800201", "19XX0102", "20001231", "oops", None])
_ROWS = st.lists(st.tuples(_NAMES, _NAMES, _DATES, st.sampled_from("ABC")), min_size=2, max_size=40)


def _batch(rows: list[tuple[str | None, str | None, str | None, str]]) -> pa.RecordBatch:
    first, last, born, sex = zip(*rows, strict=True)
    return people(record_id=[f"R{row}" for row in range(len(rows))], first=first, last=last, DOB=born, SEX=sex)


def _level(column: str, test: str = "same", number: float = 0.0, *, frequency: bool = False) -> Level:
    condition = Condition(column=column, test=test, number=number)  # type: ignore[arg-type]
    return Level(label=test, conditions=(condition,), tf_adjustment_column=column if frequency else "")


_ELSE = Level(label="else")
_CROSSED = tuple(
    Level(label=test, conditions=(Condition(column="last", test=test, other="first"),))
    for test in ("exchanged", "crossed")
)
_MODEL = Model(
    comparisons=(
        Comparison(name="first", levels=(_level("first", frequency=True), _level("first", "jaro_winkler", 0.8), _ELSE)),
        Comparison(
            name="last",
            levels=(_level("last", frequency=True), _level("last", "soundex"), _ELSE),
            missing="never",
            shared=True,
        ),
        Comparison(name="names", levels=(*_CROSSED, _ELSE)),
        Comparison(name="DOB", levels=(_level("DOB"), _level("DOB", "date"), _level("DOB", "date_slip"), _ELSE)),
    ),
    blocking=(
        Rule(keys=(Key(column="last"), Key(column="SEX"))),
        Rule(keys=(Key(column="last", form="soundex"), Key(column="DOB", form="year"))),
        Rule(keys=(Key(column="first"),)),
        Rule(keys=(Key(column="DOB"),), most_pairs=20),
        Rule(keys=(Key(column="last", form="prefix", length=1), Key(column="first", form="prefix", length=2))),
    ),
    deterministic_rules=(Rule(keys=(Key(column="last"), Key(column="DOB"))), Rule(keys=(Key(column="first"),))),
    split=(
        Key(column="DOB", form="year"),
        Key(column="SEX"),
        Key(column="DOB"),
        Key(column="first"),
        Key(column="last"),
    ),
    relatives=Rule(keys=(Key(column="last"),)),
)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), rows=_ROWS, rows_of_task=st.integers(3, 200))
def test_any_partition_gives_the_same_bytes(
    data: st.DataObject, rows: list[tuple[str | None, str | None, str | None, str]], rows_of_task: int
) -> None:
    """Trained and given models, blocks that are split, rules that are left out, heavy slots, one table and two."""
    records = _batch(rows)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4), label="cuts")
    second = data.draw(st.none() | _ROWS, label="link_to")
    parameters: dict[str, Any] = {
        "block_rows": data.draw(st.sampled_from([3, 40, 5_000]), label="block_rows"),
        "oversized": data.draw(st.sampled_from(["split", "leave_out"]), label="oversized"),
        "linkage": data.draw(st.sampled_from(["average", "components"]), label="linkage"),
        "random_pairs": 1000,
        "training_pairs": 1000,
        "clerical_review_threshold": 0.001,
        "match": 0.6,
        "seed": data.draw(st.integers(0, 3), label="seed"),
    }
    model = data.draw(st.sampled_from([None, _MODEL, replace(_MODEL, prior=0.1, relatives=None)]), label="model")
    side = None if second is None else _batch(second)
    key = data.draw(KEYS, label="key")
    assert_same_bytes(records, Link(model=model, **parameters), cuts, side=side, rows_of_task=rows_of_task, key=key)


_SKEWED = np.random.default_rng(5)


def _skewed(n: int, *, common: float) -> pa.RecordBatch:
    """Most records have one surname; blocks of it must be split, at several depths."""
    draw = _SKEWED.integers
    last = np.where(_SKEWED.random(n) < common, 0, draw(1, 40, n))
    born = [f"19{year:02d}{month:02d}11" for year, month in zip(draw(60, 64, n), draw(1, 4, n), strict=True)]
    return people(
        last=[f"NAME{number}" for number in last],
        first=[f"FIRST{number}" for number in draw(0, 12, n)],
        DOB=born,
        SEX=["FM"[number] for number in draw(0, 2, n)],
    )


@pytest.mark.parametrize(("rows_of_task", "key"), [(40, b"a" * 32), (40, b"b" * 32), (150, b"c" * 32), (100_000, b"")])
def test_skewed_and_split_blocks_give_the_same_bytes(rows_of_task: int, key: bytes) -> None:
    """And more random pairs and training pairs than are taken."""
    records = _skewed(500, common=0.7)
    parameters = Link(model=_MODEL, block_rows=30, random_pairs=2_000, training_pairs=1_000)
    parts = assert_same_bytes(records, parameters, [100, 101, 350], rows_of_task=rows_of_task, key=key or bytes(32))
    assert parts.tasks["pairs"] == parts.tasks["observe"] == (1 if rows_of_task > 1000 else parts.tasks["pairs"])
    assert rows_of_task > 1000 or parts.tasks["pairs"] > 4
    (blocks,) = parts.outputs["blocks"]
    assert max(blocks[0].column(6).to_pylist()) > 0


def test_a_skewed_job_on_nodes_is_divided_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """What parts_faults draws has a slot with more rows than a task should have, and a block that is too large."""
    assigned = list[Assignment]()

    def assign(*arguments: Any) -> tuple[Assignment, Any]:
        found = routes.assign(*arguments)
        assigned.append(found[0])
        return found

    monkeypatch.setattr(count, "assign", assign)
    shape = SHAPES["skewed"](600, random.Random(1))
    (records,) = shape.records.combine_chunks().to_batches()
    parts = ran(records, shape.operation, [200], side=None, rows_of_task=ROWS_OF_TASK)
    assert any(assigned[0].heavy)
    assert parts.tasks["pairs"] > 4
    (blocks,) = parts.outputs["blocks"]
    assert max(blocks[0].column("split").to_pylist()) > 0


def test_a_heavy_value_of_a_one_key_rule_goes_to_one_task() -> None:
    rules = (Rule(keys=(Key(column="last"), Key(column="SEX"))), Rule(keys=(Key(column="last"),)))
    model = replace(_MODEL, blocking=rules, relatives=None)
    parameters = Link(model=model, block_rows=80, random_pairs=1_000, training_pairs=1_000)
    parts = assert_same_bytes(_skewed(400, common=0.7), parameters, [150], rows_of_task=60)
    assert parts.tasks["pairs"] > 4


def test_two_skewed_tables_give_the_same_bytes() -> None:
    parameters = Link(model=_MODEL, block_rows=60, random_pairs=2_000, training_pairs=1_000)
    assert_same_bytes(_skewed(300, common=0.5), parameters, [70, 200], side=_skewed(200, common=0.5), rows_of_task=70)


def test_a_job_without_rows_or_with_one_is_linked() -> None:
    empty = _skewed(3, common=0.5).slice(0, 0)
    assert_same_bytes(empty, Link(), [0])
    assert_same_bytes(_skewed(1, common=0.5), Link(), [0, 1])


@pytest.mark.parametrize("limits", [{"pairs": 3_000}, {"pairs": 1}])
def test_too_many_pairs_are_refused_before_any_is_weighed(limits: dict[str, Any]) -> None:
    with refused(Reason.LIMIT_EXCEEDED) as caught:
        ran(_skewed(400, common=0.7), Link(model=_MODEL, **limits), [200], side=None, rows_of_task=80)
    assert caught.value.limit is Limit.PAIRS
    names = [stage.name for stage in STAGES.in_order]
    assert names.index("train") < names.index("pairs")


def test_a_column_that_link_would_make_is_refused() -> None:
    records = people(last=["A"], first=["B"], cluster=["1"])
    with refused(Reason.BAD_PARAMETERS):
        ran(records, Link(), [], side=None, rows_of_task=10)


def test_stages_with_aligned_streams_are_equally_wide() -> None:
    assert [edge.name for edge in STAGES.edges if edge.aligned] == [
        *("facts", "columns", "members", "named", "bound", "apart", "across")
    ]
    label = next(stage for stage in STAGES.in_order if stage.name == "label")
    for edge, message in (("table", "cannot read table"), ("bound", "not as wide as what writes bound")):
        with pytest.raises(ValueError, match=message):
            Stages(in_order=(*STAGES.in_order[:-1], changed(label, reads=("labels", edge))))

"""`link` beside brute force: blocking, two tables and the order of rows change no weight."""

import math
from itertools import combinations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_operations.link import link
from tests.reference.link import (
    clusters,
    ignore,
    people,
)

_NAMES = st.sampled_from(["SMITH", "SMYTH", "JONES", "JONAS", "LEE", "smith ", "", None])
_DATES = st.sampled_from(["19800102", "1980-01-02", "19800201", "19XX0102", "20001231", "oops", None])
_ROWS = st.lists(st.tuples(_NAMES, _NAMES, _DATES), min_size=2, max_size=30)


def _exchanged() -> tuple[Level, ...]:
    there = [Condition(column="last", test=test, other="first") for test in ("exchanged", "crossed")]
    m_u = ((0.1, 0.01), (0.2, 0.02), (0.7, 0.97))
    conditions = ((there[0],), (there[1],), ())
    return tuple(Level(label="x", conditions=c, m=m, u=u) for c, (m, u) in zip(conditions, m_u, strict=True))


def _model(*rules: Rule) -> Model:
    """Given m and u: weights do not depend on which pairs are looked at."""

    def levels(*conditions: tuple[str, str, float]) -> tuple[Level, ...]:
        k = len(conditions)
        m, u = [0.8, *[0.15 / k] * (k - 1), 0.05 + 0.15 / k], [0.01, *[0.04 / k] * (k - 1), 0.95 + 0.04 / k]
        made = [
            Level(label=test, conditions=(Condition(column=c, test=test, number=number),), m=m[i], u=u[i])  # type: ignore[arg-type]
            for i, (c, test, number) in enumerate(conditions)
        ]
        return (*made, Level(label="else", m=m[-1], u=u[-1]))

    return Model(
        comparisons=(
            Comparison(name="first", levels=levels(("first", "same", 0), ("first", "jaro_winkler", 0.8))),
            Comparison(
                name="last", levels=levels(("last", "same", 0), ("last", "jaro_winkler", 0.9), ("last", "soundex", 0))
            ),
            Comparison(name="names", levels=_exchanged()),
            Comparison(name="DOB", levels=levels(("DOB", "same", 0), ("DOB", "date", 0), ("DOB", "date_slip", 0))),
        ),
        blocking=rules,
        prior=0.05,
    )


_ALL = Rule(keys=())
_BOTH = (Rule(keys=(Key(column="last"),)), Rule(keys=(Key(column="DOB"), Key(column="first", form="prefix", length=1))))


def _pairs(batch: pa.RecordBatch, *rules: Rule, side: pa.RecordBatch | None = None) -> dict[tuple[int, int], float]:
    parameters = Link(model=_model(*rules), clerical_review_threshold=1e-6, match=0.5)
    found = link([batch], batch.schema, parameters, ignore, side=None if side is None else [side])
    (pairs,) = found.report.batches()["pairs"] if len(found.report.pairs) else (None,)
    if pairs is None:
        return {}
    return dict(
        zip(zip(*(pairs.column(i).to_pylist() for i in (0, 1)), strict=True), pairs.column(2).to_pylist(), strict=True)
    )


def _batch(rows: list[tuple[str | None, str | None, str | None]]) -> pa.RecordBatch:
    first, last, born = zip(*rows, strict=True)
    return people(first=first, last=last, DOB=born)


@settings(max_examples=50)
@given(rows=_ROWS)
def test_blocked_pairs_weigh_as_by_brute_force(rows: list[tuple[str | None, str | None, str | None]]) -> None:
    every, blocked = _pairs(_batch(rows), _ALL), _pairs(_batch(rows), *_BOTH)

    def folded(value: str | None) -> str:
        return (value or "").strip().upper()

    def keys(row: tuple[str | None, str | None, str | None]) -> tuple[str, tuple[str, str]]:
        born = (row[2] or "").replace("-", "")
        whole = born if born.isdigit() else ""
        return folded(row[1]), (whole, folded(row[0])[:1])

    expected = {
        (i, j)
        for i, j in combinations(range(len(rows)), 2)
        for a, b in [(keys(rows[i]), keys(rows[j]))]
        if (a[0] and a[0] == b[0]) or (all(a[1]) and a[1] == b[1])
    }
    assert set(blocked) == {pair for pair in expected if pair in every}
    assert all(blocked[pair] == every[pair] for pair in blocked)


@settings(max_examples=50)
@given(rows=_ROWS, data=st.data())
def test_two_tables_pair_as_one_does_across(
    rows: list[tuple[str | None, str | None, str | None]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(rows) - 1))
    one = _pairs(_batch(rows), _ALL)
    two = _pairs(_batch(rows[:cut]), _ALL, side=_batch(rows[cut:]))
    assert two == {(i, j - cut): weight for (i, j), weight in one.items() if i < cut <= j}


@settings(max_examples=30)
@given(rows=_ROWS, seed=st.integers(0, 99))
def test_weights_do_not_depend_on_the_order_of_rows(
    rows: list[tuple[str | None, str | None, str | None]], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    one, other = _pairs(_batch(rows), *_BOTH), _pairs(_batch([rows[i] for i in order]), *_BOTH)
    back = {tuple(sorted((order[i], order[j]))): weight for (i, j), weight in other.items()}
    assert back == one


@settings(max_examples=30)
@given(rows=_ROWS)
def test_every_row_has_a_status_and_a_cluster(rows: list[tuple[str | None, str | None, str | None]]) -> None:
    batch = _batch(rows)
    found = link([batch], batch.schema, Link(model=_model(*_BOTH), linkage="components"), ignore)
    assert sum(found.status.counts()) == len(rows) == len(found.cluster)
    assert (found.cluster <= np.arange(len(rows))).all()
    assert (found.cluster[found.cluster] == found.cluster).all()
    matches = [
        (int(i), int(j))
        for i, j, w in zip(found.report.pairs.left, found.report.pairs.right, found.report.pairs.weight, strict=True)
        if w >= math.log2(0.9 / 0.1)
    ]
    assert found.cluster.tolist() == clusters(len(rows), matches)

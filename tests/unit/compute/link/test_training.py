"""Training: m, u and the prior are found in the records, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from msgspec.structs import replace

from tests.reference.link import people
from tests.support.link_tools import BY_LAST, ELSE, LAST, MODEL, SAME, given_model, linked, persons_twice
from worker.compute.operations.link import (
    Comparison,
    Condition,
    Key,
    Level,
    Link,
    Model,
    Rule,
)
from worker.compute.operations.link.blocking import plan
from worker.compute.operations.link.columns import read_table
from worker.compute.operations.link.comparison import comparer
from worker.compute.operations.link.training import train


def test_the_prior_comes_from_deterministic_rules_and_recall() -> None:
    names = ["A", "A", "B", "B", "C", "D", "E", "F"]
    model = replace(given_model(0.9, 0.1), prior=None, deterministic_rules=(BY_LAST, BY_LAST), recall=0.5)
    assert linked(people(last=names), model=model).report.trained.prior == pytest.approx(2 / 0.5 / 28)


def test_the_recall_is_estimated_from_m() -> None:
    columns = ("first", "last", "city", "county")
    comparisons = [
        Comparison(
            name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="different"))
        )
        for name in columns
    ]
    model = Model(
        comparisons=tuple(comparisons),
        blocking=tuple(Rule(keys=(Key(column=name),)) for name in columns),
        deterministic_rules=(
            Rule(keys=(Key(column="first"), Key(column="last"))),
            Rule(keys=(Key(column="city"), Key(column="county"))),
        ),
    )
    whole = persons_twice(columns, agree=0.6, values=5000)
    assert linked(whole, model=model).report.trained.prior == pytest.approx(600 / 719_400, rel=0.1)
    there = np.random.default_rng(8).random(1200) < 0.7
    some = [value.as_py() if yes else None for value, yes in zip(whole.column(0), there, strict=True)]
    missing = people(**{name: whole.column(name).to_pylist() for name in columns[1:]}, first=some)
    assert linked(missing, model=model).report.trained.prior == pytest.approx(600 / 719_400, rel=0.1)
    told = linked(whole, model=replace(model, recall=1.0)).report.trained.prior
    assert told == pytest.approx(0.59 * 600 / 719_400, rel=0.1)  # 1 - (1 - 0.36) ** 2


def test_training_takes_no_more_memory_for_more_pairs() -> None:
    rng = np.random.default_rng(2)
    names = [f"{number:04d}" for number in rng.integers(0, 2000, 4000)]
    table = read_table([people(last=names, first=names[::-1])], (), frozenset(("last", "first")), linking=False)
    model = replace(
        MODEL,
        comparisons=(
            LAST,
            Comparison(name="first", levels=(replace(SAME, conditions=(Condition(column="first"),)), ELSE)),
        ),
    )
    comparers = [comparer(one, table) for one in model.comparisons]
    peaks = []
    for pairs in (1 << 17, 1 << 21):
        parameters = Link(random_pairs=pairs, training_pairs=pairs)
        blocking = plan(table, (Rule(keys=()),), (), parameters)
        tracemalloc.start()
        train(
            model, table, comparers, parameters, blocking=blocking, deterministic_rules=plan(table, (), (), parameters)
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 1.2 * min(peaks) < 24 << 20


def test_training_finds_m_and_u_from_pairs() -> None:
    columns = ("first", "last", "city", "county")
    exact = [
        Comparison(
            name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="different"))
        )
        for name in columns
    ]
    model = Model(
        comparisons=tuple(exact),
        blocking=tuple(Rule(keys=(Key(column=name),)) for name in columns[:2]),
        prior=600 / 719_400,
    )
    trained = linked(persons_twice(columns, agree=0.7, values=5000), model=model).report.trained
    assert [m[0] for m in trained.m] == pytest.approx([0.7] * 4, abs=0.06)
    # of all pairs, 0.0008 agree: most of those are one person's
    assert [u[0] for u in trained.u] == pytest.approx([1 / 5000] * 4, rel=0.6)

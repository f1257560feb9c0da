"""Training: m, u and the prior are found in the records, in bounded memory."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from cji_core.operations.link import Comparison, Condition, Key, Level, Link, Model, Rule
from cji_operations.link import log2_odds
from cji_operations.link.blocking import plan
from cji_operations.link.columns import read_table
from cji_operations.link.comparison import comparer
from cji_operations.link.facts import facts_of
from cji_operations.link.observation import observe
from cji_operations.link.training import train
from tests.reference.link import people
from tests.support.link_tools import BY_LAST, ELSE, LAST, MODEL, SAME, given_model, linked, persons_twice


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
    facts = facts_of(table, model)
    peaks = []
    for pairs in (1 << 17, 1 << 21):
        parameters = Link(random_pairs=pairs, training_pairs=pairs)
        blocking = plan(table, (Rule(keys=()),), (), parameters)
        tracemalloc.start()
        none = plan(table, (), (), parameters)
        observed = observe(
            comparers, facts, parameters, model=model, blocking=blocking, deterministic=none, relatives=none
        )
        train(model, facts, observed, parameters)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < min(2 * min(peaks), 24 << 20)


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


def _households() -> tuple[pa.RecordBatch, list[int]]:
    """400 families of four at one address each, in two lists: one in three persons is in both, with one error in ten.

    Most pairs that agree in surname and address are of relatives.
    """
    rng = np.random.default_rng(9)
    columns: dict[str, list[str | None]] = {"last": [], "first": [], "street_number": [], "address_1": []}
    persons: list[int] = []
    names = [f"{a}{b}{c}" for a in "BDGKLMNPRST" for b in "AEIOU" for c in "BDGKLMNPRSTVZ"]
    for family in range(400):
        for first in rng.choice(names, 4, replace=False):
            person = len(set(persons))
            for _ in range(2 if rng.random() < 1 / 3 else 1):
                said = first[:2] + rng.choice(list("XYQ")) if rng.random() < 0.1 else first
                values = (f"FAMILY{family}", said, f"{family % 97 + 1}", f"STREET{family % 80}")
                for column, value in zip(columns.values(), values, strict=True):
                    column.append(str(value))
                persons.append(person)
    return people(**columns), persons


def test_relatives_at_one_address_are_not_learnt_as_one_person() -> None:
    batch, persons = _households()
    found = linked(batch)
    given_name = [one.name for one in found.report.model.comparisons].index("given name")
    assert found.report.trained.m[given_name][-1] <= 0.1
    sizes = np.bincount(persons)
    true = int((sizes * (sizes - 1) // 2).sum())
    prior = found.report.trained.prior * batch.num_rows * (batch.num_rows - 1) / 2
    assert prior == pytest.approx(true, rel=0.18)
    pairs = found.report.pairs
    same = np.array(persons)[pairs.left] == np.array(persons)[pairs.right]
    matches = pairs.weight >= log2_odds(0.9)
    assert same[matches].mean() > 0.97
    assert (same & matches).sum() > 0.75 * true


def test_the_prior_does_not_count_pairs_that_agree_by_chance() -> None:
    """Of 400 values, a pair in 400 agrees: a rule of one such column finds about 1 700 of them, and 60 matches."""
    rng = np.random.default_rng(11)
    values = rng.integers(0, 400, 1200)
    values[-60:] = values[:60]
    model = replace(MODEL, prior=None, deterministic_rules=(BY_LAST,))
    number = replace(LAST, levels=(replace(SAME, m=0.999, u=0.0025), replace(ELSE, m=0.001, u=0.9975)))
    found = linked(people(last=[f"N{value:03d}" for value in values]), model=replace(model, comparisons=(number,)))
    assert found.report.trained.basis == pytest.approx(1763, rel=0.05)
    assert found.report.trained.prior * 719_400 < 0.3 * 1860


def _one_error_each(persons: int, again: int, *, names: int) -> tuple[pa.RecordBatch, int]:
    """`again` of the persons have a second record with one error: in one of two names, or in the number."""
    rng = np.random.default_rng(12)
    columns = {name: rng.integers(0, names, persons) for name in ("first", "last")}
    columns["SOC"] = rng.integers(10_000, 99_999, persons)
    wrong = rng.integers(0, 3, again)
    made = {}
    for number, (name, values) in enumerate(columns.items()):
        other = rng.integers(0, names, again) if name != "SOC" else rng.integers(10_000, 99_999, again)
        second = np.where(wrong == number, other, values[:again])
        made[name] = [f"{int(value):05d}" for value in (*values, *second)]
    return people(**made), again


def test_one_error_in_each_record_is_learnt_as_what_it_is() -> None:
    """Of two records that agree in both names, none has an error there: the number is always wrong.

    Each column agrees in two of three matches; rule by rule, it is 0.42.
    """
    batch, again = _one_error_each(2000, 800, names=400)
    exact = [
        Comparison(
            name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="different"))
        )
        for name in ("first", "last", "SOC")
    ]
    pairs = [("first", "last"), ("first", "SOC"), ("last", "SOC")]
    rules = tuple(Rule(keys=tuple(Key(column=name) for name in names)) for names in pairs)
    single = tuple(Rule(keys=(Key(column=name),)) for name in ("first", "last", "SOC"))
    model = Model(comparisons=tuple(exact), blocking=(*rules, *single), prior=again / (2800 * 2799 / 2))
    trained = linked(batch, model=model).report.trained
    assert all(0.48 < m[0] < 0.7 for m in trained.m)


def test_agreement_by_chance_is_not_learnt_as_error() -> None:
    """Of pairs of one name, most are of two persons. Two comparisons alone could be of any share of matches."""
    rng = np.random.default_rng(13)
    n, again = 4000, 300
    names, born = rng.integers(0, 150, n), rng.integers(0, 20_000, n)
    sex = rng.integers(0, 2, n)
    columns = {
        "last": [f"N{value:03d}" for value in (*names, *names[:again])],
        "SOC": [f"{value + 10_000}" for value in (*born, *np.where(rng.random(again) < 0.2, 7, born[:again]))],
        "SEX": ["FM"[value] for value in (*sex, *sex[:again])],
    }
    exact = [
        Comparison(
            name=name, levels=(Level(label="the same", conditions=(Condition(column=name),)), Level(label="different"))
        )
        for name in columns
    ]
    model = Model(
        comparisons=tuple(exact),
        blocking=(Rule(keys=(Key(column="last"),)),),
        prior=again / (n * n / 2),
    )
    trained = linked(people(**columns), model=model).report.trained
    assert trained.m[1][0] == pytest.approx(0.8, abs=0.1)


def test_m_does_not_exceed_its_limit() -> None:
    levels = (SAME, replace(ELSE, most_m=0.05))
    first = Comparison(name="first", levels=(Level(label="x", conditions=(Condition(column="first"),)), ELSE))
    city = Comparison(name="city", levels=(Level(label="x", conditions=(Condition(column="city"),)), ELSE))
    model = Model(
        comparisons=(replace(LAST, levels=levels), first, city),
        blocking=(Rule(keys=(Key(column="first"),)), Rule(keys=(Key(column="city"),))),
        prior=600 / 719_400,
    )
    batch = persons_twice(("last", "first", "city"), agree=0.7, values=5000)
    assert linked(batch, model=model).report.trained.m[0] == pytest.approx([0.95, 0.05])
    free = replace(model, comparisons=(LAST, first, city))
    assert linked(batch, model=free).report.trained.m[0][1] > 0.2


@pytest.mark.parametrize("others", [0, 1, 5])
def test_a_difference_is_no_evidence_for_a_match(others: int) -> None:
    """All records are of one city, or nearly: what was assumed of errors there is more than u."""
    batch = persons_twice(("last", "first"), agree=0.9, values=5000)
    cities = ["HERE"] * (batch.num_rows - others) + ["THERE"] * others
    whole = people(last=batch["last"].to_pylist(), first=batch["first"].to_pylist(), city=cities)
    first, city = (
        Comparison(
            name=name, levels=(Level(label="x", conditions=(Condition(column=name),)), ELSE), initial_m=(0.9, 0.1)
        )
        for name in ("first", "city")
    )
    model = Model(
        comparisons=(LAST, first, city),
        blocking=(Rule(keys=(Key(column="last"),)), Rule(keys=(Key(column="first"),))),
        prior=600 / 719_400,
    )
    trained = linked(whole, model=model).report.trained
    for m, u in zip(trained.m, trained.u, strict=True):
        assert m[-1] <= u[-1] + 1e-12
        assert m[0] >= u[0] - 1e-12

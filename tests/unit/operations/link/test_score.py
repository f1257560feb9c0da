"""Match weights: what rare values add to them."""

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from cji_core.operations.link import Comparison, Condition, Key, Level, Model, Rule
from cji_operations.link.score import Pairs
from tests.reference.link import people
from tests.support.link_tools import BY_LAST, ELSE, LAST, MODEL, SAME, given_model, linked, part


def test_a_rare_name_says_more_than_a_common_one() -> None:
    names = ["SMITH"] * 6 + ["ZYWICKI"] * 2
    found = linked(people(last=names), model=given_model(0.9, 0.1, frequency=True), clerical_review_threshold=1e-3)
    by_pair = {(row["left"], row["right"]): row for row in part(found, "pairs")}
    prior = np.log2(0.01 / 0.99)
    assert by_pair[0, 1]["weight"] == pytest.approx(prior + np.log2(0.9 / (6 / 8)))
    assert by_pair[6, 7]["weight"] == pytest.approx(prior + np.log2(0.9 / (2 / 8)))
    assert by_pair[6, 7]["frequency"] == pytest.approx(np.log2(0.1 / (2 / 8)))


def test_records_of_one_person_do_not_make_their_name_common() -> None:
    """Of ten records of each of forty persons of as many names, a name is as rare as persons of it are.

    How rare it is counts to the power of the share of pairs of one name that are of two persons.
    """
    names = [f"{name:03d}" for name in range(40) for _ in range(10)] + ["COMMON"] * 20
    persons = [name + str(i % 2) if name == "COMMON" else name for i, name in enumerate(names)]
    batch = people(last=names, SOC=[f"{100 + sorted(set(persons)).index(one)}" for one in persons])
    model = Model(
        comparisons=(
            replace(LAST, levels=(replace(SAME, tf_adjustment_column="last"), ELSE)),
            Comparison(name="SOC", levels=(Level(label="the same", conditions=(Condition(column="SOC"),)), ELSE)),
        ),
        blocking=(BY_LAST, Rule(keys=(Key(column="SOC"),))),
        prior=0.02,
    )
    found = linked(batch, model=model, clerical_review_threshold=1e-6)
    u = found.report.trained.u[0][0]
    shares = np.array([10 / 420] * 40 + [20 / 420])
    own = (shares**2).sum() - u
    assert own == pytest.approx(10 / 420, rel=0.1)
    by_pair = {(row["left"], row["right"]): row["frequency"] for row in part(found, "pairs")}
    power = u / (shares**2).sum()
    assert by_pair[400, 402] == pytest.approx(power * np.log2(u / (20 / 420 - own)))
    assert by_pair[0, 1] == pytest.approx(power * np.log2(u / max(10 / 420 - own, min(u, 1 / 420))))


def test_of_two_values_the_more_frequent_one_counts() -> None:
    similar = Level(
        label="alike",
        conditions=(Condition(column="last", test="jaro_winkler", number=0.8),),
        m=0.3,
        u=0.2,
        tf_adjustment_column="last",
    )
    levels = (replace(SAME, m=0.6, u=0.1), similar, replace(ELSE, m=0.1, u=0.7))
    model = replace(MODEL, comparisons=(replace(LAST, levels=levels),), blocking=(Rule(keys=()),))
    found = linked(people(last=["JOHNSON"] * 3 + ["JOHNSTON"]), model=model, clerical_review_threshold=1e-4)
    frequencies = {(row["left"], row["right"]): row["frequency"] for row in part(found, "pairs")}
    assert frequencies[0, 1] == 0
    assert frequencies[0, 3] == pytest.approx(np.log2(0.1 / (3 / 4)))


def _household(*, relatives: bool) -> Model:
    """Surname and address are shared; the given name tells."""

    def compared(name: str, m: float, u: float, *, shared: bool) -> Comparison:
        same = Level(label="the same", conditions=(Condition(column=name),), m=m, u=u)
        return Comparison(name=name, levels=(same, Level(label="different", m=1 - m, u=1 - u)), shared=shared)

    keys = (Key(column="last"), Key(column="address_1"))
    return Model(
        comparisons=(
            compared("first", 0.9, 0.01, shared=False),
            compared("last", 0.95, 0.001, shared=True),
            compared("address_1", 0.95, 0.001, shared=True),
        ),
        blocking=(Rule(keys=()),),
        prior=0.01,
        relatives=Rule(keys=keys) if relatives else None,
    )


def _families() -> pa.RecordBatch:
    """20 families of five, and the first five persons of the first one again."""
    rows = [(f"P{family}{person}", f"F{family}", f"A{family}") for family in range(20) for person in range(5)]
    first, last, address = zip(*rows, *rows[:1], strict=True)
    return people(first=first, last=last, address_1=address)


def test_relatives_are_told_apart_by_what_is_not_shared() -> None:
    batch = _families()
    found = linked(batch, model=_household(relatives=True), clerical_review_threshold=1e-9)
    trained = found.report.trained
    # 5 more pairs in the first family, one of which is of one person
    assert trained.relatives * 101 * 100 / 2 == pytest.approx(204 / 0.95**2, rel=0.05)
    weight = {(int(i), int(j)): w for i, j, w in zip(*_columns(found.report.pairs), strict=True)}
    strangers = np.log2(0.01 / 0.99) + 2 * np.log2(950)
    against = np.log2(0.01 / trained.relatives)
    for pair, given in (((0, 1), np.log2(0.1 / 0.99)), ((0, 100), np.log2(90))):
        chances = 2 ** -(strangers + given) + 2 ** -(against + given)
        assert weight[pair] == pytest.approx(-np.log2(chances))
    assert weight[0, 1] < 0 < weight[0, 100]
    other = linked(batch, model=_household(relatives=False), clerical_review_threshold=1e-9).report.pairs
    assert dict(zip(zip(other.left.tolist(), other.right.tolist(), strict=True), other.weight, strict=True))[0, 1] > 5


def test_relatives_take_nothing_off_where_there_are_none() -> None:
    names = [f"N{i}" for i in range(60)]
    batch = people(first=names, last=names, address_1=names)
    with_rule, without = (
        linked(batch, model=_household(relatives=relatives), clerical_review_threshold=1e-9).report.pairs
        for relatives in (True, False)
    )
    assert with_rule.weight == pytest.approx(without.weight)


def _columns(pairs: Pairs) -> tuple[list[int], list[int], list[float]]:
    return pairs.left.tolist(), pairs.right.tolist(), pairs.weight.tolist()

"""Match weights: what rare values add to them."""

import numpy as np
import pytest
from msgspec.structs import replace

from tests.reference.link import people
from tests.support.link_tools import BY_LAST, ELSE, LAST, MODEL, SAME, given_model, linked, part
from worker.compute.operations.link import (
    Comparison,
    Condition,
    Key,
    Level,
    Model,
    Rule,
)


def test_a_rare_name_says_more_than_a_common_one() -> None:
    names = ["SMITH"] * 6 + ["ZYWICKI"] * 2
    found = linked(people(last=names), model=given_model(0.9, 0.1, frequency=True), clerical_review_threshold=1e-3)
    by_pair = {(row["left"], row["right"]): row for row in part(found, "pairs")}
    prior = np.log2(0.01 / 0.99)
    assert by_pair[0, 1]["weight"] == pytest.approx(prior + np.log2(0.9 / (6 / 8)))
    assert by_pair[6, 7]["weight"] == pytest.approx(prior + np.log2(0.9 / (2 / 8)))
    assert by_pair[6, 7]["frequency"] == pytest.approx(np.log2(0.1 / (2 / 8)))


def test_records_of_one_person_do_not_make_their_name_common() -> None:
    """Of ten records of each of forty persons of as many names, a name is as rare as persons of it are."""
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
    assert by_pair[400, 402] == pytest.approx(np.log2(u / (20 / 420 - own)))
    assert by_pair[0, 1] == pytest.approx(np.log2(u / max(10 / 420 - own, min(u, 1 / 420))))


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

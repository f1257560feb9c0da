"""All weights in steps of a bit, and rows that reach no threshold even beside themselves."""

from itertools import combinations

import numpy as np
import pytest

from cji_core.operations.link import Comparison, Condition, Level, Link, Model, Rule
from cji_operations.link import link
from cji_operations.link.score import log2_odds
from cji_operations.link.weight_report import STEPS, count_weights, no_weights
from tests.reference.link import ignore, people
from tests.support.link_tools import given_model, linked, part


def test_all_pairs_are_counted_by_weight_listed_or_not() -> None:
    """One rule for all pairs: three surnames, of which one has three rows."""
    names = ["SMITH", "SMITH", "SMITH", "JONES", "LEE"]
    model = given_model(0.9, 0.1)
    every = Model(comparisons=model.comparisons, blocking=(Rule(keys=()),), prior=0.2)
    found = linked(people(last=names), model=every, clerical_review_threshold=0.1)
    prior, agree, differ = part(found, "levels")
    expected = dict[float, list[int]]()
    for one, other in combinations(names, 2):
        weight = prior["weight"] + (agree if one == other else differ)["weight"]
        expected.setdefault(np.floor(weight), [0, 0])[0] += 1
    expected.setdefault(np.floor(prior["weight"] + agree["weight"]), [0, 0])[1] += len(names)
    lines = part(found, "weights")
    counted = {line["weight"]: [line["pairs"], line["rows"]] for line in lines}
    assert {weight: both for weight, both in counted.items() if any(both)} == expected
    assert [line["weight"] for line in lines] == [lines[0]["weight"] + i for i in range(len(lines))]
    assert len(part(found, "pairs")) == 3


@pytest.mark.parametrize("name", ["first", "MARY"])
def test_a_row_weighs_beside_itself_what_an_equal_row_weighs(name: str) -> None:
    """With the rarity of its values: each row once more in `link_to`, compared by the rule for all pairs."""
    table = people(
        first=["JOHN", name, None, "JOHN", "PAT"],
        last=["SMITH", "SMITH", "JONES", None, "LEE"],
        DOB=["19800101", "19800101", "1990XXXX", "19900303", None],
    )
    level = [
        Level(label="the same", conditions=(Condition(column=one),), tf_adjustment_column=one)
        for one in ("first", "last")
    ]
    born = Level(label="the same", conditions=(Condition(column="DOB"),))
    model = Model(
        comparisons=tuple(
            Comparison(name=names, levels=(one, Level(label="different")), initial_m=(0.9, 0.1))
            for names, one in zip(("first", "last", "DOB"), (*level, born), strict=True)
        ),
        blocking=(Rule(keys=()),),
        prior=0.1,
    )
    parameters = Link(model=model, clerical_review_threshold=1e-9, match=0.95)
    found = link([table], table.schema, parameters, ignore, side=[table])
    weights = [row["weight"] for row in part(found, "pairs") if row["left"] == row["right"]]
    assert len(weights) == table.num_rows
    steps = {line["weight"]: line["rows"] for line in part(found, "weights") if line["rows"]}
    values, counts = np.unique(np.floor(weights), return_counts=True)
    assert steps == dict(zip(values.tolist(), (2 * counts).tolist(), strict=True))  # a row of either table
    lines = part(found, "completeness")
    assert sum(line["rows"] for line in lines) == 2 * table.num_rows
    assert sum(line["below_match"] for line in lines) == 2 * sum(weight < log2_odds(0.95) for weight in weights)
    (alone,) = [line for line in lines if line["present"] == "last, DOB"]
    assert (alone["missing"], alone["rows"], alone["weight"]) == ("first", 2, pytest.approx(weights[2]))


def test_comparisons_of_columns_with_their_own_are_no_fields() -> None:
    found = linked(people(first=["A", None], last=["B", "C"], DOB=["19800101", None]))
    lines = {line["missing"]: line["present"] for line in part(found, "completeness")}
    assert lines == {"": "given name, surname, date of birth", "given name, date of birth": "surname"}


def test_weights_beyond_either_end_are_in_the_last_step() -> None:
    steps = no_weights()
    count_weights(steps, np.array([-1000.0, -128.0, -0.5, 0.0, 0.99, 500.0]))
    assert {int(i) - 128: int(steps[i]) for i in np.flatnonzero(steps)} == {-128: 2, -1: 1, 0: 2, STEPS - 129: 1}


def test_levels_name_their_columns_and_those_that_are_equal() -> None:
    lines = part(linked(people(first=["A", "B"], last=["B", "C"])), "levels")
    found = {(line["comparison"], line["label"]): (line["columns"], line["same"]) for line in lines}
    assert found["surname", "the same"] == ("last", "last")
    assert found["surname", "the same Soundex code"] == ("last", "")
    assert found["names in each other's place", "neither is the other's"] == ("first last", "")
    assert found["", None] == (None, None)


def test_without_rows_there_are_no_lines() -> None:
    found = linked(people(first=[], last=[], DOB=[]))
    assert (part(found, "weights"), part(found, "completeness")) == ([], [])

"""The level that a pair has."""

from typing import Any

import numpy as np
import pytest

from cji_core.operations.link import Comparison, Condition, Key, Level, Model, Rule
from tests.reference.link import people
from tests.support.link_tools import linked


@pytest.mark.parametrize(
    ("column", "test", "number", "yes", "no"),
    [
        ("first", "nickname", 0, ("BILL", "WILLIAM"), ("BILL", "MARY")),
        ("first", "prefix", 1, ("JOHN", "JACK"), ("JOHN", "MARK")),
        ("last", "jaro_winkler", 0.9, ("MARTHA", "MARHTA"), ("MARTHA", "MILLER")),
        ("last", "soundex", 0, ("SMITH", "SMYTH"), ("SMITH", "JONES")),
        ("DOB", "date", 0, ("198001XX", "19800102"), ("198001XX", "19800202")),
        ("DOB", "date_slip", 0, ("19800102", "19800201"), ("19800102", "19911231")),
        ("DOB", "year", 0, ("19800102", "19801231"), ("19800102", "19810102")),
        ("DOB", "year_month", 0, ("19800102", "198001XX"), ("19800102", "19800202")),
        ("DOB", "date_slip", 0, ("19808612", "19800612"), ("19808612", "19840613")),
        ("last", "alike", 0, ("Peña", "PENA"), ("PENA", "PENNA")),
        ("last", "alike", 0, ("de la Cruz", "Delacruz"), ("CRUZ", "DELACRUZ")),
        ("last", "parts", 0, ("García López", "LOPEZ GARCIA"), ("GARCIA LOPEZ", "GARCIA")),
        ("last", "part", 0, ("García López", "LOPEZ"), ("GARCIA LOPEZ", "LOPES")),
        ("first", "unlike", 0.8, ("JASON", "PETER"), ("BILL", "WILLIAM")),
        ("first", "unlike", 0.8, ("JASON", "PETER"), ("JOHN PAUL", "PAUL")),
        ("first", "unlike", 0.8, ("JASON", "PETER"), ("JASON", "JASPN")),
        ("DOB", "years_apart", 14, ("19600101", "1974-XX-XX"), ("19600101", "19731231")),
        ("DOB", "years_apart", 14, ("19740101", "19600101"), ("19600101", "197X0101")),
        ("SOC", "number_slip", 0, ("212456789", "212456798"), ("212456789", "587654321")),
        ("SOC", "number_slip", 0, ("XXXXX6789", "212456789"), ("XXXXX6789", "212459999")),
        ("first", "levenshtein", 1, ("JOHN", "JON"), ("JOHN", "JHON")),
        ("first", "damerau_levenshtein", 1, ("JOHN", "JHON"), ("JOHN", "JANE")),
        ("DOB", "levenshtein", 1, ("19800102", "1980-01-12"), ("19800102", "19800111")),
        ("DOB", "damerau_levenshtein", 1, ("19800102", "19801002"), ("19800112", "19801102")),
        ("DOB", "damerau_levenshtein", 1, ("19800121", "19800112"), ("19800121", "19800211")),
        ("DOB", "days", 30, ("19800102", "1980-02-01"), ("19800102", "19800202")),
        ("DOB", "days", 1, ("19791231", "19800101"), ("198001XX", "19800101")),
        ("DOB", "days", 1, ("20000229", "20000301"), ("19990229", "19990301")),
    ],
)
def test_a_level_holds_where_it_says(
    column: str, test: Any, number: float, yes: tuple[str, str], no: tuple[str, str]
) -> None:
    level = Level(label="x", conditions=(Condition(column=column, test=test, number=number),), m=0.9, u=0.1)
    model = Model(
        comparisons=(Comparison(name="x", levels=(level, Level(label="y", m=0.1, u=0.9))),),
        blocking=(Rule(keys=()),),
        prior=0.5,
    )
    holds = [
        linked(people(**{column: list(values)}), model=model, clerical_review_threshold=1e-3).report.pairs
        for values in (yes, no)
    ]
    assert [one.weight[0] for one in holds] == pytest.approx([np.log2(9), -np.log2(9)])


@pytest.mark.parametrize(
    ("other", "level"),
    [
        (("smith", "John"), 0),
        (("SMITH", "ADAM"), 1),
        (("ADAM", "JOHN"), 1),
        (("JOHN", "SMITH"), 2),
        (("JOHN", "ADAM"), 2),
        (("SMITH", None), None),
    ],
)
def test_names_in_each_others_place(other: tuple[str, str | None], level: int | None) -> None:
    tests = ("exchanged", "crossed")
    given = [Condition(column="first", test=test, other="last") for test in tests]  # type: ignore[arg-type]
    levels = (
        Level(label="x", conditions=(given[0],), m=0.5, u=0.1),
        Level(label="y", conditions=(given[1],), m=0.3, u=0.1),
        Level(label="z", m=0.2, u=0.8),
    )
    model = Model(
        comparisons=(Comparison(name="x", levels=levels),), blocking=(Rule(keys=(Key(column="DOB"),)),), prior=0.5
    )
    expected = 0 if level is None else np.log2([5, 3, 0.25][level])
    for rows in ((("JOHN", "SMITH"), other), (other, ("JOHN", "SMITH"))):
        first, last = zip(*rows, strict=True)
        found = linked(
            people(first=first, last=last, DOB=["19800101"] * 2), model=model, clerical_review_threshold=1e-3
        )
        assert found.report.pairs.weight == pytest.approx([expected])


@pytest.mark.parametrize("name", ["FRANK", "MARTIN"])
def test_exchange_of_equal_names_is_no_evidence(name: str) -> None:
    """FRANK FRANK and FRANK FRANK agree in both names; that they agree exchanged says nothing more."""
    batch = people(first=[name] * 2 + ["ANNA"], last=[name] * 2 + [name], DOB=["19800101"] * 3)
    tests = ("exchanged", "crossed")
    given = [Condition(column="first", test=test, other="last") for test in tests]  # type: ignore[arg-type]
    levels = (
        Level(label="x", conditions=(given[0],), m=0.5, u=0.001),
        Level(label="y", conditions=(given[1],), m=0.3, u=0.001),
        Level(label="z", m=0.2, u=0.998),
    )
    model = Model(
        comparisons=(Comparison(name="x", levels=levels),), blocking=(Rule(keys=(Key(column="DOB"),)),), prior=0.5
    )
    found = linked(batch, model=model, clerical_review_threshold=1e-3)
    assert found.report.pairs.weight == pytest.approx([np.log2(0.2 / 0.998)] * 3)


@pytest.mark.parametrize(
    ("missing", "needs", "levels"),
    [
        ("any", (), [0, None, None, None]),
        ("every", (), [0, 1, 2, None]),
        ("any", ("last",), [0, 1, None, None]),
        ("any", ("first",), [0, None, 2, None]),
    ],
)
def test_a_comparison_needs_what_it_says(missing: Any, needs: tuple[str, ...], levels: list[int | None]) -> None:
    first, last = Condition(column="first", test="jaro_winkler", number=0.9), Condition(column="last")
    named = (("both", (first, last)), ("last", (last,)), ("first", (first,)), ("neither", ()))
    m, u = (0.4, 0.3, 0.2, 0.1), (0.1, 0.2, 0.3, 0.4)
    comparison = Comparison(
        name="names",
        levels=tuple(Level(label=x, conditions=c, m=m[i], u=u[i]) for i, (x, c) in enumerate(named)),
        missing=missing,
        needs=needs,
    )
    model = Model(comparisons=(comparison,), blocking=(Rule(keys=()),), prior=0.5)
    first_names, last_names = ["JOHN", None, "JOHN", None], ["SMITH", "SMITH", None, None]
    batch = people(first=["JOHN", *first_names], last=["SMITH", *last_names], DOB=["19800101"] * 5)
    pairs = linked(batch, model=model, clerical_review_threshold=1e-3).report.pairs
    expected = [0 if level is None else np.log2(m[level] / u[level]) for level in levels]
    assert pairs.weight[pairs.left == 0] == pytest.approx(expected)


def test_a_date_that_is_no_day_is_nothing_to_compare() -> None:
    same = Level(label="x", conditions=(Condition(column="DOB"),), m=0.9, u=0.1)
    comparison = Comparison(name="x", levels=(same, Level(label="y", m=0.1, u=0.9)), missing="no_day")
    model = Model(comparisons=(comparison,), blocking=(Rule(keys=(Key(column="last"),)),), prior=0.5)
    born = ["19800101", "19801399", "1980XXXX", "19800101"]
    pairs = linked(people(last=["A"] * 4, DOB=born), model=model, clerical_review_threshold=1e-3).report.pairs
    weights = dict(zip(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True), pairs.weight, strict=True))
    assert weights[0, 3] == pytest.approx(np.log2(9))
    assert [weights[0, 1], weights[0, 2], weights[1, 2]] == pytest.approx([0.0] * 3)

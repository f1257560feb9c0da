"""The level that a pair has."""

from typing import Any

import numpy as np
import pytest

from tests.reference.link import people
from tests.support.link_tools import linked
from worker.compute.operations.link import (
    Comparison,
    Condition,
    Key,
    Level,
    Model,
    Rule,
)


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
        ("SOC", "number_slip", 0, ("123456789", "123456798"), ("123456789", "987654321")),
        ("SOC", "number_slip", 0, ("XXXXX6789", "123456789"), ("XXXXX6789", "123459999")),
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

"""How values are read: keys, names from NAM, and values of which nothing is known."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from cji_core.operations.link import Comparison, Condition, Key, Level, Rule
from cji_core.operations.link.declaration import Code
from cji_core.operations.status_codes import ValueCode
from cji_operations.link.columns import read_table
from tests.reference.link import people
from tests.support.link_tools import MODEL, given_model, linked


@pytest.mark.parametrize(
    ("column", "form", "length", "same", "other"),
    [
        ("last", "whole", 0, ("O'Brien", " OBRIEN"), "OBRYEN"),
        ("last", "soundex", 0, ("SMITH", "SMYTHE"), "JONES"),
        ("last", "prefix", 3, ("JOHNSON", "JOHNSTON"), "JONES"),
        ("DOB", "whole", 0, ("19800102", "1980-01-02"), "19800103"),
        ("DOB", "year", 0, ("19800102", "1980-12-XX"), "19810102"),
        ("DOB", "year_month", 0, ("19800102", "1980-01-XX"), "19800202"),
        ("DOB", "month_day", 0, ("19800102", "19990102"), "19800201"),
        ("SOC", "whole", 0, ("212-45-6789", "212456789"), "212456780"),
    ],
)
def test_a_key_brings_together_what_it_says(
    column: str, form: Any, length: int, same: tuple[str, str], other: str
) -> None:
    columns: dict[str, list[str | None]] = {"last": ["SMITH"] * 4, column: [*same, other, None]}
    batch = people(**columns)
    rules = (Rule(keys=(Key(column=column, form=form, length=length),)),)
    found = linked(batch, model=replace(given_model(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-6)
    assert list(zip(found.report.pairs.left, found.report.pairs.right, strict=True)) == [(0, 1)]


def test_names_come_from_the_whole_name() -> None:
    batch = people(NAM=["SMITH, JOHN A", "SMITH,JOHN", "SMITH", None])
    rules = (Rule(keys=(Key(column="last"), Key(column="first"))),)
    found = linked(batch, model=replace(given_model(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3)
    assert list(zip(found.report.pairs.left, found.report.pairs.right, strict=True)) == [(0, 1)]
    assert found.status.rows[found.status.codes == Code.NO_BLOCKING_KEY].tolist() == [2, 3]


def test_an_identifier_without_a_digit_is_none() -> None:
    batch = people(SOC=["UNKNOWN", "UNKNOWN", "000000000", "000000000"], last=["A"] * 4)
    found = linked(batch, model=replace(given_model(0.9, 0.1), blocking=(Rule(keys=(Key(column="SOC"),)),)))
    assert not len(found.report.pairs)
    assert found.status.counts() == (0, 0, 0, 4)


@pytest.mark.parametrize(
    ("column", "nothing"),
    [
        ("DOB", "XXXXXXXX"),
        ("DOB", "XXXX-XX-XX"),
        ("DOB", "XX"),
        ("DOB", "----"),
        ("SOC", "XXXXXXXXX"),
        ("SOC", "XXX-XX-XXXX"),
        ("postcode", "XXXXX"),
        ("postcode", "-"),
        ("postcode", "00000"),
        ("HGT", "XXX"),
    ],
)
def test_a_value_of_which_nothing_is_known_is_none(column: str, nothing: str) -> None:
    batch = people(last=["A"] * 3, **{column: [nothing, nothing.lower(), "19800101"]})
    key = Rule(keys=(Key(column=column),))
    assert not len(
        linked(
            batch, model=replace(given_model(0.9, 0.1), blocking=(key,)), clerical_review_threshold=1e-3
        ).report.pairs
    )
    test = "date_slip" if column == "DOB" else "number_slip"
    level = Level(label="x", conditions=(Condition(column=column, test=test),), m=0.9, u=0.1)  # type: ignore[arg-type]
    comparison = Comparison(name="x", levels=(level, Level(label="y", m=0.1, u=0.9)))
    found = linked(
        batch,
        model=replace(MODEL, comparisons=(comparison,), blocking=(Rule(keys=()),)),
        clerical_review_threshold=1e-3,
    )
    assert found.report.pairs.weight == pytest.approx([np.log2(0.01 / 0.99)] * 3)  # the prior's: nothing was said


@pytest.mark.parametrize(
    ("column", "values"),
    [("SOC", ["XXXXX6789", "XXXXX4321"]), ("postcode", ["XXX10", "XXX20"]), ("DOB", ["XXXX0102", "XXXX0304"])],
)
def test_a_prefix_of_which_nothing_is_known_is_no_key(column: str, values: list[str]) -> None:
    rules = (Rule(keys=(Key(column=column, form="prefix", length=3),)),)
    found = linked(people(last=["A"] * 2, **{column: values}), model=replace(given_model(0.9, 0.1), blocking=rules))
    assert found.status.codes.tolist() == [Code.NO_BLOCKING_KEY] * 2


def test_x_in_a_name_is_a_letter() -> None:
    rules = (Rule(keys=(Key(column="last", form="prefix", length=1),)),)
    found = linked(
        people(last=["X", "X"]), model=replace(given_model(0.9, 0.1), blocking=rules), clerical_review_threshold=1e-3
    )
    assert len(found.report.pairs) == 1


def test_a_date_that_is_none_is_missing_and_its_row_partly_used() -> None:
    batch = people(last=["SMITH", "SMITH", "LEE", "LEE"], DOB=["1 May 80", "19800101", "19801399", "19800101"])
    found = linked(batch)
    assert found.status.counts() == (2, 0, 2, 0)
    assert found.status.rows.tolist() == [0, 2]
    assert found.status.columns.tolist() == [1, 1]
    assert set(found.status.codes.tolist()) == {ValueCode.NOT_A_DATE}
    table = read_table([batch], (), frozenset(("DOB",)), linking=False)
    assert table.columns["DOB"].code.tolist() == [-1, 0, 1, 0]

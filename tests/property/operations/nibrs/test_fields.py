"""Numbers, dates, periods, quantities and ages beside a slow twin."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE
from cji_core.format.records.nibrs.fields import (
    OUT_OF_RANGE,
    UNKNOWN_AGE,
    AgeForm,
    ages,
    dates,
    numbers,
    periods,
    quantities,
)
from tests.support.fixed_width import NUMBERISH, column, values


@given(values(3), st.integers(0, 50), st.integers(50, 999))
def test_numbers(texts: list[str], low: int, high: int) -> None:
    def twin(text: str) -> int:
        if not text.strip():
            return BLANK_VALUE
        if not text.isdecimal():
            return BAD_VALUE
        return int(text) if low <= int(text) <= high else OUT_OF_RANGE

    assert numbers(column(texts), low, high).tolist() == [twin(text) for text in texts]


@given(
    st.lists(
        st.one_of(st.text(NUMBERISH, min_size=8, max_size=8), st.dates().map(lambda d: f"{d:%Y%m%d}".zfill(8))),
        min_size=1,
    )
)
def test_dates(texts: list[str]) -> None:
    def twin(text: str) -> int:
        if not text.strip():
            return BLANK_VALUE
        if not re.fullmatch("(19|20)[0-9]{6}", text):
            return BAD_VALUE
        try:
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            return BAD_VALUE
        return int(text)

    assert dates(column(texts)).tolist() == [twin(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "good"),
    [("19000229", False), ("20000229", True), ("20190229", False), ("20200229", True), ("20200431", False)],
)
def test_days_that_exist(text: str, good: bool) -> None:
    assert dates(column([text])).tolist() == [int(text) if good else BAD_VALUE]


@given(values(6))
def test_periods(texts: list[str]) -> None:
    def twin(text: str) -> int:
        if not text.strip():
            return BLANK_VALUE
        if not text.isdecimal() or not 1 <= int(text[:2]) <= 12 or not 1991 <= int(text[2:]) <= 2099:
            return BAD_VALUE
        return int(text[2:] + text[:2])

    assert periods(column([*texts, "042020", "131999", "121990"]), 1991).tolist() == [
        *(twin(text) for text in texts),
        202004,
        BAD_VALUE,
        BAD_VALUE,
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([" " * 9, "000000001", "12345678 ", "999999999", "00000000A"]),
            st.sampled_from(["   ", "500", "  5", "000"]),
        ),
        min_size=1,
    )
)
def test_quantities(halves: list[tuple[str, str]]) -> None:
    def twin(units: str, parts: str) -> int:
        if not (units + parts).strip():
            return BLANK_VALUE
        if any(half.strip() and not half.isdecimal() for half in (units, parts)):
            return BAD_VALUE
        return int(units.strip() or 0) * 1000 + int(parts.strip() or 0)

    assert quantities(column([a + b for a, b in halves])).tolist() == [twin(a, b) for a, b in halves]


AGES = [
    ("    ", BLANK_VALUE, AgeForm.BLANK),
    ("00  ", UNKNOWN_AGE, AgeForm.UNKNOWN),
    ("25  ", 25, AgeForm.EXACT),
    ("99  ", 99, AgeForm.EXACT),
    ("NN  ", 0, AgeForm.NEWBORN),
    ("NB  ", 0, AgeForm.NEWBORN),
    ("BB  ", 0, AgeForm.NEWBORN),
    ("1619", 17, AgeForm.RANGE),
    ("0025", BAD_VALUE, AgeForm.RANGE),
    ("2525", BAD_VALUE, AgeForm.RANGE),
    (" 25 ", BAD_VALUE, AgeForm.INDENTED),
    ("   5", BAD_VALUE, AgeForm.INDENTED),
    ("8   ", BAD_VALUE, AgeForm.BAD_EXACT),
    ("251 ", BAD_VALUE, AgeForm.BAD_RANGE),
    ("25NN", BAD_VALUE, AgeForm.BAD_RANGE),
    ("NN25", BAD_VALUE, AgeForm.BAD_RANGE),
]


def test_ages() -> None:
    years, form, low, high = ages(column([text for text, *_ in AGES]))
    assert years.tolist() == [expected for _, expected, _ in AGES]
    assert form.tolist() == [expected for *_, expected in AGES]
    ranges = [i for i, age in enumerate(AGES) if age[2] is AgeForm.RANGE]
    assert [(low[i], high[i]) for i in ranges] == [(16, 19), (0, 25), (25, 25)]
    assert low.sum() == 41

"""Generalised and shifted dates beside their slow twins."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.deidentify import dates
from tests.reference.deidentify import (
    assert_equal,
    slow_band,
    slow_month,
    slow_shift,
    slow_year,
    untimed,
)

digit_or_x = st.sampled_from("0123456789Xx")
loose_date = st.builds(
    lambda digits, dash: f"{digits[:4]}{dash}{digits[4:6]}{dash}{digits[6:]}".encode(),
    st.text(digit_or_x, min_size=8, max_size=8),
    st.sampled_from(["", "-", "/"]),
)
year_part = st.integers(0, 9999).map("{:04d}".format) | st.sampled_from(["XXXX", "198X", "0000", "0001", "9999"])
month_part = st.integers(0, 13).map("{:02d}".format) | st.sampled_from(["XX", "1X", "X2", "0x", "2X"])
day_part = st.integers(0, 32).map("{:02d}".format) | st.sampled_from(["XX", "3X", "X9", "4X", "29", "30", "31"])
near_date = st.builds(
    lambda y, m, d, dash: f"{y}{dash}{m}{dash}{d}".encode(), year_part, month_part, day_part, st.sampled_from(["", "-"])
)
date_values = st.lists(
    st.none() | near_date | loose_date | st.binary(max_size=11) | st.sampled_from([b"XX", b"xX", b"19X", b"20000229"]),
    max_size=30,
)


@untimed
@given(date_values)
def test_date_to(values: list[bytes | None]) -> None:
    assert_equal(dates.date_to_year, lambda _, v: slow_year(v), values)
    assert_equal(dates.date_to_month, lambda _, v: slow_month(v), values)


@untimed
@given(date_values, st.integers(1, 50), st.integers(0, 70), st.dates())
def test_age_band(values: list[bytes | None], width: int, more: int, as_of: datetime.date) -> None:
    top = width + more
    assert_equal(
        lambda array: dates.age_band(array, width=width, top=top, as_of=as_of),
        lambda _, v: slow_band(v, width, top, as_of),
        values,
    )


@pytest.mark.parametrize("width", [1, 5, 40])
def test_age_bands_of_partial_dates_around_the_day(width: int) -> None:
    as_of = datetime.date(2026, 6, 15)
    values: list[bytes | None] = [
        f"{year}-{month}-{day}".encode()
        for year in (1905, 1935, 1936, 1966, 1985, 1986, 1987, 2000, 2025, 2026, 2027)
        for month in ("XX", "02", "05", "06", "07")
        for day in ("XX", "14", "15", "16", "28")
    ]
    assert_equal(
        lambda array: dates.age_band(array, width=width, top=90, as_of=as_of),
        lambda _, v: slow_band(v, width, 90, as_of),
        values,
    )


@untimed
@given(date_values, st.data())
def test_shift(values: list[bytes | None], data: st.DataObject) -> None:
    n = len(values)
    days = data.draw(st.lists(st.none() | st.integers(-3650, 3650), min_size=n, max_size=n))
    known = np.array([d is not None for d in days], np.bool_)
    numbers = np.array([d or 0 for d in days], np.int64)
    assert_equal(
        lambda array: dates.shift(array, days=numbers, known=known), lambda i, v: slow_shift(v, days[i]), values
    )


def test_every_day_moves_as_in_the_standard_library() -> None:
    first, last = datetime.date.min.toordinal(), datetime.date.max.toordinal()
    ordinals = np.arange(first, last + 1, 53)  # 53 is prime: all days of the year and all leap rules are met
    values = [datetime.date.fromordinal(o).isoformat().replace("-", "" if o % 2 else "-") for o in ordinals.tolist()]
    days = np.where(ordinals % 3, 3650, -3650)
    outcome = dates.shift(pa.array(values), days=days, known=np.ones(len(values), np.bool_))
    expected = [slow_shift(v.encode(), d)[0] for v, d in zip(values, days.tolist(), strict=True)]
    assert outcome.array.cast(pa.binary()).to_pylist() == expected


def test_shifts_end_with_the_calendar() -> None:
    values: list[bytes | None] = [b"00010101", b"00010102", b"0001-01-01", b"99991231", b"99991230", b"9999-12-31"]
    for day in (-1, 1):
        days = np.full(len(values), day)
        known = np.ones(len(values), np.bool_)
        assert_equal(
            lambda array, d=days, k=known: dates.shift(array, days=d, known=k),  # type: ignore[misc]
            lambda _, v, d=day: slow_shift(v, d),  # type: ignore[misc]
            values,
        )

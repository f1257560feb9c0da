"""Slips in numbers and dates beside a twin that looks at one pair, digit by digit."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.column import Bytes, read
from cji_core.format.records.dates import parse
from cji_operations.kernels import edits
from cji_operations.kernels.edits import Edit

DIGITS = st.sampled_from("0123X")


def matrix(values: list[str]) -> Bytes:
    width = len(values[0]) if values else 8
    return np.array([list(value.encode()) for value in values], np.uint8).reshape(len(values), width)


def same(a: str, b: str) -> bool:
    return all(x == y or "X" in (x, y) for x, y in zip(a, b, strict=True))


def unknown(a: str, b: str) -> int:
    return sum("X" in (x, y) for x, y in zip(a, b, strict=True))


def twin_number(a: str, b: str) -> Edit:
    if same(a, b):
        return Edit.SAME
    for i in range(len(a)):
        if same(a[:i] + a[i + 1 :], b[:i] + b[i + 1 :]):
            return Edit.SUBSTITUTION
    for i in range(len(a) - 1):
        swapped = a[:i] + a[i + 1] + a[i] + a[i + 2 :]
        if "X" not in a[i : i + 2] + b[i : i + 2] and same(swapped, b):
            return Edit.TRANSPOSITION
    return Edit.OTHER


def apart(a: str, b: str, step: int) -> bool:
    return "X" not in a + b and abs(int(a) - int(b)) == step


def twin_date(a: str, b: str) -> Edit:
    year, month, day = (same(a[part], b[part]) for part in (slice(4), slice(4, 6), slice(6, 8)))
    if same(a, b):
        return Edit.SAME
    if same(a, b[:4] + b[6:] + b[4:6]):
        return Edit.MONTH_DAY
    if year and month and apart(a[6:], b[6:], 1):
        return Edit.DAY
    if year and day and apart(a[4:6], b[4:6], 1):
        return Edit.MONTH
    if month and day and apart(a[:4], b[:4], 1):
        return Edit.YEAR
    if month and day and apart(a[:4], b[:4], 10):
        return Edit.TEN_YEARS
    return twin_number(a, b)


@st.composite
def numbers(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Pairs of numbers of one width, most of them near to each other."""
    width = draw(st.integers(1, 9))
    pairs = []
    for _ in range(draw(st.integers(0, 6))):
        a = draw(st.lists(DIGITS, min_size=width, max_size=width))
        b = a.copy()
        for _ in range(draw(st.integers(0, 3))):
            i, j = draw(st.integers(0, width - 1)), draw(st.integers(0, width - 1))
            b[i], b[j] = (b[j], b[i]) if draw(st.booleans()) else (draw(DIGITS), b[j])
        pairs.append(("".join(a), "".join(b)))
    return pairs


@given(numbers())
def test_one_edit_is_what_the_digits_say(pairs: list[tuple[str, str]]) -> None:
    found = edits.one_edit(matrix([a for a, _ in pairs]), matrix([b for _, b in pairs]))
    assert found.kind.tolist() == [twin_number(a, b) for a, b in pairs]
    assert found.unknown.tolist() == [unknown(a, b) for a, b in pairs]


DAYS = st.dates(datetime.date(1950, 1, 1), datetime.date(1975, 12, 31)).map(lambda day: day.strftime("%Y%m%d"))
PARTS = st.sampled_from([(0, 0), (6, 8), (4, 8), (4, 6), (0, 4), (3, 4)])


def hidden(value: str, part: tuple[int, int]) -> str:
    start, stop = part
    return value[:start] + "X" * (stop - start) + value[stop:]


@st.composite
def dates(draw: st.DrawFn) -> tuple[str, str]:
    a = draw(DAYS)
    year, month, day = int(a[:4]), int(a[4:6]), int(a[6:])
    step = draw(st.sampled_from([-10, -2, -1, 0, 1, 2, 9, 10, 11]))
    b = draw(
        st.sampled_from(
            [
                f"{year + step:04d}{a[4:]}",
                f"{a[:4]}{(month + step) % 100:02d}{a[6:]}",
                f"{a[:6]}{(day + step) % 100:02d}",
                f"{a[:4]}{day:02d}{month:02d}",
                a[:5] + a[6] + a[5] + a[7],
            ]
        )
        | DAYS
    )
    return hidden(a, draw(PARTS)), hidden(b, draw(PARTS))


@given(st.lists(dates(), max_size=8))
def test_dates_are_told_apart_as_their_parts_say(pairs: list[tuple[str, str]]) -> None:
    a, b = matrix([a for a, _ in pairs]), matrix([b for _, b in pairs])
    found = edits.dates(a, b)
    assert found.kind.tolist() == [twin_date(a, b) for a, b in pairs]
    assert found.unknown.tolist() == [unknown(a, b) for a, b in pairs]


@pytest.mark.parametrize(
    ("a", "b", "kind", "missing"),
    [
        ("1982-02-14", "19820214", Edit.SAME, 0),
        ("1982-02-XX", "19820214", Edit.SAME, 2),
        ("1982-07-04", "1982-04-07", Edit.MONTH_DAY, 0),
        ("1982-02-14", "1982-02-15", Edit.DAY, 0),
        ("1982-01-31", "1982-02-01", Edit.OTHER, 0),
        ("1982-02-14", "1982-03-14", Edit.MONTH, 0),
        ("1982-02-XX", "1982-03-14", Edit.MONTH, 2),
        ("1982-02-14", "1981-02-14", Edit.YEAR, 0),
        ("1989-02-14", "1990-02-14", Edit.YEAR, 0),
        ("1982-02-14", "1992-02-14", Edit.TEN_YEARS, 0),
        ("1982-02-14", "1932-02-14", Edit.SUBSTITUTION, 0),
        ("1982-02-14", "1928-02-14", Edit.TRANSPOSITION, 0),
        ("1982-02-14", "1982-11-30", Edit.OTHER, 0),
    ],
)
def test_dates_as_they_are_parsed(a: str, b: str, kind: Edit, missing: int) -> None:
    digits = [parse(read(pa.array([value]))).digits for value in (a, b)]
    found = edits.dates(*digits)
    assert (found.kind.tolist(), found.unknown.tolist()) == ([kind], [missing])


def test_pairs_beyond_a_chunk_are_compared_as_the_first_ones() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.choice(np.frombuffer(b"01X", np.uint8), (2, 20_000, 4))
    found = edits.one_edit(a, b)
    texts = [(x.tobytes().decode(), y.tobytes().decode()) for x, y in zip(a, b, strict=True)]
    assert found.kind.tolist() == [twin_number(x, y) for x, y in texts]

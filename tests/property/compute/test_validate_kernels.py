"""Kernels of `validate` and their obvious twins."""

import re
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.compute.kernels.column import Bytes, Text
from worker.compute.kernels.equal_rows import numbered, repeats
from worker.compute.kernels.lines import matrix, slots, split, trimmed
from worker.compute.nibrs.code_tables import BAD_VALUE, BLANK_VALUE, CodeTable
from worker.compute.nibrs.fields import (
    OUT_OF_RANGE,
    UNKNOWN_AGE,
    AgeForm,
    ages,
    dates,
    numbers,
    periods,
    quantities,
)

_NUMBERISH = "0123456789 X"


def column(values: list[str]) -> Bytes:
    width = len(values[0])
    return np.frombuffer("".join(values).encode("latin-1"), np.uint8).reshape(-1, width)


def values(width: int, characters: str = _NUMBERISH) -> st.SearchStrategy[list[str]]:
    return st.lists(st.text(characters, min_size=width, max_size=width), min_size=1, max_size=20)


@given(st.binary(max_size=200))
def test_lines_are_those_that_python_splits(data: bytes) -> None:
    text = split(np.frombuffer(data, np.uint8))
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not data or data.endswith(b"\n"):
        expected.pop()
    found = [
        data[start : start + length] for start, length in zip(text.starts.tolist(), text.lengths.tolist(), strict=True)
    ]
    assert found == expected


@given(st.lists(st.binary(max_size=12)), st.sampled_from([b"", b"\n", b"\r\n", b"\r"]))
def test_values_lose_their_line_end(rows: list[bytes], end: bytes) -> None:
    whole = [row + end for row in rows]
    lengths = np.array([len(row) for row in whole], np.int64)
    data = np.frombuffer(b"".join(whole), np.uint8)
    text = trimmed(Text(data=data, starts=np.cumsum(lengths) - lengths, lengths=lengths))
    assert text.lengths.tolist() == [len(row.removesuffix(b"\n").removesuffix(b"\r")) for row in whole]


@given(st.lists(st.binary(max_size=12), max_size=10), st.integers(1, 14), st.randoms())
def test_a_matrix_is_filled_up_with_blanks(rows: list[bytes], width: int, random: object) -> None:
    lengths = np.array([len(row) for row in rows], np.int64)
    text = Text(data=np.frombuffer(b"".join(rows), np.uint8), starts=np.cumsum(lengths) - lengths, lengths=lengths)
    picked = np.arange(len(rows))[::-1]
    found = [bytes(row) for row in matrix(text, picked, width)]
    assert found == [rows[i][:width].ljust(width) for i in picked.tolist()]


@given(
    st.lists(st.text(" AB", min_size=24, max_size=24), max_size=6),
    st.sampled_from([(3, 1, 5), (0, 3, 8), (2, 19, 1), (4, 4, 5)]),
)
def test_slots_in_use_are_those_with_a_byte(rows: list[str], shape: tuple[int, int, int]) -> None:
    base, step, count = shape
    table = column(rows) if rows else np.empty((0, 24), np.uint8)
    owner, found = slots(table, base, count, step)
    expected = [
        (i, row[base + step * slot : base + step * (slot + 1)])
        for i, row in enumerate(rows)
        for slot in range(count)
        if row[base + step * slot : base + step * (slot + 1)].strip()
    ]
    assert list(zip(owner.tolist(), [bytes(row).decode() for row in found], strict=True)) == expected


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
        st.one_of(st.text(_NUMBERISH, min_size=8, max_size=8), st.dates().map(lambda d: f"{d:%Y%m%d}".zfill(8))),
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


@given(
    st.integers(1, 3).flatmap(
        lambda w: st.tuples(
            st.sets(st.text("A0Z9", min_size=w, max_size=w), min_size=1),
            st.lists(st.text("A0Z9 +\xff", min_size=w, max_size=w), min_size=1),
        )
    )
)
def test_code_tables(case: tuple[set[str], list[str]]) -> None:
    codes, texts = sorted(case[0]), case[1]
    expected = [codes.index(text) if text in codes else BAD_VALUE if text.strip(" ") else BLANK_VALUE for text in texts]
    assert CodeTable(codes).lookup(column(texts)).tolist() == expected


@pytest.mark.parametrize("codes", [["A", "BB"], ["A", "A"], ["ABCD"]])
def test_a_code_table_has_codes_of_one_width_each_once(codes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"codes|unpack"):
        CodeTable(codes)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 1)), max_size=12))
def test_repeats(rows: list[tuple[int, int, int]]) -> None:
    group, first, second = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    seen: set[tuple[int, int, int]] = set()
    expected = []
    for row in rows:
        expected.append(row[1] >= 0 and row in seen)
        if row[1] >= 0:
            seen.add(row)
    assert repeats([group, first, second], first >= 0).tolist() == expected


@given(st.lists(st.binary(min_size=3, max_size=3)))
def test_equal_rows_have_equal_numbers(rows: list[bytes]) -> None:
    order: dict[bytes, int] = {}
    expected = [order.setdefault(row, len(order)) for row in rows]
    assert numbered(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 3)).tolist() == expected

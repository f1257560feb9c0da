"""Codes of distinct values, sorted; the largest contributors beside a loop over cells."""

from collections import defaultdict
from itertools import product

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_operations.kernels.group_by import coded, distinct, largest, packed


@given(st.lists(st.none() | st.binary(max_size=3), max_size=30))
def test_codes_are_positions_in_the_sorted_distinct_values(words: list[bytes | None]) -> None:
    code, values = coded(pa.array(words, pa.binary()))
    assert values.to_pylist() == sorted({word for word in words if word})
    assert code.tolist() == [values.to_pylist().index(word) if word else len(values) for word in words]


@given(st.integers(1, 2), st.data())
def test_short_codes_are_sorted_and_sliced_arrays_read_in_place(width: int, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.binary(min_size=width, max_size=width), min_size=2, max_size=30))
    code, values = coded(pa.array([b"?" * width, *words], pa.binary()).slice(1))
    assert values.to_pylist() == sorted(set(words))
    assert [values[c].as_py() for c in code.tolist()] == words


@given(st.integers(3, 8), st.data())
def test_codes_of_values_of_one_width(width: int, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.binary(min_size=width, max_size=width), min_size=1, max_size=30))
    words += data.draw(st.lists(st.sampled_from(words), max_size=30))
    code, values = coded(pa.array([b"?" * width, *words], pa.binary()).slice(1))
    assert values.to_pylist() == sorted(set(words))
    assert [values[c].as_py() for c in code.tolist()] == words


def test_codes_of_more_values_than_there_are_places_for() -> None:
    words = [b"%05d" % (number * 7919 % 100_000) for number in range(150_000)]
    code, values = coded(pa.array(words, pa.binary()))
    assert values.to_pylist() == sorted(set(words))
    assert code.tolist() == [int(word) for word in words]


def test_a_later_value_with_the_place_of_an_earlier_one() -> None:
    words = pa.array([b"%05d" % number for number in range(2000)], pa.binary())
    rows = np.arange(20 << 16)
    number = (rows >> 16) * 100 + rows % 100  # in each part of 65536 rows a hundred values that were not there before
    code, values = coded(words.take(pa.array(number)))
    assert values.equals(words)
    assert np.array_equal(code, number)


@given(st.integers(1, 17), st.lists(st.integers(0, 200), min_size=1, max_size=200), st.booleans())
def test_packed_numbers_tell_values_apart(width: int, numbers: list[int], is_text: bool) -> None:
    words = [b"%0*d" % (width, number % 10**width) if is_text else b"%c" % number * width for number in numbers]
    found = packed(pa.array([b"\xff" * width, *words], pa.binary()).slice(1))
    if found is not None:
        pairs = set(zip(words, found.tolist(), strict=True))
        assert len(pairs) == len(set(words)) == len(set(found.tolist()))
        assert 0 <= min(found.tolist()) <= max(found.tolist()) < 1 << 40
    else:
        assert width > 5
    assert packed(pa.array([*words, b""], pa.binary())) is None
    assert packed(pa.array([*words, None], pa.binary())) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 1), st.integers(0, 5), st.booleans()),
        max_size=40,
    ),
    st.sampled_from([1, 1 << 36]),
)
def test_persons_of_every_cell_and_total(rows: list[tuple[int, int, int, int, bool]], step: int) -> None:
    people: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    for a, b, c, subject, known in rows:
        for cell in product((a, 2), (b, 3), (c, 2)):
            people[cell] |= {subject} if known else set()
    column = np.array(rows, np.int64).reshape(-1, 5).T
    cell = column[0] * 6 + column[1] * 2 + column[2]
    found = distinct(cell, column[3] * step, column[4].astype(np.bool_), (2, 3, 2))
    assert found.shape == (3, 4, 3)
    for place in product(range(3), range(4), range(3)):
        assert found[place] == len(people[place])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 4), st.integers(0, 9)), max_size=30),
    st.integers(1, 3),
)
def test_the_largest_contributors_of_every_cell_and_total(rows: list[tuple[int, int, int, int]], top: int) -> None:
    by_cell: dict[tuple[int, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for a, b, subject, value in rows:
        for cell in product((a, 2), (b, 3)):
            by_cell[cell][subject] += value
    column = np.array(rows, np.int64).reshape(-1, 4).T
    found = largest(column[0] * 3 + column[1], column[2], column[3], (2, 3), top=top)
    assert found.shape == (3, 4)
    for cell in product(range(3), range(4)):
        assert found[cell] == sum(sorted(by_cell[cell].values(), reverse=True)[:top])

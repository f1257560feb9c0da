"""Distinct values of columns, in the order of their first rows."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints


def codes(array: pa.Array) -> tuple[Ints, int]:
    """(int64[n] below k, k): equal values have equal codes; null is a value of its own."""
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    return arrow.numbers(encoded.indices).astype(np.int64), len(encoded.dictionary)


def first_rows(array: pa.Array) -> tuple[Ints, Ints]:
    """(int64[k]: the first row of each distinct value, int64[n]: which of them each row has)."""
    code, k = codes(array)
    first = np.full(k, len(code), np.int64)
    np.minimum.at(first, code, np.arange(len(code)))
    return first, code


def classes(columns: list[tuple[Ints, int]], n: int) -> Ints:
    """int64[n]: rows that agree in every column (as `codes` gives them) have the same number, 0 to k - 1."""
    together = np.zeros(n, np.int64)
    for code, k in columns:
        _, together = np.unique(together * max(k, 1) + code, return_inverse=True)
    return together


def groups(columns: list[tuple[Ints, int]], n: int) -> tuple[Ints, Ints]:
    """(int64[k] ascending: the first row of each group of rows that agree in every column, int64[n]: their groups)."""
    together = classes(columns, n)
    first = np.full(int(together.max(initial=-1)) + 1, n)
    np.minimum.at(first, together, np.arange(n))
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return first[order], place[together]


def is_among(array: pa.Array, values: Iterable[str]) -> Bools:
    """bool[n]: the value of a `utf8` or `binary` array is one of `values`; null is none of them."""
    wanted = pa.array([value.encode() for value in values], pa.binary())
    return arrow.bools(pc.is_in(array.view(pa.binary()), value_set=wanted))

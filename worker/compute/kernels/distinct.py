"""Distinct values of columns, in the order of their first rows."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.compute.kernels.column import Ints

__all__ = ["classes", "codes", "first_rows", "positions"]


def codes(array: pa.Array) -> tuple[Ints, int]:
    """(int64[n] below k, k): equal values have equal codes; null is a value of its own."""
    encoded = pc.dictionary_encode(array, null_encoding="encode")
    k = len(encoded.dictionary)
    if not k:
        return np.empty(0, np.int64), 0
    indices = encoded.indices
    return np.frombuffer(indices.buffers()[1], np.int32, len(indices), 4 * indices.offset).astype(np.int64), k


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


def positions(rows: npt.NDArray[np.int64]) -> pa.Array:
    """Row numbers as Arrow takes them."""
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])

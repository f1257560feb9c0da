"""Words that are one edit apart: the Levenshtein distance is at most 1.

V. I. Levenshtein, "Binary codes capable of correcting deletions, insertions and reversals", Soviet Physics Doklady 10
(1966) 707-710; with two neighbours in each other's place as one edit, F. J. Damerau, CACM 7 (1964) 171-176.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes
from cji_operations.kernels.strings import Words

Codes = npt.NDArray[np.integer[Any]]

_CHUNK: Final = 1 << 15  # pairs


def one_off(one: Words, other: Words, a: Codes, b: Codes, *, transpositions: bool) -> Bools:
    """bool[p]: one.data[a[i]] and other.data[b[i]] are equal or one edit apart, byte by byte; a, b int[p]."""
    found = np.empty(len(a), np.bool_)
    width = max(one.data.shape[1], other.data.shape[1])
    for start in range(0, len(a), _CHUNK):
        rows = slice(start, start + _CHUNK)
        long, short = _columns(one, a[rows], width), _columns(other, b[rows], width)
        by = one.lengths[a[rows]] - other.lengths[b[rows]]
        turned = by < 0
        long[:, turned], short[:, turned] = short[:, turned], long[:, turned]
        replaced = _replaced(long, short, transpositions=transpositions)
        found[rows] = np.where(by == 0, replaced, (np.abs(by) == 1) & _added(long, short))
    return found


def _columns(words: Words, which: Codes, width: int) -> Bytes:
    """uint8[width + 1, p]: words position by position, with a zero behind each."""
    found = np.zeros((width + 1, len(which)), np.uint8)
    found[: words.data.shape[1]] = words.data[which].T
    return found


def _replaced(a: Bytes, b: Bytes, *, transpositions: bool) -> Bools:
    """bool[p]: words of one length, uint8[w, p], are equal or differ in one place, or in two that are exchanged."""
    wrong = a != b
    count = wrong.sum(axis=0)
    found: Bools = count <= 1
    if transpositions:
        crossed = wrong[1:] & wrong[:-1] & (a[1:] == b[:-1]) & (a[:-1] == b[1:])
        found |= (count == 2) & crossed.any(axis=0)
    return found


def _added(long: Bytes, short: Bytes) -> Bools:
    """bool[p]: words are equal but for one more byte in the longer one: behind it, they agree one place further."""
    behind = np.logical_or.accumulate(long != short, axis=0)[:-1]
    found: Bools = ~(behind & (long[1:] != short[:-1])).any(axis=0)
    return found

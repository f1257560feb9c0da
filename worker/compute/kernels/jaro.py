"""Jaro and Jaro-Winkler similarity of many pairs of words, compared byte by byte.

M. A. Jaro, "Advances in Record-Linkage Methodology", JASA 84 (1989) 414-420; W. E. Winkler, "String Comparator
Metrics and Enhanced Decision Rules", ASA Survey Research Methods (1990) 354-359. Two bytes match when they are equal
and at most max(|a|, |b|) // 2 - 1 places apart; each byte of b takes the first free one of a. With m matches, of which
2t are not in the same order on both sides (rounded down to whole t):

    Jaro         = (m/|a| + m/|b| + (m - t)/m) / 3, 0 where m is 0
    Jaro-Winkler = Jaro + p * prefix_weight * (1 - Jaro) where Jaro > boost_threshold, p: common prefix, at most 4

A byte of value 0 matches nothing, because words are padded with it.

The pairs lie side by side, one row for each place of a word, so that every step is a handful of numpy operations on
bytes: where a place of `a` meets a place of `b`, both are multiplied by "they differ". What matched becomes 0, as the
padding is, and takes no further part.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from worker.compute.kernels.column import Bytes, Ints
from worker.compute.kernels.strings import Words

__all__ = ["above", "pairs"]

Floats = npt.NDArray[np.float64]

_PREFIX: Final = 4
_CHUNK: Final = 16_384  # pairs: two words of 16 bytes, twice, stay within a megabyte of cache


def pairs(
    a: Words,
    b: Words,
    left: Ints,
    right: Ints,
    *,
    winkler: bool = True,
    prefix_weight: float = 0.1,
    boost_threshold: float = 0.7,
) -> Floats:
    """float64[n]: the similarity of a[left[i]] and b[right[i]], 0 to 1; 1 where both are empty.

    left, right: int64[n], within the words; no -1 of a missing value. Raises: IndexError.
    """
    _check(left, len(a))
    _check(right, len(b))
    length_a, length_b = a.lengths[left], b.lengths[right]
    score = np.empty(len(left))
    reach = np.maximum(np.maximum(length_a, length_b) // 2 - 1, 0)
    order = np.argsort(reach.astype(np.uint8), kind="stable")
    ends = np.cumsum(np.bincount(reach))
    columns_a, columns_b = np.ascontiguousarray(a.data.T), np.ascontiguousarray(b.data.T)
    start = 0
    for window, end in enumerate(ends.tolist()):
        for first in range(start, end, _CHUNK):
            rows = order[first : min(first + _CHUNK, end)]
            jaro, prefix = _same_reach(
                _gather(columns_a, left[rows], int(length_a[rows].max())),
                _gather(columns_b, right[rows], int(length_b[rows].max())),
                length_a[rows],
                length_b[rows],
                window,
            )
            if winkler:
                jaro = np.where(jaro > boost_threshold, jaro + prefix * prefix_weight * (1 - jaro), jaro)
            score[rows] = jaro
        start = end
    return score


def _check(index: Ints, k: int) -> None:
    if len(index) and (index.min() < 0 or index.max() >= k):
        raise IndexError("a code that is not one of a word")


def _gather(columns: Bytes, index: Ints, width: int) -> Bytes:
    """uint8[width, len(index)]: the first `width` places of words, given as uint8[w, k]."""
    places = np.empty((width, len(index)), np.uint8)
    for place in range(width):
        columns[place].take(index, out=places[place], mode="clip")
    return places


def _same_reach(a: Bytes, b: Bytes, length_a: Ints, length_b: Ints, window: int) -> tuple[Floats, Bytes]:
    """(Jaro, length of the common prefix) of pairs with one window; a uint8[wa, n], b uint8[wb, n]."""
    n = len(length_a)
    prefix, same = np.zeros(n, np.uint8), np.ones(n, np.bool_)
    for place in range(min(_PREFIX, len(a), len(b))):
        same &= (a[place] == b[place]) & (a[place] != 0)
        prefix += same
    free_a, free_b = a.copy(), b.copy()
    differ = np.empty(n, np.bool_)
    for j in range(len(b)):
        for i in range(max(j - window, 0), min(j + window + 1, len(a))):
            np.not_equal(free_a[i], free_b[j], out=differ)
            free_a[i] *= differ
            free_b[j] *= differ
    key_a, matches = _ranked(a - free_a)
    key_b, _ = _ranked(b - free_b)
    key_b += key_b == 0  # no match of a has the rank 0
    in_order = np.zeros(n, np.uint8)
    for j in range(len(b)):
        for i in range(max(j - window, 0), min(j + window + 1, len(a))):
            in_order += np.equal(key_a[i], key_b[j], out=differ)
    m = matches.astype(np.float64)
    swapped = (matches - in_order) // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        jaro = (m / length_a + m / length_b + (m - swapped) / m) / 3
    jaro[matches == 0] = 0
    jaro[(length_a == 0) & (length_b == 0)] = 1
    return jaro, prefix


def _ranked(matched: Bytes) -> tuple[npt.NDArray[np.uint16], Bytes]:
    """(rank * 256 + byte of each matched place, 0 of the others; uint8[n] number of matches)."""
    keys = np.empty(matched.shape, np.uint16)
    rank = np.zeros(matched.shape[1], np.uint8)
    for place, byte in enumerate(matched):
        rank += byte != 0
        np.multiply(rank, np.uint16(256), out=keys[place], dtype=np.uint16)
        keys[place] += byte
        keys[place] *= byte != 0
    return keys, rank


def above(queries: Words, vocabulary: Words, cutoff: float) -> tuple[Ints, Ints, Floats]:
    """(query, entry, score) of all pairs whose Jaro-Winkler similarity is at least `cutoff`, by query, then entry."""
    q = np.repeat(np.arange(len(queries)), len(vocabulary))
    v = np.tile(np.arange(len(vocabulary)), len(queries))
    score = pairs(queries, vocabulary, q, v)
    kept = np.flatnonzero(score >= cutoff)
    return q[kept], v[kept], score[kept]

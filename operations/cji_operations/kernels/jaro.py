"""Jaro and Jaro-Winkler similarity of many pairs of words, compared byte by byte.

M. A. Jaro, "Advances in Record-Linkage Methodology", JASA 84 (1989) 414-420; W. E. Winkler, "String Comparator
Metrics and Enhanced Decision Rules", ASA Survey Research Methods (1990) 354-359. Two bytes match when they are equal
and at most max(|a|, |b|) // 2 - 1 positions apart; each byte of b takes the first free one of a. With m matches, 2t of
which are not in the same order on both sides (rounded down to whole t):

    Jaro         = (m/|a| + m/|b| + (m - t)/m) / 3, 0 where m is 0
    Jaro-Winkler = Jaro + p * prefix_weight * (1 - Jaro) where Jaro > boost_threshold, p: common prefix, at most 4

A byte of value 0 matches nothing, because words are padded with it.

The pairs lie side by side, one row for each position of a word, so that every step is a handful of numpy operations on
bytes: a position of `a` and a position of `b` that are compared are both multiplied by "they differ". Bytes that match
become 0, like the padding, and take no further part.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints
from cji_operations.kernels.jaro_bounds import Sorted, candidates
from cji_operations.kernels.strings import Words

Floats = npt.NDArray[np.float64]

_PREFIX: Final = 4
_PREFIX_WEIGHT: Final = 0.1
_BOOST_THRESHOLD: Final = 0.7
_CHUNK: Final = 8_192  # pairs: two words of 16 bytes, twice, stay within a megabyte of cache


def pairs(
    a: Words,
    b: Words,
    left: Ints,
    right: Ints,
    *,
    winkler: bool = True,
    prefix_weight: float = _PREFIX_WEIGHT,
    boost_threshold: float = _BOOST_THRESHOLD,
) -> Floats:
    """float64[n]: the similarity of a[left[i]] and b[right[i]], 0 to 1; 1 where both are empty.

    left, right: int64[n], within the words; no -1 of a missing value. Raises: IndexError.
    """
    _check(left, len(a))
    _check(right, len(b))
    columns_a, columns_b = np.ascontiguousarray(a.data.T), np.ascontiguousarray(b.data.T)
    lengths_a, lengths_b = a.lengths.astype(np.uint8), b.lengths.astype(np.uint8)
    half = np.maximum(lengths_a[left], lengths_b[right]) // 2
    order = np.argsort(half, kind="stable")
    score = np.empty(len(left))
    end = 0
    for window, count in enumerate(np.bincount(half), -1):
        start, end = end, end + int(count)
        for first in range(start, end, _CHUNK):
            rows = order[first : min(first + _CHUNK, end)]
            of_a, of_b = left[rows], right[rows]
            length_a, length_b = lengths_a[of_a], lengths_b[of_b]
            at_a = _gather(columns_a, of_a, int(length_a.max()))
            at_b = _gather(columns_b, of_b, int(length_b.max()))
            jaro = _jaro(at_a, at_b, length_a, length_b, max(window, 0))
            if winkler:
                boosted = jaro + _prefix(at_a, at_b) * prefix_weight * (1 - jaro)
                jaro = np.where(jaro > boost_threshold, boosted, jaro)
            score[rows] = jaro
    return score


def _check(index: Ints, k: int) -> None:
    if len(index) and (index.min() < 0 or index.max() >= k):
        raise IndexError("a code that is not one of a word")


def _gather(columns: Bytes, index: Ints, width: int) -> Bytes:
    """uint8[width, len(index)]: the first `width` positions of words, given as uint8[w, k]."""
    positions = np.empty((width, len(index)), np.uint8)
    for position in range(width):
        columns[position].take(index, out=positions[position], mode="clip")
    return positions


def _prefix(a: Bytes, b: Bytes) -> Bytes:
    """uint8[n]: the length of the common prefix, at most 4."""
    length, same = np.zeros(a.shape[1], np.uint8), np.ones(a.shape[1], np.bool_)
    for position in range(min(_PREFIX, len(a), len(b))):
        same &= (a[position] == b[position]) & (a[position] != 0)
        length += same
    return length


def _jaro(a: Bytes, b: Bytes, length_a: Bytes, length_b: Bytes, window: int) -> Floats:
    """Jaro of pairs with one window; a uint8[wa, n], b uint8[wb, n]."""
    free_a, free_b = a.copy(), b[::-1].copy()
    differ = np.empty((window + 1, a.shape[1]), np.bool_)
    # Places i and j meet after all (i, j') and (i', j) with j' < j and i' < i: those with one sum i + j all at once.
    # Against the reversed b they are a block.
    for total in range(len(a) + len(b) - 1):
        low = max(0, total - len(b) + 1, (total - window + 1) // 2)
        high = min(len(a) - 1, total, (total + window) // 2)
        if low > high:
            continue
        block_a = free_a[low : high + 1]
        offset = len(b) - 1 - total
        block_b = free_b[low + offset : high + 1 + offset]
        block = np.not_equal(block_a, block_b, out=differ[: high + 1 - low])
        block_a *= block
        block_b *= block
    key_a, matches = _ranked(a - free_a, unmatched=0)
    key_b, _ = _ranked(b - free_b[::-1], unmatched=1)
    at_position, in_order = np.zeros(a.shape, np.uint8), np.zeros(a.shape[1], np.uint8)
    for shift in range(-window, window + 1):  # the matches of one rank are as near to each other as any
        low, high = max(0, shift), min(len(a), len(b) + shift)
        if low < high:
            at_position[low:high] += key_a[low:high] == key_b[low - shift : high - shift]
    for position in at_position:
        in_order += position
    m = matches.astype(np.float64)
    swapped = (matches - in_order) // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        jaro: Floats = (m / length_a + m / length_b + (m - swapped) / m) / 3
    jaro[matches == 0] = 0
    jaro[(length_a == 0) & (length_b == 0)] = 1
    return jaro


def _ranked(matched: Bytes, *, unmatched: int) -> tuple[npt.NDArray[np.uint16], Bytes]:
    """(rank from 1 on * 256 + byte of each matched position, `unmatched` elsewhere; uint8[n] number of matches)."""
    hit = matched != 0
    rank = hit.view(np.uint8).copy()
    for position in range(1, len(rank)):
        rank[position] += rank[position - 1]
    count = rank[-1].copy() if len(rank) else np.zeros(matched.shape[1], np.uint8)
    rank *= hit
    keys = rank.astype(np.uint16)
    keys <<= 8
    keys |= matched.astype(np.uint16)
    if unmatched:
        keys += (~hit).astype(np.uint16)
    return keys, count


def above(queries: Words, vocabulary: Words | Sorted, cutoff: float) -> tuple[Ints, Ints, Floats]:
    """(query, entry, score) of all pairs whose Jaro-Winkler similarity is at least `cutoff`, by query, then entry.

    Prefix weight and boost threshold default to those of `pairs`. A vocabulary that is used often comes Sorted. The
    lower the cut-off, the more pairs are scored and come back, up to all of them.
    """
    entries = vocabulary if isinstance(vocabulary, Sorted) else Sorted(vocabulary)
    alike, unlike = _least_jaro(cutoff, prefix=_PREFIX), _least_jaro(cutoff, prefix=0)
    found = [
        _scored(queries, entries.words, q, v, cutoff)
        for q, v in candidates(Sorted(queries), entries, alike=alike, unlike=unlike)
    ]
    query, entry, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(query * len(vocabulary) + entry, kind="stable")
    return query[order], entry[order], score[order]


def _scored(queries: Words, vocabulary: Words, q: Ints, v: Ints, cutoff: float) -> tuple[Ints, Ints, Floats]:
    score = pairs(queries, vocabulary, q, v)
    kept = np.flatnonzero(score >= cutoff)
    return q[kept], v[kept], score[kept]


def _least_jaro(cutoff: float, *, prefix: int) -> float:
    """The minimum Jaro similarity for a Jaro-Winkler of `cutoff` with this common prefix."""
    if cutoff <= _BOOST_THRESHOLD:
        return cutoff
    boost = prefix * _PREFIX_WEIGHT
    return max(_BOOST_THRESHOLD, (cutoff - boost) / (1 - boost))

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

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints
from cji_operations.kernels.jaro_bounds import Sorted, candidates
from cji_operations.kernels.ranges import refilled
from cji_operations.kernels.strings import Words

Floats = npt.NDArray[np.float64]

_PREFIX: Final = 4
_PREFIX_WEIGHT: Final = 0.1
_BOOST_THRESHOLD: Final = 0.7
_CHUNK: Final = 1 << 15  # pairs; fewer cost more in calls of numpy than in bytes
_POSITIONS: Final = 1 << 19  # of their words, which then stay in the caches, and far below the most that is allocated
_FEWEST: Final = 1 << 10
_HELD: Final = 1 << 20  # candidates
_NOTHING: Final = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


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
    lengths_a, lengths_b = a.lengths.astype(np.uint8).take(left), b.lengths.astype(np.uint8).take(right)
    longest = np.maximum(lengths_a, lengths_b)
    order = np.argsort(longest, kind="stable")
    score = np.empty(len(left))
    for rows in _chunks(order, longest):
        length_a, length_b = lengths_a.take(rows), lengths_b.take(rows)
        wide_a, wide_b = int(length_a.max()), int(length_b.max())
        both = np.empty((wide_a + wide_b, len(rows)), np.uint8)
        _gather(columns_a, left.take(rows), both[:wide_a])
        _gather(columns_b, right.take(rows), both[wide_a:][::-1])
        jaro = _jaro(both, length_a, length_b, wide_a)
        if winkler:
            some = np.flatnonzero(jaro > boost_threshold)
            jaro[some] += _prefix(both, wide_a, some) * prefix_weight * (1 - jaro[some])
        score[rows] = jaro
    return score


def _chunks(order: Ints, longest: Bytes) -> Iterator[Ints]:
    """Parts of `order`, by which `longest` ascends; the longer their words, the fewer they are."""
    start = 0
    while start < len(order):
        width = 2 * int(longest[order[start : start + _CHUNK][-1]])
        stop = start + min(_CHUNK, max(_POSITIONS // (width + 1), _FEWEST))
        yield order[start:stop]
        start = stop


def _check(index: Ints, k: int) -> None:
    if len(index) and (index.min() < 0 or index.max() >= k):
        raise IndexError("a code that is not one of a word")


def _gather(columns: Bytes, index: Ints, positions: Bytes) -> None:
    """Fill uint8[w, n] with the first positions of the words `index`, given as uint8[w or more, k]."""
    for column, position in zip(columns, positions, strict=False):
        column.take(index, out=position, mode="clip")


def _prefix(both: Bytes, wide_a: int, rows: Ints) -> Bytes:
    """uint8[len(rows)]: the length of the common prefix of these pairs, at most 4."""
    length, same = np.zeros(len(rows), np.uint8), np.ones(len(rows), np.bool_)
    for of_a, of_b in zip(both[:wide_a][:_PREFIX], both[wide_a:][::-1], strict=False):
        byte = of_a.take(rows)
        same &= (byte == of_b.take(rows)) & (byte != 0)
        length += same.view(np.uint8)
    return length


def _meetings(wide_a: int, wide_b: int, window: int) -> Iterator[tuple[int, int, int]]:
    """(i + j, the first i, the last i) of places i of a and j of b that are compared at once, within the window.

    Places i and j meet after all (i, j') and (i', j) with j' < j and i' < i: those with one sum i + j all at once.
    """
    for total in range(wide_a + wide_b - 1):
        low = max(0, total - wide_b + 1, (total - window + 1) // 2)
        high = min(wide_a - 1, total, (total + window) // 2)
        if low <= high:
            yield total, low, high


def _jaro(both: Bytes, length_a: Bytes, length_b: Bytes, wide_a: int) -> Floats:
    """Jaro of pairs, the shortest first; both uint8[wa + wb, n]: the positions of a, then those of b in reverse."""
    free, longest = both.copy(), np.maximum(length_a, length_b)
    windows = np.maximum(longest >> 1, 1) - np.uint8(1)
    least, window = int(windows[0]), int(windows[-1])
    begins = np.searchsorted(windows, np.arange(window + 1, dtype=np.uint8)).tolist()  # of the pairs with this window
    differ = np.empty((window + 1, both.shape[1]), np.bool_)
    for total, low, high in _meetings(wide_a, len(both) - wide_a, window):
        offset = len(both) - 1 - total
        block_a, block_b = free[low : high + 1], free[low + offset : high + 1 + offset]
        block = np.not_equal(block_a, block_b, out=differ[: len(block_a)]).view(np.uint8)
        far = (total - least - 1) // 2, (total + least) // 2 + 1  # at least so far, the narrowest windows do not reach
        for i in (*range(low, min(far[0], high) + 1), *range(max(far[1], low), high + 1)):
            block[i - low, : begins[abs(2 * i - total)]] = 1
        block_a *= block
        block_b *= block
    matched = np.subtract(both, free, out=free)
    matches = (matched[:wide_a] != 0).view(np.uint8).sum(axis=0, dtype=np.uint8)
    in_order = _in_order(matched, matches, wide_a, window)
    swapped = (matches - in_order) >> 1
    m = matches.astype(np.float64)
    jaro: Floats = m / np.maximum(length_a, 1)
    jaro += m / np.maximum(length_b, 1)
    jaro += (m - swapped) / np.maximum(m, 1)
    jaro /= 3
    if longest[0] == 0:
        jaro[(length_a == 0) & (length_b == 0)] = 1
    return jaro


def _in_order(matched: Bytes, matches: Bytes, wide_a: int, window: int) -> Bytes:
    """uint8[n]: how many of the matches have the byte that the match of the same rank has on the other side."""
    many = np.flatnonzero(matches > 2)
    if 2 * len(many) > len(matches):
        return _same_rank(matched, wide_a, window)
    first = [_first(matched[:wide_a]), _first(matched[wide_a:][::-1])]
    in_order: Bytes = matches * (first[0] == first[1])  # of two matches, both or none
    if len(many):
        some = np.empty((len(matched), len(many)), np.uint8)
        _gather(matched, many, some)
        in_order[many] = _same_rank(some, wide_a, window)
    return in_order


def _first(matched: Bytes) -> Bytes:
    """uint8[n]: the first byte of each column that is not 0."""
    first = np.zeros(matched.shape[1], np.uint8)
    for position in matched:
        first += position * (first == 0).view(np.uint8)
    return first


def _same_rank(matched: Bytes, wide_a: int, window: int) -> Bytes:
    """See `_in_order`."""
    keys = _ranked(matched, wide_a)
    key_a, key_b = keys[:wide_a], keys[wide_a:][::-1]
    found = np.zeros(matched.shape[1], np.uint8)
    for shift in range(-window, window + 1):  # the matches of one rank are as near to each other as any
        low, high = max(0, shift), min(len(key_a), len(key_b) + shift)
        if low < high:
            found += (key_a[low:high] == key_b[low - shift : high - shift]).view(np.uint8).sum(axis=0, dtype=np.uint8)
    return found


def _ranked(matched: Bytes, wide_a: int) -> npt.NDArray[np.uint16]:
    """Of each matched position its rank, from 1 on, * 256 + its byte; elsewhere 0 in a, 1 in b."""
    hit = matched != 0
    rank = hit.view(np.uint8).copy()
    for position in range(1, wide_a):
        rank[position] += rank[position - 1]
    for position in range(len(rank) - 2, wide_a - 1, -1):
        rank[position] += rank[position + 1]
    rank *= hit.view(np.uint8)
    keys: npt.NDArray[np.uint16] = rank.astype(np.uint16)
    keys <<= 8
    keys |= matched
    keys[wide_a:] += (~hit[wide_a:]).view(np.uint8)
    return keys


def above(queries: Words, vocabulary: Words | Sorted, cutoff: float) -> tuple[Ints, Ints, Floats]:
    """(query, entry, score) of all pairs whose Jaro-Winkler similarity is at least `cutoff`, by query, then entry.

    Prefix weight and boost threshold default to those of `pairs`. A vocabulary that is used often comes Sorted. The
    lower the cut-off, the more pairs are scored and come back, up to all of them.
    """
    entries = vocabulary if isinstance(vocabulary, Sorted) else Sorted(vocabulary)
    least = [_least_jaro(cutoff, prefix=prefix) for prefix in range(_PREFIX + 1)]
    scored = [_NOTHING]
    for q, v in refilled(candidates(Sorted(queries), entries, least), _HELD):
        score = pairs(queries, entries.words, q, v)
        kept = np.flatnonzero(score >= cutoff)
        scored.append((q[kept], v[kept], score[kept]))
    query, entry, score = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    order = np.argsort(query * len(vocabulary) + entry, kind="stable")
    return query[order], entry[order], score[order]


def _least_jaro(cutoff: float, *, prefix: int) -> float:
    """The minimum Jaro similarity for a Jaro-Winkler of `cutoff` with this common prefix."""
    if cutoff <= _BOOST_THRESHOLD:
        return cutoff
    boost = prefix * _PREFIX_WEIGHT
    return max(_BOOST_THRESHOLD, (cutoff - boost) / (1 - boost))

"""Pairs of words that may reach a Jaro similarity, found by what of the one is missing from the other.

Words are sorted by length and first byte. Between words of two lengths, a similarity needs a least number of matches,
so only so many bytes of the one may be missing from the other. At least how many are missing shows in one word of bits
of each (`_sets`): an AND and a population count.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Ints
from cji_operations.kernels.strings import Words

Sets = npt.NDArray[np.uint64]

_ROUNDING: Final = 1e-9  # matches; a bound must not fail by what floats round
_BLOCK: Final = 32_768  # pairs whose bits are compared at once
_HELD: Final = 1 << 20  # candidates
_NOTHING: Final[tuple[Ints, Ints]] = (np.empty(0, np.int64), np.empty(0, np.int64))


class Sorted:
    """Words by length, then first byte, for `above`; a vocabulary that is used often is sorted once.

    Groups are runs of the sorted words: (start, end).
    """

    def __init__(self, words: Words) -> None:
        self.words = words
        first = words.data[:, 0] if words.data.shape[1] else np.zeros(len(words), np.uint8)
        key = (words.lengths << 8 | first).astype(np.uint16)
        self.order: Ints = np.argsort(key, kind="stable")
        key = key[self.order]
        self.first = key & np.uint16(0xFF)
        self.sets = _sets(words)[self.order]
        self.lengths = _groups(key >> np.uint16(8))
        self.lengths_and_firsts = _groups(key)

    def __len__(self) -> int:
        return len(self.order)


def _groups(key: npt.NDArray[np.uint16]) -> dict[int, tuple[int, int]]:
    """Each value of a sorted array, and the run of it."""
    values, starts, counts = np.unique(key, return_index=True, return_counts=True)
    runs = zip(starts.tolist(), (starts + counts).tolist(), strict=True)
    return dict(zip(values.tolist(), runs, strict=True))


def _sets(words: Words) -> Sets:
    """uint64[k]: bit c where a byte of class c (its low 5 bits) is in the word, bit 32 + c where there are two.

    Each bit of one word that is not set in another stands for a byte of the one without a match in the other.
    """
    sets = np.zeros(len(words), np.uint64)
    for column in np.ascontiguousarray(words.data.T):
        bit = (column != 0) * np.left_shift(np.uint64(1), (column & 31).astype(np.uint64))
        sets |= bit | (sets & bit) << np.uint64(32)
    return sets


def candidates(queries: Sorted, vocabulary: Sorted, *, alike: float, unlike: float) -> Iterator[tuple[Ints, Ints]]:
    """(query, entry) of all pairs whose Jaro may be at least `alike`, or `unlike` if their first bytes differ.

    About a million at a time, at least once. No pair is missed, and none comes twice.
    """
    held, room = [_NOTHING], _HELD
    for found in _blocks(queries, vocabulary, alike, unlike):
        held.append(found)
        room -= len(found[0])
        if room <= 0:
            yield _together(queries, vocabulary, held)
            held, room = [_NOTHING], _HELD
    yield _together(queries, vocabulary, held)


def _together(queries: Sorted, vocabulary: Sorted, held: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """The parts in one, as numbers of the words before they were sorted."""
    q, v = zip(*held, strict=True)
    return queries.order[np.concatenate(q)], vocabulary.order[np.concatenate(v)]


def _blocks(queries: Sorted, vocabulary: Sorted, alike: float, unlike: float) -> Iterator[tuple[Ints, Ints]]:
    lacks = ~vocabulary.sets
    for length, q_run in queries.lengths.items():
        for other, v_run in vocabulary.lengths.items():
            missing = _may_miss(length, other, unlike)
            for q, v in _few_missing(queries.sets, lacks, q_run, v_run, missing):
                kept = queries.first[q] != vocabulary.first[v]
                yield q[kept], v[kept]
    for key, q_run in queries.lengths_and_firsts.items():
        length, first = divmod(key, 256)
        for other in vocabulary.lengths:
            missing = _may_miss(length, other, alike)
            v_run = vocabulary.lengths_and_firsts.get(other * 256 + first, (0, 0))
            yield from _few_missing(queries.sets, lacks, q_run, v_run, missing)


def _may_miss(length: int, other: int, jaro: float) -> int:
    """How many bytes of a word of `length` may be without a match in one of `other`; negative: no pair reaches it."""
    least = (3 * jaro - 1) * length * other / max(length + other, 1)
    matches = math.ceil(least - _ROUNDING)
    return -1 if matches > min(length, other) else length - max(matches, 0)


def _few_missing(
    of_queries: Sets, of_vocabulary: Sets, q_run: tuple[int, int], v_run: tuple[int, int], missing: int
) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of two runs where at most so many bytes of the query are missing from the entry (its set inverted)."""
    if missing < 0:
        return
    for v in range(*v_run, _BLOCK):
        entries = of_vocabulary[v : min(v + _BLOCK, v_run[1])]
        rows = _BLOCK // len(entries)
        for q in range(*q_run, rows):
            lacking = np.bitwise_count(of_queries[q : min(q + rows, q_run[1]), None] & entries)
            passed = (lacking <= missing).ravel().nonzero()[0]
            if len(passed):
                query, entry = np.divmod(passed, len(entries))
                yield query + q, entry + v

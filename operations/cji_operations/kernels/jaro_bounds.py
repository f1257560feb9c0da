"""Pairs of words that may reach a Jaro similarity, found by what of the one is missing from the other.

Words are sorted by length. Between words of two lengths, a similarity needs a least number of matches, so only so many
bytes of the one may be missing from the other. At least how many are missing shows in one word of bits of each
(`_sets`): an AND and a population count. What passes is looked at once more: the other way round, and by how many bytes
the two begin with in common, since Winkler's boost asks less of words with a longer common prefix.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_operations.kernels.ranges import refilled
from cji_operations.kernels.strings import Words

Sets = npt.NDArray[np.uint64]

_ROUNDING: Final = 1e-9  # matches; a bound must not fail by what floats round
_ENTRIES: Final = 1 << 13  # whose bits are compared at once with those of some queries,
_BLOCK: Final = 1 << 16  # so many pairs in all
_AT_ONCE: Final = 1 << 16  # pairs that are looked at once more
_HEAD: Final = 4  # bytes of a common prefix that count
_LENGTHS: Final = np.arange(256)
_ALL: Final = 65  # more than bits of a set


class Sorted:
    """Words by length, for `above`; a vocabulary that is used often is sorted once.

    Of the sorted words: order int64[k], which they are; lengths uint8[k]; first uint8[k], the first byte; head
    uint32[k], the first four; sets. by_first int64[k]: their positions by first byte, then length. Words of length i
    lie from of_length[i] to of_length[i + 1], and from of_first[i] to of_first[i + 1] in `by_first` those that begin
    with byte i.
    """

    def __init__(self, words: Words) -> None:
        self.words = words
        self.order: Ints = np.argsort(words.lengths.astype(np.uint8), kind="stable")
        self.lengths = words.lengths[self.order].astype(np.uint8)
        head = np.zeros(len(words), np.uint32)
        for position, column in enumerate(words.data.T[:_HEAD]):
            head |= column.astype(np.uint32) << np.uint32(8 * position)
        self.head = head[self.order]
        self.first = self.head.astype(np.uint8)
        self.sets = _sets(words)[self.order]
        self.by_first: Ints = np.argsort(self.first, kind="stable")
        self.of_length = _starts(self.lengths)
        self.of_first = _starts(self.first)

    def __len__(self) -> int:
        return len(self.order)


def _starts(byte: Bytes) -> Ints:
    """int64[257]: how many bytes are below 0, 1, ..., 256."""
    return np.append(0, np.cumsum(np.bincount(byte, minlength=256)))


def _sets(words: Words) -> Sets:
    """uint64[k]: bit c where a byte of class c (its low 5 bits) is in the word, bit 32 + c where there are two.

    Each bit of one word that is not set in another stands for a byte of the one without a match in the other.
    """
    sets = np.zeros(len(words), np.uint64)
    for first in range(0, len(words), _ENTRIES):
        found = sets[first : first + _ENTRIES]
        for column in words.data[first : first + _ENTRIES].T:
            bit = _BIT[column]
            found |= bit | (found & bit) << np.uint64(32)
    return sets


_BIT: Final = np.left_shift(np.uint64(1), np.arange(256, dtype=np.uint64) & np.uint64(31))
_BIT[0] = 0


def candidates(queries: Sorted, vocabulary: Sorted, least: Sequence[float]) -> Iterator[tuple[Ints, Ints]]:
    """(query, entry) of all pairs whose Jaro may be at least `least[p]`, where p is the length of their common prefix.

    least: five numbers, none above the one before. No pair is missed, and none comes twice.
    """
    for q, v in refilled(_blocks(queries, vocabulary, least), _AT_ONCE):
        kept = _may_match(queries, vocabulary, q, v, least)
        yield queries.order[q[kept]], vocabulary.order[v[kept]]


def _blocks(queries: Sorted, vocabulary: Sorted, least: Sequence[float]) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of sorted words of which not too many bytes of the query are missing from the entry."""
    lacks = ~vocabulary.sets
    for length, run in _runs(queries.of_length):
        allowed = _allowed(length, least[0])
        (fitting,) = allowed.nonzero()
        if len(fitting):
            low, high = vocabulary.of_length[fitting[0]], vocabulary.of_length[fitting[-1] + 1]
            limit = allowed[vocabulary.lengths[low:high]]
            for q, v in _few_missing(queries.sets[run], lacks[low:high], limit):
                query, entry = q + run.start, v + low
                other = np.flatnonzero(queries.first[query] != vocabulary.first[entry])
                yield query[other], entry[other]
    allowed_alike = {length: _allowed(length, least[-1]) for length, _ in _runs(queries.of_length)}
    for first, run in _runs(queries.of_first):
        entries = vocabulary.by_first[vocabulary.of_first[first] : vocabulary.of_first[first + 1]]
        theirs, lengths = lacks[entries], vocabulary.lengths[entries]
        ours = queries.by_first[run]
        for length, part in _runs(_starts(queries.lengths[ours])):
            asked = ours[part]
            for q, v in _few_missing(queries.sets[asked], theirs, allowed_alike[length][lengths]):
                yield asked[q], entries[v]


def _runs(starts: Ints) -> Iterator[tuple[int, slice]]:
    """Each byte that there is, and the run of it."""
    for byte in np.flatnonzero(np.diff(starts)).tolist():
        yield byte, slice(int(starts[byte]), int(starts[byte + 1]))


def _allowed(length: int, jaro: float) -> Bytes:
    """uint8[256]: by the other word's length, how many bytes must not be missing; 0 where no pair reaches `jaro`."""
    matches = np.maximum(np.ceil(_least_matches(length, _LENGTHS, jaro)), 0)
    found = np.where(matches > np.minimum(length, _LENGTHS), 0, length - matches + 1)
    return np.minimum(found, _ALL).astype(np.uint8)


def _least_matches(length: Ints | int, other: Ints, jaro: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    """The matches that words of these lengths need, less what floats round; their order is not looked at."""
    found: npt.NDArray[np.float64] = (3 * jaro - 1) * length * other / np.maximum(length + other, 1) - _ROUNDING
    return found


def _few_missing(ours: Sets, lacks: Sets, limit: Bytes) -> Iterator[tuple[Ints, Ints]]:
    """Pairs where fewer than limit[e] bytes of the query are missing from entry e, whose set is inverted."""
    room = np.empty(_BLOCK, np.uint64)
    for e in range(0, len(lacks), _ENTRIES):
        entries, most = lacks[e : e + _ENTRIES], limit[e : e + _ENTRIES]
        rows = _BLOCK // len(entries)
        for q in range(0, len(ours), rows):
            asked = ours[q : q + rows, None]
            bits = np.bitwise_and(asked, entries, out=room[: asked.size * len(entries)].reshape(len(asked), -1))
            lacking = np.bitwise_count(bits)
            passed = (lacking < most).ravel().nonzero()[0]
            if len(passed):
                query, entry = np.divmod(passed, len(entries))
                yield query + q, entry + e


def _may_match(queries: Sorted, vocabulary: Sorted, q: Ints, v: Ints, least: Sequence[float]) -> Ints:
    """Which of these pairs may have the matches that their lengths and their common prefix ask for."""
    length, other = queries.lengths[q].astype(np.int64), vocabulary.lengths[v].astype(np.int64)
    differ = queries.head[q] ^ vocabulary.head[v]
    prefix = np.zeros(len(q), np.int64)
    for shift in range(24, -1, -8):
        prefix += differ << np.uint32(shift) == 0
    matches = _least_matches(length, other, np.array(least)[prefix])
    ours, theirs = queries.sets[q], vocabulary.sets[v]
    enough: Bools = length - np.bitwise_count(ours & ~theirs) >= matches
    enough &= other - np.bitwise_count(theirs & ~ours) >= matches
    return np.flatnonzero(enough)

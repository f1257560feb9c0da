"""Texts as words: runs of letters, with what lies between them and what each word is by itself."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints
from cji_operations.kernels.strings import fold
from cji_operations.redact.plain import LETTERS, LINE_FEED, UPPER, Plain
from cji_operations.redact.vocabulary import Features, Vocabulary

BLANK: Final = 1
COMMA: Final = 2
PERIOD: Final = 4
HYPHEN: Final = 8
APOSTROPHE: Final = 16
QUOTE: Final = 32
OTHER: Final = 64
BREAK: Final = 128
"""The end of a text, or an empty line."""

_CASELESS_SHARE: Final = 0.85
_LINE_LETTERS: Final = 12  # of a line that shows by itself whether it has case


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Tokens:
    """`t` words in the order of the texts.

    first, end int64[t] in the plain data; row int64[t]; word int64[t]: equal words (whatever their case) are equal;
    features uint16[t]; gap uint8[t + 1]: what lies before each word, and width int64[t + 1] its bytes; capital: the
    first letter is one; upper: all letters of a word of two or more are; voiced: it has a vowel; caseless: all words
    around it are in capitals, or none is.
    """

    first: Ints
    end: Ints
    row: Ints
    word: Ints
    features: Features
    gap: npt.NDArray[np.uint8]
    width: Ints
    capital: Bools
    upper: Bools
    voiced: Bools
    caseless: Bools

    def has(self, features: int) -> Bools:
        """bool[t]: the word has one of these features."""
        return (self.features & features) > 0


def words_of(plain: Plain) -> tuple[Ints, Ints, pa.Array]:
    """(int64[t], int64[t], binary[t]): where each run of letters begins and ends, and its letters as capitals."""
    letter = LETTERS[plain.data]
    edges = np.flatnonzero(np.diff(letter.view(np.int8), prepend=np.int8(0), append=np.int8(0)))
    first, end = edges[::2], edges[1::2]
    return first, end, arrow.from_bytes(fold(plain.data[letter]), end - first, pa.binary())


def tokens(plain: Plain, vocabulary: Vocabulary) -> Tokens:
    """The words of all texts."""
    first, end, words = words_of(plain)
    encoded = pc.dictionary_encode(words)
    word = arrow.numbers(encoded.indices).astype(np.int64)
    row = plain.rows(first)
    upper_before = np.zeros(len(plain.data) + 1, np.int64)
    np.cumsum(UPPER[plain.data], out=upper_before[1:])
    capitals, length = upper_before[end] - upper_before[first], end - first
    vowels_before = np.zeros(len(plain.data) + 1, np.int64)
    np.cumsum(_VOWELS[plain.data], out=vowels_before[1:])
    gap, width = _gaps(plain, first, end, row)
    return Tokens(
        first=first,
        end=end,
        row=row,
        word=word,
        features=vocabulary.of(encoded.dictionary)[word] if len(first) else np.empty(0, np.uint16),
        gap=gap,
        width=width,
        capital=UPPER[plain.data[first]],
        upper=(capitals == length) & (length > 1),
        voiced=vowels_before[end] > vowels_before[first],
        caseless=_caseless(plain, first, row, capitals, length),
    )


def _gaps(plain: Plain, first: Ints, end: Ints, row: Ints) -> tuple[npt.NDArray[np.uint8], Ints]:
    if not len(first):
        return np.full(1, BREAK, np.uint8), np.zeros(1, np.int64)
    gap, width = np.full(len(first) + 1, BREAK, np.uint8), np.zeros(len(first) + 1, np.int64)
    between = np.stack((end[:-1], first[1:]), axis=1).ravel()
    if len(between):
        gap[1:-1] = np.bitwise_or.reduceat(_KINDS[plain.data], between)[::2]
        width[1:-1] = first[1:] - end[:-1]
    feeds = np.zeros(len(plain.data) + 1, np.int64)
    np.cumsum(plain.data == LINE_FEED, out=feeds[1:])
    empty_line = feeds[first[1:]] - feeds[end[:-1]] > 1
    gap[1:-1][(row[1:] != row[:-1]) | empty_line] = BREAK
    return gap, width


def _caseless(plain: Plain, first: Ints, row: Ints, capitals: Ints, length: Ints) -> Bools:
    """Whether a word's line (where it is short, its text) is in capitals, or no word of its text begins with one."""
    line = np.zeros(len(plain.data) + 1, np.int64)
    np.cumsum(plain.data == LINE_FEED, out=line[1:])
    lines, texts = line[first], row
    letters = np.bincount(lines, length)[lines]
    by_line, by_text = (np.bincount(each, capitals)[each] / np.bincount(each, length)[each] for each in (lines, texts))
    begins = UPPER[plain.data[first]] & ((capitals < length) | (length == 1))  # as This one
    titled = np.bincount(texts, begins)[texts]
    ratio = np.where(letters >= _LINE_LETTERS, by_line, by_text)
    found: Bools = (ratio > _CASELESS_SHARE) | (titled == 0)
    return found


_VOWELS: Final = np.zeros(256, np.bool_)
_VOWELS[np.frombuffer(b"AEIOUYaeiouy", np.uint8)] = True
_KINDS: Final = np.full(256, OTHER, np.uint8)
for _characters, _kind in (
    (b" \n", BLANK),
    (b",", COMMA),
    (b".", PERIOD),
    (b"-", HYPHEN),
    (b"'`", APOSTROPHE),
    (b'"', QUOTE),
):
    _KINDS[np.frombuffer(_characters, np.uint8)] = _kind

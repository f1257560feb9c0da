"""Values that the job itself brings: numbers and dates of its persons, and the phrases of an agency, found in texts.

Case and separators do not matter: 123-45-6789 is found as 123 45 6789 too. A phrase is a hash of its letters and
digits; two phrases with one hash only make a text lose more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records.column import Bytes, Ints, read
from cji_core.operations.redact import TextClass
from cji_operations.kernels.hashing import Hashes
from cji_operations.kernels.strings import fold
from cji_operations.redact.plain import ALNUM, Plain

_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)  # odd, so it has an inverse modulo 2**64
_INVERSE: Final = np.uint64(pow(int(_FACTOR), -1, 2**64))
_MAX_ATOMS: Final = 8
_MAX_GAP: Final = 3
_LEAST_BYTES: Final = 4

NUMBERS: Final = ("SOC", "OLN", "FBI", "SID", "MNU", "record_id")
_BIRTH: Final = "DOB"
_DATE_FORMS: Final = tuple(
    (columns, zero)
    for year in ((0, 1, 2, 3), (2, 3))
    for columns, zero in (
        ((*year, 4, 5, 6, 7), ()),
        ((4, 5, 6, 7, *year), ()),
        ((5, 6, 7, *year), (4,)),
        ((4, 5, 7, *year), (6,)),
        ((5, 7, *year), (4, 6)),
        ((6, 7, 4, 5, *year), ()),
    )
)
"""Digits of YYYYMMDD in another order, and those that must be 0 because they are left out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Phrases:
    """Sorted hashes of phrases of one class, found by one rule."""

    text_class: TextClass
    rule: str
    hashes: Hashes


def _powers(n: int, factor: np.uint64) -> Hashes:
    found = np.full(n, factor, np.uint64)
    if n:
        found[0] = 1
    return np.multiply.accumulate(found)


def hashes_of(values: pa.Array) -> Hashes:
    """uint64[k], sorted: the hashes of distinct values' letters and digits; of short values none."""
    text = read(pc.unique(values.view(pa.binary()).drop_null()))
    keep, row = ALNUM[text.data], np.repeat(np.arange(len(text.lengths)), text.lengths)
    position = np.arange(int(text.lengths.sum())) + np.repeat(
        text.starts - np.append(0, np.cumsum(text.lengths))[:-1], text.lengths
    )
    kept = keep[position] if len(position) else np.empty(0, np.bool_)
    data, row = fold(text.data[position][kept]), row[kept]
    length = np.bincount(row, minlength=len(text.lengths))
    at = np.arange(len(row)) - (np.cumsum(length) - length)[row]
    terms = data.astype(np.uint64) * _powers(int(length.max(initial=0)), _FACTOR)[at]
    found = np.zeros(len(length), np.uint64)
    np.add.at(found, row, terms)
    return np.unique(found[length >= _LEAST_BYTES])


def of_persons(persons: Sequence[pa.RecordBatch]) -> Iterator[Phrases]:
    """Numbers and dates of birth of a table of person/1."""
    for name in NUMBERS:
        values = [batch.column(name).cast(pa.binary()) for batch in persons if name in batch.schema.names]
        if values:
            yield Phrases(text_class="number", rule="person", hashes=hashes_of(pa.concat_arrays(values)))
    births = [batch.column(_BIRTH).cast(pa.binary()) for batch in persons if _BIRTH in batch.schema.names]
    if births:
        yield Phrases(text_class="date", rule="person", hashes=_births(pa.concat_arrays(births)))


def _births(values: pa.Array) -> Hashes:
    """uint64[k], sorted: the hashes of every way in which digits of a whole date are written."""
    digits = pc.replace_substring_regex(pc.unique(values.drop_null()), "[-/. ]", "")
    digits = digits.filter(pc.match_substring_regex(digits, "^[0-9]{8}$"))
    text = read(digits)
    matrix = text.data[text.starts[:, None] + np.arange(8)] if len(digits) else np.empty((0, 8), np.uint8)
    found = [np.empty(0, np.uint64)]
    for columns, zeros in _DATE_FORMS:
        rows = matrix[(matrix[:, list(zeros)] == ord("0")).all(axis=1)][:, list(columns)]
        found.append((rows.astype(np.uint64) * _powers(len(columns), _FACTOR)).sum(axis=1, dtype=np.uint64))
    return np.unique(np.concatenate(found))


def find(plain: Plain, phrases: Sequence[Phrases]) -> Iterator[tuple[Phrases, Ints, Ints]]:
    """For each of the phrases what is found: where it begins and ends in the plain data."""
    phrases = [each for each in phrases if len(each.hashes)]
    if not phrases or not len(plain.data):
        return
    kept = ALNUM[plain.data]
    edges = np.flatnonzero(np.diff(kept.view(np.int8), prepend=np.int8(0), append=np.int8(0)))
    first, end = edges[::2], edges[1::2]
    row = plain.rows(first)
    sums, before = _sums(fold(plain.data[kept])), np.append(0, np.cumsum(kept))
    inverse = _powers(len(sums), _INVERSE)
    joined = np.append((row[1:] == row[:-1]) & (first[1:] - end[:-1] <= _MAX_GAP), np.False_)
    starts = np.arange(len(first))
    for atoms in range(_MAX_ATOMS):
        if atoms:
            starts = starts[joined[np.minimum(starts + atoms - 1, len(joined) - 1)]]
        if not len(starts):
            return
        low, high = before[first[starts]], before[end[starts + atoms]]
        window = (sums[high] - sums[low]) * inverse[low]
        for each in phrases:
            at = np.minimum(np.searchsorted(each.hashes, window), len(each.hashes) - 1)
            hit = starts[each.hashes[at] == window]
            if len(hit):
                yield each, first[hit], end[hit + atoms]


def _sums(data: Bytes) -> Hashes:
    """uint64[m + 1]: sums of the terms of all bytes before each."""
    found = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(data.astype(np.uint64) * _powers(len(data), _FACTOR), out=found[1:])
    return found

"""How two numbers or two dates differ, when they differ as slips of the hand do.

An unknown digit is X and agrees with every digit. `unknown` counts the positions where either side has one: agreement
on fewer known digits is weaker evidence, and the caller decides how much weaker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes

_X: Final = np.uint8(ord("X"))
_YEAR, _MONTH, _DAY = slice(0, 4), slice(4, 6), slice(6, 8)
_CHUNK: Final = 16_384  # pairs


class Edit(IntEnum):
    """The edit that turns one value into the other; of several, the first in this order."""

    SAME = 0
    MONTH_DAY = 1  # month and day in each other's place
    DAY = 2  # one day more or less, in the same month
    MONTH = 3  # one month more or less, in the same year
    YEAR = 4
    TEN_YEARS = 5
    SUBSTITUTION = 6  # of one digit
    TRANSPOSITION = 7  # of two neighbouring digits
    OTHER = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Edits:
    """Of `n` pairs: kind uint8[n] (Edit), unknown uint8[n] (positions with an unknown digit on either side)."""

    kind: Bytes
    unknown: Bytes


def one_edit(a: Bytes, b: Bytes) -> Edits:
    """Compare numbers of one width digit by digit: SAME, SUBSTITUTION, TRANSPOSITION or OTHER.

    a, b: uint8[n, w], ASCII, capital X for an unknown digit. The digits of a transposition are all known.
    """
    return _by_chunks(_one_edit, a, b)


def dates(a: Bytes, b: Bytes) -> Edits:
    """Compare dates: uint8[n, 8] YYYYMMDD, capital X for an unknown digit, as `dates.parse` gives those that fit.

    The part that steps by one, or years by ten, is known on both sides. What else there is may have unknown digits.
    """
    return _by_chunks(_dates, a, b)


def _by_chunks(compare: Callable[[Bytes, Bytes], Edits], a: Bytes, b: Bytes) -> Edits:
    found = Edits(kind=np.empty(len(a), np.uint8), unknown=np.empty(len(a), np.uint8))
    for first in range(0, len(a), _CHUNK):
        rows = slice(first, first + _CHUNK)
        part = compare(np.ascontiguousarray(a[rows].T), np.ascontiguousarray(b[rows].T))
        found.kind[rows] = part.kind
        found.unknown[rows] = part.unknown
    return found


def _one_edit(a: Bytes, b: Bytes) -> Edits:
    """Of numbers that stand in columns, uint8[w, n]."""
    known, agree = _agree(a, b)
    wrong = ~agree
    crossed = wrong[1:] & wrong[:-1] & (a[1:] == b[:-1]) & (a[:-1] == b[1:])
    count = _count(wrong)
    kind = np.full(a.shape[1], Edit.OTHER, np.uint8)
    kind[(count == 2) & crossed.any(axis=0)] = Edit.TRANSPOSITION
    kind[count == 1] = Edit.SUBSTITUTION
    kind[count == 0] = Edit.SAME
    return Edits(kind=kind, unknown=_count(~known))


def _dates(a: Bytes, b: Bytes) -> Edits:
    edits = _one_edit(a, b)
    _, agree = _agree(a, b)
    year, month, day = (agree[part].all(axis=0) for part in (_YEAR, _MONTH, _DAY))
    _, swapped = _agree(a[4:], np.concatenate((b[_DAY], b[_MONTH])))
    years = _apart(a[_YEAR], b[_YEAR])
    slips = (
        (Edit.TEN_YEARS, month & day & (years == 10)),
        (Edit.YEAR, month & day & (years == 1)),
        (Edit.MONTH, year & day & (_apart(a[_MONTH], b[_MONTH]) == 1)),
        (Edit.DAY, year & month & (_apart(a[_DAY], b[_DAY]) == 1)),
        (Edit.MONTH_DAY, year & swapped.all(axis=0)),
        (Edit.SAME, edits.kind == Edit.SAME),
    )
    for kind, fits in slips:  # the first of Edit comes last
        edits.kind[fits] = kind
    return edits


def _agree(a: Bytes, b: Bytes) -> tuple[Bools, Bools]:
    """(known on both sides, equal or not known on both sides), for each position."""
    known = (a != _X) & (b != _X)
    return known, (a == b) | ~known


def _count(positions: Bools) -> Bytes:
    """uint8[n]: how many of bool[w, n] are set in each column."""
    count = np.zeros(positions.shape[1], np.uint8)
    for position in positions:
        count += position
    return count


def _apart(a: Bytes, b: Bytes) -> npt.NDArray[np.int32]:
    """int32[n]: by how much two numbers uint8[w, n] differ, 0 where a digit is unknown."""
    difference = np.zeros(a.shape[1], np.int32)
    for digit_a, digit_b in zip(a, b, strict=True):
        difference = difference * 10 + digit_a - digit_b.astype(np.int32)
    known: Bools = ((a != _X) & (b != _X)).all(axis=0)
    return np.abs(difference) * known

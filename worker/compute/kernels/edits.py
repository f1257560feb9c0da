"""How two numbers or two dates differ, when they differ as slips of the hand do.

An unknown digit is X and agrees with every digit. `unknown` counts the places where a digit is unknown on either side:
what agrees on fewer known digits is weaker evidence, and the caller says how much.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from worker.compute.kernels.column import Bools, Bytes

__all__ = ["Edit", "Edits", "dates", "one_edit"]

_X: Final = np.uint8(ord("X"))
_ZERO: Final = np.uint8(ord("0"))


class Edit(IntEnum):
    """What turns one value into the other; of several, the first in this order."""

    SAME = 0
    SUBSTITUTION = 1  # of one digit
    TRANSPOSITION = 2  # of two neighbouring digits
    MONTH_DAY = 3  # month and day in each other's place
    DAY = 4  # one day more or less, in the same month
    MONTH = 5  # one month more or less, in the same year
    YEAR = 6
    TEN_YEARS = 7
    OTHER = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Edits:
    """Of `n` pairs: kind uint8[n] (Edit), unknown uint8[n] (places with an unknown digit on either side)."""

    kind: Bytes
    unknown: Bytes


def one_edit(a: Bytes, b: Bytes) -> Edits:
    """Compare numbers of one width digit by digit: SAME, SUBSTITUTION, TRANSPOSITION or OTHER.

    a, b: uint8[n, w], ASCII, capital X for an unknown digit. A transposition has four known digits.
    """
    columns_a, columns_b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    known, agree = _agree(columns_a, columns_b)
    wrong = np.zeros(len(a), np.uint8)
    crossed = np.zeros(len(a), np.bool_)
    for place in range(len(agree)):
        wrong += ~agree[place]
        if place:
            both = ~agree[place] & ~agree[place - 1]
            crossed |= both & (columns_a[place] == columns_b[place - 1]) & (columns_a[place - 1] == columns_b[place])
    kind = np.full(len(a), Edit.OTHER, np.uint8)
    kind[(wrong == 2) & crossed] = Edit.TRANSPOSITION
    kind[wrong == 1] = Edit.SUBSTITUTION
    kind[wrong == 0] = Edit.SAME
    return Edits(kind=kind, unknown=_unknown(known))


def dates(a: Bytes, b: Bytes) -> Edits:
    """Compare dates, uint8[n, 8] as `dates.parse(...).digits` gives them.

    Not one_edit alone: MONTH_DAY, DAY, MONTH, YEAR and TEN_YEARS are told apart from a slip of one digit and come
    before it. A component that steps must be known on both sides; the others may have unknown digits.
    """
    edits = one_edit(a, b)
    columns_a, columns_b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    _, agree = _agree(columns_a, columns_b)
    year, month, day = agree[:4].all(axis=0), agree[4:6].all(axis=0), agree[6:].all(axis=0)
    _, crossed = _agree(columns_a[[4, 5, 6, 7]], columns_b[[6, 7, 4, 5]])
    kind = edits.kind
    differs = kind != Edit.SAME
    kind[differs & month & day & _apart(columns_a[:4], columns_b[:4], 10)] = Edit.TEN_YEARS
    kind[differs & month & day & _apart(columns_a[:4], columns_b[:4], 1)] = Edit.YEAR
    kind[differs & year & day & _apart(columns_a[4:6], columns_b[4:6], 1)] = Edit.MONTH
    kind[differs & year & month & _apart(columns_a[6:], columns_b[6:], 1)] = Edit.DAY
    kind[differs & year & crossed.all(axis=0)] = Edit.MONTH_DAY
    return edits


def _agree(a: Bytes, b: Bytes) -> tuple[Bools, Bools]:
    known = (a != _X) & (b != _X)
    return known, (a == b) | ~known


def _unknown(known: Bools) -> Bytes:
    unknown: Bytes = np.add.reduce(~known, axis=0, dtype=np.uint8)
    return unknown


def _apart(a: Bytes, b: Bytes, step: int) -> Bools:
    """bool[n]: numbers uint8[w, n] of known digits that differ by `step`."""
    number_a, number_b = np.zeros(a.shape[1], np.int16), np.zeros(a.shape[1], np.int16)
    for digit_a, digit_b in zip(a, b, strict=True):
        number_a = number_a * 10 + (digit_a - _ZERO)
        number_b = number_b * 10 + (digit_b - _ZERO)
    known = ((a != _X) & (b != _X)).all(axis=0)
    found: Bools = known & (np.abs(number_a - number_b) == step)
    return found

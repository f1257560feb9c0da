"""Incident numbers, arrest transaction numbers and ORIs: the flaws in how they are written.

NIBRS Technical Specification 3.1, data elements 1, 2 and 41: A-Z, 0-9 and (in numbers) hyphens, left-justified, no
blank between the first and the last character. An ORI has nine characters.
"""

import enum
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bytes, Ints
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.code_tables import BAD_VALUE, BLANK_VALUE


class Flaw(enum.IntFlag):
    """A flaw in a number; flaws can be combined."""

    INDENTED = 1
    GAPPED = 2
    UNCLEAN = 4
    NOT_ZEROS = 8


def _allowed(characters: str) -> npt.NDArray[np.bool_]:
    allowed = np.zeros(256, np.bool_)
    allowed[np.frombuffer(characters.encode(), np.uint8)] = True
    return allowed


_ALPHANUMERIC: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_IN_NAME: Final = _allowed(_ALPHANUMERIC)
_IN_NUMBER: Final = _allowed(_ALPHANUMERIC + "- ")


def identifiers(values: Bytes) -> Ints:
    """int64[n]: the flaws of each number, or BLANK_VALUE."""
    columns = np.ascontiguousarray(values.T)  # along a long axis numpy is ten times as fast
    blank = columns == BLANK
    begun, gap, gapped = ~blank[0], np.zeros_like(blank[0]), np.zeros_like(blank[0])
    for column in blank[1:]:
        gapped |= gap & ~column
        gap |= begun & column
        begun |= ~column
    flaws = np.zeros(len(values), np.int64)
    for has, flaw in (
        (blank[0], Flaw.INDENTED),
        (gapped, Flaw.GAPPED),
        (~_IN_NUMBER[columns].all(axis=0), Flaw.UNCLEAN),
        ((columns != ord("0")).any(axis=0), Flaw.NOT_ZEROS),
    ):
        flaws |= has * np.int64(flaw)
    flaws[~begun] = BLANK_VALUE
    return flaws


def names(values: Bytes) -> Ints:
    """int64[n]: 0 for A-Z and 0-9 only, BLANK_VALUE, or BAD_VALUE."""
    columns = np.ascontiguousarray(values.T)
    changed = np.ones(len(values), np.bool_)  # neighbours most often have the same
    changed[1:] = False
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    runs = np.flatnonzero(changed)
    columns = columns[:, runs]
    found = np.where(_IN_NAME[columns].all(axis=0), 0, BAD_VALUE)
    found[(columns == BLANK).all(axis=0)] = BLANK_VALUE
    return np.repeat(found, np.diff(runs, append=len(values)))

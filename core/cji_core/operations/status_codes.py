"""The codes that `row_status/1` carries: their base, and those that several operations share.

A code is stable once released. The codes of one operation are in its folder and share their first digit; the registry
lists all of them.
"""

import enum
from typing import Self


class RowCode(enum.IntEnum):
    """Base of the codes of an operation; each has a number that is stable once released, and its `meaning` in words."""

    meaning: str

    def __new__(cls, number: int, meaning: str = "") -> Self:
        """A member."""
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code


class ValueCode(RowCode):
    """Faults of a value, whichever operation reads it."""

    NOT_A_DATE = 101, "The value is not a date: YYYYMMDD or YYYY-MM-DD, X for an unknown digit."
    WRONG_LENGTH = 302, "The value is too short or too long."
    WRONG_CHARACTER = 303, "The value has a character that its column may not have."
    NOT_IN_TABLE = 304, "The value is not a code of its table."
    NEVER_ISSUED = 308, "No such number was ever issued."
    WRONG_FORM = 310, "The value does not have the form of its column."
    PLACEHOLDER = 312, "The value is a placeholder, such as UNKNOWN or 999999999, or used as one: it is not used."


class CellCode(RowCode):
    """Faults of a cell of a sealed column, found when the cell is opened; one for each cell, the first that it has."""

    CELL_LENGTH = 951, "No cell has this length: the cell is cut off, or the value was never sealed."
    CELL_VERSION = 952, "The cell's version is not 1."
    CELL_MAC = 953, "The cell does not verify: it was changed, or sealed under another key."
    CELL_PADDING = 954, "The cell verifies, and its padding is wrong."
    CELL_FORM = 955, "The cell holds a value of another type than the column's: it has another length."
    CELL_RANGE = 956, "The cell holds a number or moment that its type does not have."
    CELL_TEXT = 957, "The cell holds bytes that are not text in the column's encoding."
    CELL_TOO_LONG = 958, "The cell holds a value that is longer than the column's type."
    CELL_IV_RANDOM = 959, "The column is deterministic, and the cell was sealed in another way."
    CELL_IV_DERIVED = 960, "The column is randomized, and the cell was sealed deterministically."
    CELL_REPEATED = 961, "The column is randomized, and the same cell was in an earlier row: one is a copy."
    CELL_MARKER = 962, "The cell is marked with another type than the column's."

    @property
    def warning(self) -> bool:
        """Whether the row is used nevertheless."""
        return self is CellCode.CELL_REPEATED

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

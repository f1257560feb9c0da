"""The codes that `row_status/1` carries, one table for all operations: what was found, in words.

A code is stable once released. 1xx belong to `deidentify`.
"""

import enum
from types import MappingProxyType
from typing import Final

__all__ = ["MEANING", "Code"]


class Code(enum.IntEnum):
    """Why a value was not used as the operation's parameters ask; the value is null in the output."""

    NOT_A_DATE = 101
    PARTIAL_DATE = 102
    DATE_OUT_OF_RANGE = 103
    BORN_AFTER_AS_OF = 104
    NOT_A_ZIP = 105
    TOO_SHORT_TO_MASK = 106
    KEPT_BYTES_NOT_ASCII = 107
    NO_SUBJECT = 108


MEANING: Final = MappingProxyType(
    {
        Code.NOT_A_DATE: "The value is not a date: YYYYMMDD or YYYY-MM-DD, X for an unknown digit.",
        Code.PARTIAL_DATE: "The date has unknown digits, and the transform needs those digits.",
        Code.DATE_OUT_OF_RANGE: "The shifted date is outside of the years 0001 to 9999.",
        Code.BORN_AFTER_AS_OF: "The date lies after the day on which ages are counted.",
        Code.NOT_A_ZIP: "The value is not a ZIP code: 12345, 123456789 or 12345-6789.",
        Code.TOO_SHORT_TO_MASK: "The value is not longer than the part that the mask keeps.",
        Code.KEPT_BYTES_NOT_ASCII: "The part that the mask keeps has bytes that are not ASCII.",
        Code.NO_SUBJECT: "The row has no subject, so its dates cannot be shifted.",
    }
)

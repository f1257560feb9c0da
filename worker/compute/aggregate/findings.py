"""What `aggregate` says of rows in `row_status/1`."""

import enum
from types import MappingProxyType
from typing import Final

__all__ = ["MEANING", "Finding"]


class Finding(enum.IntEnum):
    """60x: of rows of a table. 61x: of segments of a NIBRS submission."""

    UNCLASSIFIABLE = 601
    NO_PERSON = 602
    NOT_A_NUMBER = 603
    NOT_COUNTED = 611
    FITS_NO_LINE = 612
    UNREADABLE_SEGMENT = 613


MEANING: Final = MappingProxyType(
    {
        Finding.UNCLASSIFIABLE: "The value is missing or is no category; the row is counted as unclassifiable.",
        Finding.NO_PERSON: "The row names no person; it is counted as a row only.",
        Finding.NOT_A_NUMBER: "The value is not a whole number of one to fifteen digits; it is in no sum.",
        Finding.NOT_COUNTED: "The report is deleted later, is there already, or changes one that is not here.",
        Finding.FITS_NO_LINE: "Something in the incident fits no line of its form, or its month is not known.",
        Finding.UNREADABLE_SEGMENT: "The level of the segment cannot be read; nothing in it is counted.",
    }
)

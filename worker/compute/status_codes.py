"""The codes that `row_status/1` carries, one table for all operations: what was found, in words.

A code is stable once released. 1xx belong to `deidentify`, 2xx to `disseminate`, 3xx to `validate`, 4xx to `link`,
5xx to `screen`, 6xx to `aggregate`.
"""

import enum
from typing import Self

__all__ = ["Code", "RowCode"]


class RowCode(enum.IntEnum):
    """Base of the codes of an operation; each has a number that is stable once released, and its `meaning` in words."""

    meaning: str

    def __new__(cls, number: int, meaning: str = "") -> Self:
        """A member."""
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        return code


class Code(RowCode):
    """1xx: why a value was not used as the parameters ask; it is null in the output. 2xx: why a row is not in it.

    3xx: what `validate` finds in a column. 4xx: what `link` could not compare. 5xx: what `screen` could not search, or
    not find. 6xx: what `aggregate` could not place.
    """

    NOT_A_DATE = 101, "The value is not a date: YYYYMMDD or YYYY-MM-DD, X for an unknown digit."
    PARTIAL_DATE = 102, "The date has unknown digits, and the transform needs those digits."
    DATE_OUT_OF_RANGE = 103, "The shifted date is outside of the years 0001 to 9999."
    BORN_AFTER_AS_OF = 104, "The date lies after the day on which ages are counted."
    NOT_A_ZIP = 105, "The value is not a ZIP code: 12345, 123456789 or 12345-6789."
    TOO_SHORT_TO_MASK = 106, "The value is not longer than the part that the mask keeps."
    KEPT_BYTES_NOT_ASCII = 107, "The part that the mask keeps has bytes that are not ASCII."
    NO_SUBJECT = 108, "The row has no subject, so its dates cannot be shifted."
    TOO_LONG_FOR_A_BLOCK = 109, "The value has more than 15 bytes."
    NOT_OF_THE_ALPHABET = 110, "The value has characters that are not of the radix: 0-9, or 0-9 and A-Z."
    NO_LENGTH_FOR_FF1 = 111, "The value is too short for a domain of a million, or too long."
    SMALL_CLASS = 112, "The row shares its quasi-identifiers with too few others; they are null."

    WITHHELD_PURPOSE = 201, "Nothing is granted to this recipient class for this purpose."
    WITHHELD_NO_SUBJECT = 202, "The row names no subject, so its release could not be logged."
    WITHHELD_EXPUNGED = 203, "The record is expunged, or does not say that it is not."
    WITHHELD_SEALED = 204, "The record is sealed, or does not say that it is not."
    WITHHELD_JUVENILE = 205, "The record is a juvenile's, or does not say that it is not."
    WITHHELD_NON_CONVICTION = 206, "There is no conviction, or no disposition of an event that is too old."
    WITHHELD_UNKNOWN_FILE = 207, "The record is of a file that the table does not name."
    WITHHELD_RESTRICTED_FILE = 208, "The record is of a restricted file."

    VALUE_MISSING = 301, "There must be a value."
    WRONG_LENGTH = 302, "The value is too short or too long."
    WRONG_CHARACTER = 303, "The value has a character that its column may not have."
    NOT_IN_TABLE = 304, "The value is not a code of its table."
    NO_SUCH_DATE = 305, "The value is not a date, or has unknown digits where it may not."
    IN_THE_FUTURE = 306, "The date lies after the day of judgement."
    OUT_OF_RANGE = 307, "The number is outside of its range."
    NEVER_ISSUED = 308, "No such number was ever issued."
    WRONG_CHECK_DIGIT = 309, "The check digit does not fit."
    WRONG_FORM = 310, "The value does not have the form of its column."
    OUT_OF_ORDER = 311, "The date is earlier than another one that it cannot precede."

    NO_BLOCKING_KEY = 401, "The row has no value in the columns of any blocking rule; it was compared with none."

    NOT_SCREENABLE = 501, "There is nothing to search by: no identifier, and no surname with a date of birth."
    TOO_MANY_CANDIDATES = 502, "The inquiry is so broad that too many records would have to be compared with it."
    NOT_REACHABLE = 503, "No inquiry can find the record: no identifier, and no surname with a date of birth."
    UNKNOWN_FILE = 504, "The record is of a file that the table does not name, and counts as restricted."

    UNCLASSIFIABLE = 601, "The value is missing or is no category; the row is counted as unclassifiable."
    NO_PERSON = 602, "The row names no person; it is counted as a row only."
    NOT_A_NUMBER = 603, "The value is not a whole number of one to fifteen digits; it is in no sum."
    NOT_COUNTED = 611, "The report is deleted later, is there already, or changes one that is not here."
    FITS_NO_LINE = 612, "Something in the incident fits no line of its form, or its month is not known."
    UNREADABLE_SEGMENT = 613, "The level of the segment cannot be read; nothing in it is counted."

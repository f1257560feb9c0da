"""The codes that `row_status/1` carries, one table for all operations: what was found, in words.

A code is stable once released. 1xx belong to `deidentify`, 2xx to `disseminate`, 3xx to `validate`, 4xx to `link`,
5xx to `screen`, 6xx to `aggregate`.
"""

import enum
from types import MappingProxyType
from typing import Final

__all__ = ["MEANING", "Code"]


class Code(enum.IntEnum):
    """1xx: why a value was not used as the parameters ask; it is null in the output. 2xx: why a row is not in it.

    3xx: what `validate` finds in a column. 4xx: what `link` could not compare. 5xx: what `screen` could not search, or
    not find. 6xx: what `aggregate` could not place.
    """

    NOT_A_DATE = 101
    PARTIAL_DATE = 102
    DATE_OUT_OF_RANGE = 103
    BORN_AFTER_AS_OF = 104
    NOT_A_ZIP = 105
    TOO_SHORT_TO_MASK = 106
    KEPT_BYTES_NOT_ASCII = 107
    NO_SUBJECT = 108
    TOO_LONG_FOR_A_BLOCK = 109
    NOT_OF_THE_ALPHABET = 110
    NO_LENGTH_FOR_FF1 = 111
    SMALL_CLASS = 112

    WITHHELD_PURPOSE = 201
    WITHHELD_NO_SUBJECT = 202
    WITHHELD_EXPUNGED = 203
    WITHHELD_SEALED = 204
    WITHHELD_JUVENILE = 205
    WITHHELD_NON_CONVICTION = 206
    WITHHELD_UNKNOWN_FILE = 207
    WITHHELD_RESTRICTED_FILE = 208

    VALUE_MISSING = 301
    WRONG_LENGTH = 302
    WRONG_CHARACTER = 303
    NOT_IN_TABLE = 304
    NO_SUCH_DATE = 305
    IN_THE_FUTURE = 306
    OUT_OF_RANGE = 307
    NEVER_ISSUED = 308
    WRONG_CHECK_DIGIT = 309
    WRONG_FORM = 310
    OUT_OF_ORDER = 311

    NO_BLOCKING_KEY = 401

    NOT_SCREENABLE = 501
    TOO_MANY_CANDIDATES = 502
    NOT_REACHABLE = 503
    UNKNOWN_FILE = 504

    UNCLASSIFIABLE = 601
    NO_PERSON = 602
    NOT_A_NUMBER = 603
    NOT_COUNTED = 611
    FITS_NO_LINE = 612
    UNREADABLE_SEGMENT = 613


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
        Code.TOO_LONG_FOR_A_BLOCK: "The value has more than 15 bytes.",
        Code.NOT_OF_THE_ALPHABET: "The value has characters that are not of the radix: 0-9, or 0-9 and A-Z.",
        Code.NO_LENGTH_FOR_FF1: "The value is too short for a domain of a million, or too long.",
        Code.SMALL_CLASS: "The row shares its quasi-identifiers with too few others; they are null.",
        Code.WITHHELD_PURPOSE: "Nothing is granted to this recipient class for this purpose.",
        Code.WITHHELD_NO_SUBJECT: "The row names no subject, so its release could not be logged.",
        Code.WITHHELD_EXPUNGED: "The record is expunged, or does not say that it is not.",
        Code.WITHHELD_SEALED: "The record is sealed, or does not say that it is not.",
        Code.WITHHELD_JUVENILE: "The record is a juvenile's, or does not say that it is not.",
        Code.WITHHELD_NON_CONVICTION: "There is no conviction, or no disposition of an event that is too old.",
        Code.WITHHELD_UNKNOWN_FILE: "The record is of a file that the table does not name.",
        Code.WITHHELD_RESTRICTED_FILE: "The record is of a restricted file.",
        Code.VALUE_MISSING: "There must be a value.",
        Code.WRONG_LENGTH: "The value is too short or too long.",
        Code.WRONG_CHARACTER: "The value has a character that its column may not have.",
        Code.NOT_IN_TABLE: "The value is not a code of its table.",
        Code.NO_SUCH_DATE: "The value is not a date, or has unknown digits where it may not.",
        Code.IN_THE_FUTURE: "The date lies after the day of judgement.",
        Code.OUT_OF_RANGE: "The number is outside of its range.",
        Code.NEVER_ISSUED: "No such number was ever issued.",
        Code.WRONG_CHECK_DIGIT: "The check digit does not fit.",
        Code.WRONG_FORM: "The value does not have the form of its column.",
        Code.OUT_OF_ORDER: "The date is earlier than another one that it cannot precede.",
        Code.NO_BLOCKING_KEY: "The row has no value in the columns of any blocking rule; it was compared with none.",
        Code.NOT_SCREENABLE: "There is nothing to search by: no identifier, and no surname with a date of birth.",
        Code.TOO_MANY_CANDIDATES: "The inquiry is so broad that too many records would have to be compared with it.",
        Code.NOT_REACHABLE: "No inquiry can find the record: no identifier, and no surname with a date of birth.",
        Code.UNKNOWN_FILE: "The record is of a file that the table does not name, and counts as restricted.",
        Code.UNCLASSIFIABLE: "The value is missing or is no category; the row is counted as unclassifiable.",
        Code.NO_PERSON: "The row names no person; it is counted as a row only.",
        Code.NOT_A_NUMBER: "The value is not a whole number of one to fifteen digits; it is in no sum.",
        Code.NOT_COUNTED: "The report is deleted later, is there already, or changes one that is not here.",
        Code.FITS_NO_LINE: "Something in the incident fits no line of its form, or its month is not known.",
        Code.UNREADABLE_SEGMENT: "The level of the segment cannot be read; nothing in it is counted.",
    }
)

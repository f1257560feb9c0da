"""Row status codes of `deidentify`, 1xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Reasons for a null in the output."""

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
    IN_NO_GROUP = 113, "The value is in none of the groups."

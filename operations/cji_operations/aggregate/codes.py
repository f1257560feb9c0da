"""Row status codes of `aggregate`, 6xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Values without a place in a cell or on a line."""

    UNCLASSIFIABLE = 601, "The value is missing or not a category; the row is counted as unclassifiable."
    NO_PERSON = 602, "The row names no person; it is counted as a row only."
    NOT_A_NUMBER = 603, "The value is not a whole number of one to fifteen digits; it is in no sum."
    NOT_COUNTED = 611, "The report is deleted later, is there already, or changes one that is not here."
    FITS_NO_LINE = 612, "Something in the incident fits no line of its form, or its month is not known."
    UNREADABLE_SEGMENT = 613, "The level of the segment cannot be read; nothing in it is counted."
    REJECTED = 614, "The validation has rejected the report; it is not counted."

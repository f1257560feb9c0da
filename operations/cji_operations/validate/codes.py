"""Row status codes of `validate`, 3xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Findings on a column, besides those on the value alone."""

    VALUE_MISSING = 301, "There must be a value."
    NO_SUCH_DATE = 305, "The value is not a date, or has unknown digits where it may not."
    IN_THE_FUTURE = 306, "The date lies after the day of judgement."
    OUT_OF_RANGE = 307, "The number is outside of its range."
    WRONG_CHECK_DIGIT = 309, "The check digit does not fit."
    OUT_OF_ORDER = 311, "The date is earlier than another one that it cannot precede."

"""Row status codes of `screen`, 5xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Inquiries that are not searched, and records that are not found."""

    NOT_SCREENABLE = 501, "There is nothing to search by: no identifier, and no surname with a date of birth."
    TOO_MANY_CANDIDATES = 502, "The inquiry is so broad that too many records would have to be compared with it."
    NOT_REACHABLE = 503, "No inquiry can find the record: no identifier, and no surname with a date of birth."
    UNKNOWN_FILE = 504, "The record is of a file that the table does not name, and counts as restricted."

"""Row status codes of `disseminate`, 2xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Reasons for withholding a row."""

    WITHHELD_PURPOSE = 201, "Nothing is granted to this recipient class for this purpose."
    WITHHELD_NO_SUBJECT = 202, "The row names no subject, so its release could not be logged."
    WITHHELD_EXPUNGED = 203, "The record is expunged, or does not say that it is not."
    WITHHELD_SEALED = 204, "The record is sealed, or does not say that it is not."
    WITHHELD_JUVENILE = 205, "The record is a juvenile's, or does not say that it is not."
    WITHHELD_NON_CONVICTION = 206, "There is no conviction, or no disposition of an event that is too old."
    WITHHELD_UNKNOWN_FILE = 207, "The record is of a file that the table does not name."
    WITHHELD_RESTRICTED_FILE = 208, "The record is of a restricted file."

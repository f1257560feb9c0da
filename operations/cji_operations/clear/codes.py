"""Row status codes of `clear`, 7xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Facts that are missing, and convictions that were not decided for their want."""

    NO_SUBJECT = 701, "The row names no subject, so it is in nobody's history."
    NOT_DECIDED = 702, "The conviction is in the scope of the rules and was not decided; `not_decided` has the cause."
    IN_THE_FUTURE = 703, "The date is after the day of the decision and is taken as missing."
    NOT_A_LEVEL = 704, "The level is not F, M or I, and not felony, misdemeanor or infraction."
    NOT_A_LENGTH = 705, "The length of the sentence is not a number of days, months or years, such as 16M."
    BIRTH_DATES_DIFFER = 706, "The rows of the subject have different dates of birth, so none is used."

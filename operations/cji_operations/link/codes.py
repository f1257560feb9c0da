"""Row status codes of `link`, 4xx."""

from cji_operations.status_codes import RowCode


class Code(RowCode):
    """Rows that are not compared."""

    NO_BLOCKING_KEY = 401, "The row has no value in the columns of any blocking rule; it was compared with none."

"""Times that others write for us: one reader of RFC 3339, for evidence.json and for options of commands."""

import re
from datetime import UTC, datetime
from typing import Final

_FORM: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:[0-5]\d)(?:\.(\d{1,9}))?(Z|(?!-00:00)[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def moment(text: str) -> datetime:
    """The time in UTC. Raises ValueError for every other text.

    `YYYY-MM-DDThh:mm:ss`, then a fraction of 1 to 9 digits or none, then `Z` or an offset: what JavaScript, Go, Java,
    Python and `date -Iseconds` write. A fraction is cut to microseconds. Not taken: lower-case letters, a blank for the
    T, a comma, second 60, an offset that is not known (`-00:00`), and the other forms of ISO 8601.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("no time of RFC 3339")
    seconds, fraction, zone = found.groups()
    try:
        return datetime.fromisoformat(f"{seconds}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time of no year from 1 to 9999") from error

"""Opening hours: spans of a week in local time, as an agency writes them down.

`Mon-Fri 07:00-18:00` is each of these days, `Sat 22:00-06:00` until the next morning, `Mon-Sun 00:00-24:00` always.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES: Final = 24 * 60
WEEK_MINUTES: Final = 7 * DAY_MINUTES
_DAY: Final = "|".join(DAYS)
_SPAN: Final = re.compile(rf"({_DAY})(?:-({_DAY}))? ([0-9]{{2}}):([0-9]{{2}})-([0-9]{{2}}):([0-9]{{2}})")


def zone_named(name: str) -> ZoneInfo:
    """A zone of the IANA time zone database. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"{name[:64]!r} is not in this machine's time zone database") from None


def open_minutes(spans: Iterable[str]) -> bytes:
    """For each minute of a week from Monday 00:00, 1 if it is in a span, else 0. Raises ValueError."""
    found = bytearray(WEEK_MINUTES)
    for text in spans:
        for start, length in _spans(text):
            for minute in range(start, start + length):
                found[minute % WEEK_MINUTES] = 1
    return bytes(found)


def _spans(text: str) -> list[tuple[int, int]]:
    """For each day of a span, the first minute of the week and the number of minutes."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a span such as 'Mon-Fri 07:00-18:00'")
    first = DAYS.index(match[1])
    last = DAYS.index(match[2] or match[1])
    hours = [int(match[i]) for i in (3, 5)]
    minutes = [int(match[i]) for i in (4, 6)]
    start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
    if max(minutes) > 59 or start >= DAY_MINUTES or end > DAY_MINUTES or start == end:
        raise ValueError(f"{text!r} has no such time of day, or is empty")
    length = end - start if end > start else end - start + DAY_MINUTES
    return [((first + i) % 7 * DAY_MINUTES + start, length) for i in range((last - first) % 7 + 1)]


class LocalClock:
    """Local times of one zone, remembered by minute: ask it about the times of one week only."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._known: dict[str, tuple[int, date]] = {}

    def minute(self, time: str) -> tuple[int, date]:
        """The minute of the local week, from Monday 00:00, and the local day of a time in UTC."""
        key = time[:16]
        found = self._known.get(key)
        if found is None:
            local = datetime.fromisoformat(f"{key}:00Z").astimezone(self._zone)
            found = local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute, local.date()
            self._known[key] = found
        return found


class OpeningHours:
    """The hours of one agency, in its own time zone; on a holiday it is closed all day."""

    def __init__(self, spans: Sequence[str], clock: LocalClock, holidays: Iterable[date]) -> None:
        """`clock` is that of its time zone. Raises ValueError for a span that cannot be read."""
        self._open, self._clock, self._holidays = open_minutes(spans), clock, frozenset(holidays)

    def open_at(self, time: str) -> bool:
        """Whether a time in UTC is within the hours."""
        minute, day = self._clock.minute(time)
        return bool(self._open[minute]) and day not in self._holidays

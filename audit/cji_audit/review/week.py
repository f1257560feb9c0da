"""Weeks of ISO 8601 in the time zone of those who review them."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from cji_audit.review.hours import zone_named
from cji_core.trail.fields import Utc, utc_hundredths

BEFORE: Final = -1
"""Earlier than all weeks of comparison."""

_FORM: Final = re.compile(r"([0-9]{4})-W([0-9]{2})")


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """A week from Monday 00:00, named as in ISO 8601: `2026-W48`. It orders by time."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The week of this name. Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:20]!r} is not a week such as 2026-W48")
        week = cls(int(found[1]), int(found[2]))
        week.monday()
        return week

    @classmethod
    def of(cls, moment: datetime, zone: ZoneInfo) -> Self:
        """The week of an aware time."""
        year, number, _ = moment.astimezone(zone).isocalendar()
        return cls(year, number)

    def __str__(self) -> str:
        return f"{self.year:04}-W{self.number:02}"

    def monday(self) -> date:
        """Its first day. Raises ValueError if the year has no such week."""
        return date.fromisocalendar(self.year, self.number, 1)

    def shifted(self, weeks: int) -> "Week":
        """The week so many weeks later, or earlier. Raises OverflowError beyond the calendar."""
        year, number, _ = (self.monday() + timedelta(weeks=weeks)).isocalendar()
        return Week(year, number)

    def begins(self, zone: ZoneInfo) -> Utc:
        """Its first moment; the last one is before the first of the next week."""
        return utc_hundredths(datetime.combine(self.monday(), time(), zone).astimezone(UTC))

    def until(self, last: "Week") -> list["Week"]:
        """The weeks from this one to `last`, both included; none if `last` is before it."""
        return [self.shifted(i) for i in range((last.monday() - self.monday()).days // 7 + 1)]


class Window:
    """Times are compared as texts: all have one form, in UTC."""

    def __init__(self, week: Week, time_zone: str, baseline_weeks: int) -> None:
        """Raises ValueError or OverflowError for a zone or week that does not exist."""
        zone = zone_named(time_zone)
        self.begins: Utc = week.begins(zone)
        self.ends: Utc = week.shifted(1).begins(zone)
        self.baseline_weeks = baseline_weeks
        self._starts = [week.shifted(-i).begins(zone) for i in range(baseline_weeks, 0, -1)]

    def has(self, time: Utc) -> bool:
        """Whether the time is in the week."""
        return self.begins <= time < self.ends

    def baseline_week(self, time: Utc) -> int:
        """The number of the earlier week, from 0, or BEFORE; for a time before the week."""
        return bisect_right(self._starts, time) - 1

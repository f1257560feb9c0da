"""The time of a review: its week and the earlier ones that it compares with, as the texts that lines have."""

from bisect import bisect_right
from typing import Final

from cji_audit.review.hours import zone_named
from cji_audit.review.week import Week
from cji_core.trail.fields import Utc

BEFORE: Final = -1
"""Earlier than all weeks of comparison."""


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

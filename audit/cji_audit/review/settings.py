"""`review.toml`: the hours of agencies, and the amounts from which the review reports.

    time_zone = "America/Chicago"            # of the week, and of the agencies that name no other
    hours = ["Mon-Fri 07:00-18:00"]          # of the agencies that name no others; without it only theirs are checked
    holidays = [2026-11-26]
    [agencies.WI0130000]
    hours = ["Mon-Sun 00:00-24:00"]
    [thresholds]
    job_subjects = 1000

A report carries its settings, so anyone who checks it needs no file.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_audit.review.hours import open_minutes, zone_named
from cji_core.documents import toml
from cji_core.trail.fields import Count, Ori

MAX_BYTES: Final = 256 * 1024
_Zone = Annotated[str, Meta(min_length=1, max_length=64)]
_Hours = Annotated[tuple[Annotated[str, Meta(max_length=40)], ...], Meta(min_length=1, max_length=64)]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The amounts from which something is a finding; below them it is only counted, with the largest value."""

    job_rows: Count = 100_000
    """Rows that one job released."""
    job_chri_rows: Count = 10_000
    """Rows with criminal history record information that one job released."""
    job_subjects: Count = 10_000
    """Persons in the results of one job."""
    operator_subjects: Count = 50_000
    """Persons in the results of one operator in the week."""
    growth: Annotated[float, Meta(ge=1, le=1000)] = 4.0
    """Times the median of the earlier weeks, for the rows that an agency or operator released."""
    growth_rows: Count = 1_000
    """Rows in the week, below which growth is not a finding."""
    baseline_weeks: Annotated[int, Meta(ge=1, le=52)] = 8
    """Earlier weeks of the median. A week without a release counts as 0, once there was one."""
    refusals: Annotated[int, Meta(ge=1)] = 10
    """Refusals of one submitter for one Reason."""
    failures: Annotated[int, Meta(ge=1)] = 10
    """Jobs of one submitter that ended without a receipt for one Reason."""
    off_hours_jobs: Annotated[int, Meta(ge=1)] = 1
    """Jobs of one agency outside its hours."""
    silence_minutes: Annotated[int, Meta(ge=1, le=10_080)] = 60
    """Minutes without a line while a worker ran. It renews its key within half an hour, and records that."""


class AgencySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agency's own hours."""

    hours: _Hours
    time_zone: _Zone | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. A name or span that cannot be used is a ValueError."""

    time_zone: _Zone = "UTC"
    hours: _Hours | None = None
    holidays: Annotated[tuple[date, ...], Meta(max_length=400)] = ()
    agencies: Annotated[dict[Ori, AgencySettings], Meta(max_length=1000)] = {}
    thresholds: Thresholds = Thresholds()

    def __post_init__(self) -> None:
        zone_named(self.time_zone)
        open_minutes(self.hours or ())
        for agency in self.agencies.values():
            open_minutes(agency.hours)
            zone_named(agency.time_zone or self.time_zone)


def load_settings(path: Path) -> Settings:
    """Read `review.toml`. Raises OSError, or ValueError with the fault."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("larger than 256 KiB")
    try:
        return toml(data, Settings)
    except RecursionError:
        raise ValueError("nested too deeply") from None

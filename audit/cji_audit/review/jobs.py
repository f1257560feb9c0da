"""The jobs of the week: volumes, refusals, hours, names, and amounts compared with thresholds and earlier weeks."""

import sys
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeVar

from cji_audit.review.findings import Findings, Gathered
from cji_audit.review.groups import MOST_NAMES, FirstUse, Groups, Key, name_of
from cji_audit.review.hours import LocalClock, OpeningHours, zone_named
from cji_audit.review.model import Place, Refusals, Slot, Volume
from cji_audit.review.settings import Settings
from cji_audit.review.week import BEFORE, Window
from cji_core.trail.chain import Record
from cji_core.trail.events import CallsRefused, JobAdmitted, JobCompleted, JobEnded, JobRefused
from cji_core.trail.rules.jobs import FOUND_ALWAYS
from cji_core.trail.rules.state import Admission

_K = TypeVar("_K")
NAMES: Final = ("submitter", "operator", "purpose", "operation", "recipient", "secondary_recipient")
"""Kinds of names whose first use is reported by the rule `new_NAME`, each but submitters within its agency."""


@dataclass(slots=True)
class _Baseline:
    """Rows released in each earlier week, and the first week with a release."""

    rows: list[int]
    since: int = sys.maxsize


class Jobs:
    """Accumulates the events of jobs from all trails."""

    def __init__(self, window: Window, settings: Settings, findings: Findings) -> None:
        self._window, self._settings, self._see = window, settings, findings
        self._limits = settings.thresholds
        self.total = Volume()
        self.groups = {name: Groups() for name in ("agency", "operator", "purpose", "submitter", "operation")}
        self.names = {name: FirstUse() for name in NAMES}
        self.slots = [Slot() for _ in range(168)]
        self.refused: Counter[tuple[str | None, str]] = Counter()
        self._refusals: dict[tuple[str, str, str], Gathered] = {}
        self._off_hours: dict[str, Gathered] = {}
        self._clocks: dict[str, LocalClock] = {}
        self._clock = self._clock_of(settings.time_zone)
        self._hours: dict[str, OpeningHours | None] = {}
        self._earlier: dict[Key, _Baseline] = {}
        for rule, threshold in (
            ("mass_release_rows", self._limits.job_rows),
            ("mass_release_chri", self._limits.job_chri_rows),
            ("mass_release_subjects", self._limits.job_subjects),
            ("mass_release_operator", self._limits.operator_subjects),
            ("growth", self._limits.growth),
            ("refusals", self._limits.refusals),
            ("failures", self._limits.failures),
            ("off_hours", self._limits.off_hours_jobs),
        ):
            findings.limit(rule, threshold)

    def admitted(self, record: Record, event: JobAdmitted, place: Place, *, in_week: bool) -> None:
        """A job begins."""
        ori, who, time = event.requesting_ori, event.attribution, record.time
        used: list[tuple[str, Key]] = [("submitter", (event.submitter,)), ("purpose", (ori, event.purpose_code))]
        used += [("operation", (ori, name)) for name in event.operations]
        used += [("recipient", (ori, key)) for key in event.recipients]
        if who is not None:
            used.append(("operator", (ori, who.operator_id)))
            if who.secondary_recipient:
                used.append(("secondary_recipient", (ori, who.secondary_recipient)))
        if not in_week:
            for kind, key in used if time < self._window.begins else ():
                self.names[kind].earlier(key)
            return
        for kind, key in used:
            self.names[kind].in_week(key, time, place)
        minute, _ = self._clock.minute(time)
        self.slots[minute // 60].jobs += 1
        off_hours = self._is_off_hours(ori, time)
        for volume in self._volumes(event):
            volume.jobs += 1
            volume.off_hours += 1 if off_hours else 0
        if off_hours:
            _gather(self._off_hours, ori, "").at(place, time)

    def completed(self, record: Record, event: JobCompleted, admission: Admission | None, place: Place) -> None:
        """A job of the week has results."""
        found, time = event.volumes, record.time
        for volume in self._volumes(admission or event):
            volume.completed += 1
            volume.rows_in += found.rows_in
            volume.rows_out += found.rows_out
            volume.bytes_in += found.bytes_in
            volume.bytes_out += found.bytes_out
            volume.chri_rows_out += found.chri_rows_out
            volume.subjects_out += found.subjects_out
        minute, _ = self._clock.minute(time)
        self.slots[minute // 60].rows_out += found.rows_out
        subject = f"{name_of(_operator(admission or event))}, job {event.job_id}"
        for rule, amount, unit in (
            ("mass_release_rows", found.rows_out, "rows"),
            ("mass_release_chri", found.chri_rows_out, "rows with CHRI"),
            ("mass_release_subjects", found.subjects_out, "persons"),
        ):
            if self._see.exceeds(rule, amount):
                self._see.see(rule, subject, place, time, detail=f"{amount} {unit}")

    def released_before(self, record: Record, event: JobCompleted, admission: Admission | None) -> None:
        """A job of an earlier week had results."""
        week = self._window.baseline_week(record.time)
        for key in ((event.requesting_ori,), _operator(admission or event)):
            found = self._earlier.get(key)
            if found is None:
                if len(self._earlier) >= MOST_NAMES:
                    continue
                found = self._earlier[key] = _Baseline([0] * self._window.baseline_weeks)
            found.since = min(found.since, max(week, 0))
            if week != BEFORE:
                found.rows[week] += event.volumes.rows_out

    def ended(self, record: Record, event: JobEnded, admission: Admission | None, place: Place) -> None:
        """A job of the week ended without results."""
        for volume in self._volumes(admission or event):
            volume.failed += 1
        reason = str(event.reason)
        detail = f"stage {event.stage}"
        _gather(self._refusals, ("failures", event.submitter, reason), detail).at(place, record.time)

    def refused_job(self, record: Record, event: JobRefused | CallsRefused, place: Place) -> None:
        """A refusal of the week, or several; those that are findings by themselves count for no threshold."""
        count = event.count if isinstance(event, CallsRefused) else 1
        reason, name = str(event.reason), event.submitter or getattr(event, "identity", None) or ""
        self.refused[event.submitter, reason] += count
        if reason not in FOUND_ALWAYS:
            key = "refusals", name or "unknown callers", reason
            _gather(self._refusals, key, f"first from {event.source}").at(place, record.time, count)

    def finish(self) -> None:
        """Compare the sums with thresholds and earlier weeks."""
        for (rule, subject, reason), found in self._refusals.items():
            if self._see.exceeds(rule, found.count):
                self._see.keep(rule, f"{subject}, {reason}", found)
        self._finish_hours()
        self._finish_names()
        for key, volume in self.groups["operator"].by.items():
            if self._see.exceeds("mass_release_operator", volume.subjects_out):
                detail = f"{volume.subjects_out} persons in {volume.completed} jobs"
                self._see.state("mass_release_operator", name_of(key), detail=detail, count=volume.completed)
        self._finish_growth()

    def refusals(self) -> tuple[Refusals, ...]:
        """Refusals by count."""
        order = sorted(self.refused.items(), key=lambda item: (-item[1], item[0][1], item[0][0] or ""))
        return tuple(Refusals(submitter=who, reason=why, count=count) for (who, why), count in order)

    def _finish_hours(self) -> None:
        if self._settings.hours is None:
            known = ", ".join(sorted(self._settings.agencies)) or "none"
            self._see.not_checked("off_hours", f"review.toml has no hours; agencies with hours of their own: {known}")
        for ori, found in self._off_hours.items():
            if self._see.exceeds("off_hours", found.count):
                self._see.keep("off_hours", ori, found)

    def _finish_names(self) -> None:
        for kind, names in self.names.items():
            rule = f"new_{kind}"
            if names.full:
                self._see.state("too_many_names", kind, detail=f"more than {MOST_NAMES}", count=MOST_NAMES)
            if names.week and not names.has_earlier and not self.names["submitter"].has_earlier:
                self._see.not_checked(rule, "the trails have no earlier job to compare with")
                continue
            for key, time, place in names.new():
                self._see.see(rule, name_of(key), place, time)

    def _finish_growth(self) -> None:
        rows: dict[Key, int] = {key: volume.rows_out for key, volume in self.groups["agency"].by.items()}
        rows |= {key: volume.rows_out for key, volume in self.groups["operator"].by.items()}
        if not self._earlier:
            self._see.not_checked("growth", "the trails have no earlier release to compare with")
        compared = {key: self._earlier[key] for key in rows if key in self._earlier}
        least = self._limits.growth_rows
        if small := [rows[key] for key in compared if rows[key] < least]:
            text = f"{len(small)} agencies and operators with fewer than {least} rows; the most rows were {max(small)}"
            self._see.not_checked("growth", text)
        for key, found in compared.items():
            now = rows[key]
            if now < least:
                continue
            weeks = found.rows[found.since :]
            if self._see.exceeds("growth", round(now / max(median(weeks), 1), 2)):
                detail = f"{now} rows; the median of {len(weeks)} earlier weeks is {median(weeks):g}"
                self._see.state("growth", name_of(key), detail=detail)

    def _volumes(self, event: JobAdmitted | Admission | JobCompleted | JobEnded) -> list[Volume]:
        ori = event.requesting_ori
        operations = "+".join(event.operations) if isinstance(event, JobAdmitted | Admission) else None
        return [
            self.total,
            self.groups["agency"].of((ori,)),
            self.groups["operator"].of(_operator(event)),
            self.groups["purpose"].of((event.purpose_code,)),
            self.groups["submitter"].of((event.submitter,)),
            self.groups["operation"].of((operations,)),
        ]

    def _is_off_hours(self, ori: str, time: str) -> bool:
        if ori not in self._hours:
            self._hours[ori] = self._hours_of(ori)
        hours = self._hours[ori]
        return hours is not None and not hours.open_at(time)

    def _hours_of(self, ori: str) -> OpeningHours | None:
        own, settings = self._settings.agencies.get(ori), self._settings
        spans = own.hours if own else settings.hours
        if spans is None:
            return None
        zone = (own and own.time_zone) or settings.time_zone
        return OpeningHours(spans, self._clock_of(zone), settings.holidays)

    def _clock_of(self, zone: str) -> LocalClock:
        """One clock of each zone: it remembers the minutes of the week."""
        if zone not in self._clocks:
            self._clocks[zone] = LocalClock(zone_named(zone))
        return self._clocks[zone]


def _operator(event: JobAdmitted | Admission | JobCompleted | JobEnded) -> Key:
    if isinstance(event, Admission):
        return event.requesting_ori, event.operator
    who = event.attribution if isinstance(event, JobAdmitted) else None
    return event.requesting_ori, None if who is None else who.operator_id


def _gather(found: dict[_K, Gathered], key: _K, detail: str) -> Gathered:
    """The lines whose number decides later whether they are a finding."""
    if key not in found:
        if len(found) >= MOST_NAMES:
            return Gathered(detail)
        found[key] = Gathered(detail)
    return found[key]

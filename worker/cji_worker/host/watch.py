"""Reads the conditions again and again, and reports a change once."""

import time
from typing import Final

import msgspec

from cji_core.log import log
from cji_worker.host.catalogue import CATALOGUE, ConditionId
from cji_worker.host.profile import PROFILE, ProfileName
from cji_worker.host.readings import Finding, Host

EVERY_S: Final = 1.0
"""Seconds between two readings."""


class HostReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conditions that do not hold, required or not, and the profile that does."""

    not_held: tuple[ConditionId, ...]
    profile: ProfileName


NOTHING_HELD: Final = HostReport(not_held=tuple(CATALOGUE), profile="none")
"""The report of a machine that nobody has read."""


class HostWatch:
    """Keeps the last report. Every change of a condition is logged with what was found and the remedy."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._not_held: set[ConditionId] = set()
        self.report = self._read()

    def changed(self) -> HostReport | None:
        """The report if it differs from the last one; None also if the last reading is younger than EVERY_S."""
        if time.monotonic() < self._next:
            return None
        before, self.report = self.report, self._read()
        return None if self.report == before else self.report

    def _read(self) -> HostReport:
        self._next = time.monotonic() + EVERY_S
        findings = self._host.read()
        for finding in findings:
            self._log(finding)
        not_held = tuple(finding.id for finding in findings if not finding.held)
        return HostReport(not_held=not_held, profile="none" if "host-profile" in not_held else PROFILE)

    def _log(self, finding: Finding) -> None:
        if finding.held and finding.id in self._not_held:
            self._not_held.discard(finding.id)
            log("host condition met", check=finding.id, what=finding.found)
        elif not finding.held and finding.id not in self._not_held:
            self._not_held.add(finding.id)
            log("host condition not met", check=finding.id, what=finding.found, remedy=CATALOGUE[finding.id].remedy)

"""The ledger counts admissions by submitter, agency and UTC day, and forgets them after 31 days."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from tests.support import audit_events
from tests.support.audit_events import ledger_of
from worker.audit import AuditFile

START = datetime(2026, 11, 24, 23, 59, 59, 990_000, tzinfo=UTC)
DAY = START.date()


def test_a_day_ends_at_midnight_in_utc_and_is_kept_for_31_days(tmp_path: Path) -> None:
    path, now = tmp_path / "audit", START
    number = iter(range(100))

    def opened() -> AuditFile:
        return AuditFile(path, worker="w", clock=lambda: now)

    def admit(trail: AuditFile, **changes: str) -> None:
        event = audit_events.admitted(bytes([next(number)]) * 16, bytes(48), not_after="2027-03-01T00:00:00.00Z")
        trail.append(msgspec.structs.replace(event, **changes))

    def counted(trail: AuditFile, day: date, *, submitter: str = "metro-pd", ori: str = "WI0130000") -> int:
        return trail.admitted(day=day, submitter=submitter, ori=ori)

    with opened() as trail:
        admit(trail)
        admit(trail, originating_ori="WI0140000")
        admit(trail, requesting_ori="WI0140000")
        admit(trail, submitter="county-so")
        now += timedelta(milliseconds=10)
        admit(trail)
        assert [counted(trail, DAY + timedelta(days=n)) for n in (-1, 0, 1, 2)] == [0, 2, 1, 0]
        assert counted(trail, DAY, ori="WI0140000") == counted(trail, DAY, submitter="county-so") == 1
    now = START + timedelta(days=31)
    with opened() as trail:
        admit(trail)
        assert counted(trail, DAY) == 2
        now += timedelta(days=1)
        admit(trail)
        assert (counted(trail, DAY), counted(trail, DAY + timedelta(days=1))) == (0, 1)
    ledger_of(path).unlink()
    with opened() as trail:  # built again from the trail
        assert [counted(trail, DAY + timedelta(days=n)) for n in (0, 1, 31, 32)] == [0, 1, 1, 1]

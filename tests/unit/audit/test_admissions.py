"""The ledger counts admissions by submitter, agency and UTC day, and forgets them after 31 days."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cji_core.errors import StartupError
from cji_core.trail import GENESIS, Event, TaskAdmitted, append_record
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobState
from tests.support import audit_events
from tests.support.audit_events import ledger_of

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


def task(job_id: bytes, header_sha384: bytes = bytes(48)) -> TaskAdmitted:
    return audit_events.task_admitted(job_id, header_sha384)


def test_a_job_in_parts_counts_once_on_a_worker(tmp_path: Path) -> None:
    first, second = bytes([1]) * 16, bytes([2]) * 16

    def counted() -> int:
        return trail.admitted(day=DAY, submitter="metro-pd", ori="WI0130000")

    with AuditFile(tmp_path / "audit", worker="w", clock=lambda: START) as trail:
        for _ in range(3):
            trail.append(task(first))
        assert counted() == 1
        entry = trail.entry(first)
        assert entry is not None
        assert (entry.state, entry.state.may_begin) == (JobState.IN_PARTS, True)
        trail.append(audit_events.admitted(first, bytes(48)))
        assert counted() == 1
        entry = trail.entry(first)
        assert entry is not None
        assert not entry.state.may_begin
        trail.append(audit_events.admitted(second, bytes(48)))  # one whose tasks ran elsewhere
        assert counted() == 2


@pytest.mark.parametrize("digest", [bytes(48), b"x" * 48])
def test_a_trail_with_a_task_out_of_order_is_refused(tmp_path: Path, digest: bytes) -> None:
    """After the admission of the whole job, or under another header, a task cannot be admitted."""
    job_id = bytes([1]) * 16
    head, lines = GENESIS, list[bytes]()
    events: list[Event] = (
        [task(job_id), task(job_id, digest)] if any(digest) else [audit_events.admitted(job_id, digest), task(job_id)]
    )
    for event in events:
        head, line = append_record(event, head=head, time="2026-11-24T23:59:59.99Z", worker="w")
        lines.append(line)
    (tmp_path / "audit").write_bytes(b"".join(lines))
    with pytest.raises(StartupError, match="out of order"):
        AuditFile(tmp_path / "audit", worker="w", clock=lambda: START)


def test_attempts_are_counted_and_a_job_counts_once(tmp_path: Path) -> None:
    """By a connection only; across restarts and a new ledger."""
    first, second = bytes([1]) * 16, bytes([2]) * 16
    path = tmp_path / "audit"

    def counted(trail: AuditFile) -> tuple[int, int, int]:
        entries = [trail.entry(job) for job in (first, second)]
        attempts = [0 if entry is None else entry.attempts for entry in entries]
        return attempts[0], attempts[1], trail.admitted(day=DAY, submitter="metro-pd", ori="WI0130000")

    with AuditFile(path, worker="w", clock=lambda: START) as trail:
        for _ in range(2):
            trail.append(audit_events.admitted(first, bytes(48)))
            trail.append(audit_events.ended(first, bytes(48)))
            by_reference = msgspec.structs.replace(audit_events.admitted(second, bytes(48)), attempt="ab" * 16)
            trail.append(by_reference)
            trail.append(audit_events.ended(second, bytes(48)))
        entry = trail.entry(first)
        assert entry is not None
        assert entry.admitted == int(START.timestamp())
        assert counted(trail) == (2, 0, 2)
    ledger_of(path).unlink()
    with AuditFile(path, worker="w", clock=lambda: START) as trail:
        assert counted(trail) == (2, 0, 2)

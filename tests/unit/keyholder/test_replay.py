from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from cji_core.errors import Reason, RetryLater, Stage, StartupError
from cji_core.format.configuration.worker import load
from cji_core.format.job import new_job_id, parse
from cji_core.trail import read
from cji_worker.keyholder.replay import ReplayProtection, decide, resume_trail
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobEntry, JobState
from tests.support import audit_events
from tests.support.job_headers import NOW, make
from tests.support.refusals import refused
from tests.support.worker_configs import WORKER_CONFIG

ONE, TWO = b"1" * 48, b"2" * 48

TABLE = [
    (None, ONE, None),
    (JobState.ENDED, ONE, None),
    (JobState.ADMITTED, ONE, Reason.ALREADY_EXISTS),
    (JobState.COMPLETED, ONE, Reason.ALREADY_EXISTS),
    (JobState.ENDED, TWO, Reason.REPLAYED),
    (JobState.ADMITTED, TWO, Reason.REPLAYED),
    (JobState.COMPLETED, TWO, Reason.REPLAYED),
]


@pytest.mark.parametrize(("state", "digest", "reason"), TABLE)
def test_the_table_of_decisions(state: JobState | None, digest: bytes, reason: Reason | None) -> None:
    known = None if state is None else JobEntry(state=state, header_sha384=ONE, line=0, attempts=1, admitted=0)
    if reason is None:
        decide(known, digest)
        return
    with refused(reason):
        decide(known, digest)


@pytest.mark.parametrize(
    ("operator", "explanation"), [("", "VM replaced"), ("jdoe", "two\nlines"), ("jdoe", "x" * 257)]
)
def test_a_resumption_needs_texts_that_an_event_can_hold(tmp_path: Path, operator: str, explanation: str) -> None:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    config = load(tmp_path / "worker.toml")
    config = msgspec.structs.replace(config, audit_file=str(tmp_path / "audit.log"))
    with pytest.raises(StartupError) as caught:
        resume_trail(config, operator_id=operator, explanation=explanation)
    assert "1 to 256 printable characters" in str(caught.value)
    with resume_trail(config, operator_id="jdoe", explanation="VM replaced"):
        lines = (tmp_path / "audit.log").read_bytes().splitlines(keepends=True)
    assert [getattr(read(line).event, "explanation", "") for line in lines] == ["", "VM replaced"]


def test_an_attempt_is_the_next_one_and_has_its_pause(tmp_path: Path) -> None:
    header, now = parse(make(job_id=new_job_id())), NOW
    with AuditFile(tmp_path / "audit", worker="w", clock=lambda: now) as audit:
        replay = ReplayProtection(audit)
        for begun, pause in ((0, 0), (1, 1), (2, 4)):
            for wrong in (begun, begun + 2):
                with refused(Reason.ADMISSION_ATTEMPT, stage=Stage.ADMIT):
                    replay.check_attempt(replay.check(header), wrong, now=now)
            if pause:
                with refused(Reason.OVERLOADED, stage=Stage.ADMIT) as caught:
                    replay.check_attempt(replay.check(header), begun + 1, now=now)
                assert isinstance(caught.value, RetryLater)
                assert 0 < caught.value.after_ms <= 1000 * pause + 1
                now += timedelta(seconds=pause)
            replay.check_attempt(replay.check(header), begun + 1, now=now)
            audit.append(audit_events.admitted(header.job_id, header.sha384))
            audit.append(audit_events.ended(header.job_id, header.sha384))
        for attempt in (1, 3, 4):
            with refused(Reason.ADMISSION_ATTEMPT):
                replay.check_attempt(replay.check(header), attempt, now=now + timedelta(hours=1))


def test_a_clock_that_was_set_back_makes_no_pause_longer(tmp_path: Path) -> None:
    header = parse(make(job_id=new_job_id()))
    with AuditFile(tmp_path / "audit", worker="w", clock=lambda: NOW) as audit:
        audit.append(audit_events.admitted(header.job_id, header.sha384))
        audit.append(audit_events.ended(header.job_id, header.sha384))
        with refused(Reason.OVERLOADED) as caught:
            replay = ReplayProtection(audit)
            replay.check_attempt(replay.check(header), 2, now=NOW - timedelta(days=1))
    assert isinstance(caught.value, RetryLater)
    assert caught.value.after_ms <= 4000

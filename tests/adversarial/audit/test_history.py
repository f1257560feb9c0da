"""X2: neither strangers nor years of jobs make a worker's start or memory grow."""

from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.history import NOW, job_id, measure_start, write_history
from cji_core.errors import Reason
from cji_core.format.job import Header, parse
from cji_core.suites import Suite
from cji_core.trail import Attributed, JobAdmitted, JobEnded, utc_hundredths
from cji_worker.keyholder.events import job_cut_short
from cji_worker.keyholder.replay import ReplayProtection
from cji_worker.trail.file import AuditFile
from cji_worker.trail.replay_ledger import JobState
from tests.support.job_headers import make
from tests.support.refusals import refused

GROWTH_MIB = 12.0
READ_MIB = 4.0


def admission(header: Header) -> JobAdmitted:
    return JobAdmitted(
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        not_after=utc_hundredths(header.not_after),
        submitter="metro-pd",
        source="ipv4:127.0.0.1:50000",
        originating_ori="WI0130000",
        requesting_ori="WI0130000",
        attribution=Attributed(operator_id="op", requestor="r", secondary_recipient=""),
        suite=Suite.CLASSICAL_1,
        purpose_code="C",
        operations=("deidentify",),
        recipients=("A" * 43,),
        kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        policy_sha384="09" * 48,
    )


def test_x02_refused_job_ids_are_not_indexed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write_history(path, jobs=10, refusals=1000)
    with AuditFile(path, worker="w", clock=lambda: NOW) as trail:
        assert trail.head.seq == 1020
        assert trail._ledger._database.execute("SELECT count(*) FROM job").fetchone() == (10,)
        assert all(trail.entry(job_id(10 + number)) is None for number in range(1000))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_x02_a_start_does_not_read_history(tmp_path: Path) -> None:
    """100 000 jobs and half an hour of a stranger; `python -m benchmarks history` measures 5 million."""
    path = tmp_path / "audit.jsonl"
    empty = measure_start(tmp_path / "empty.jsonl")
    write_history(path, jobs=100_000, refusals=25_000)
    built = measure_start(path)
    started = measure_start(path)
    assert (built["lines"], started["lines"]) == (225_000, 225_000)
    assert (built["found"], started["found"]) == (1, 1)
    assert started["read_mib"] < READ_MIB
    assert max(built["peak_mib"], started["peak_mib"]) < empty["peak_mib"] + GROWTH_MIB


def test_x02_entries_leave_a_day_after_not_after(tmp_path: Path) -> None:
    header = parse(make())
    moment = header.created
    with AuditFile(tmp_path / "a", worker="w", clock=lambda: moment) as trail:
        ledger = ReplayProtection(trail)
        trail.append(admission(header))
        with refused(Reason.ALREADY_EXISTS):
            ledger.check(header)
        (admitted,) = trail.unfinished()
        trail.append(_ended(admitted))
        moment = header.not_after + timedelta(hours=23)
        trail.append(admission(parse(make(job_id=b"2" * 16))))
        entry = trail.entry(header.job_id)
        assert entry is not None
        assert entry.state is JobState.ENDED
        moment = header.not_after + timedelta(hours=25)
        trail.append(admission(parse(make(job_id=b"3" * 16))))
        assert trail.entry(header.job_id) is None


def test_x02_a_clock_set_back_makes_no_job_new(tmp_path: Path) -> None:
    """The host sets the clock forward until the entry has left, then back; also across a lost ledger."""
    header = parse(make())
    moment = header.created
    path = tmp_path / "a"
    with AuditFile(path, worker="w", clock=lambda: moment) as trail:
        ledger = ReplayProtection(trail)
        trail.append(admission(header))
        trail.append(_ended(admission(header)))
        moment = header.not_after + timedelta(days=3)
        trail.append(admission(parse(make(job_id=b"3" * 16))))
        moment = header.created
        with refused(Reason.EXPIRED):
            ledger.check(header)
    path.with_name("a.ledger").unlink()
    with AuditFile(path, worker="w", clock=lambda: moment) as trail:
        with refused(Reason.EXPIRED):
            ReplayProtection(trail).check(header)
        created, not_after = header.not_after + timedelta(minutes=5), header.not_after + timedelta(hours=1)
        ReplayProtection(trail).check(parse(make(job_id=b"4" * 16, created=created, not_after=not_after)))


def _ended(admitted: JobAdmitted) -> JobEnded:
    return job_cut_short(admitted)

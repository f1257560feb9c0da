"""One end per job in real processes: an outage, a machine that is gone, two machines of one bundle."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import Reason
from cji_core.trail import AttemptSuperseded, JobAdmitted, JobCompleted
from cji_simulator.raw import Answer, RawWorker, until
from cji_simulator.simulation import Simulation
from tests.support.fleet_bench import Member, Pool, raw_of
from tests.support.fleet_storage import Storage
from tests.support.simulations import simulated

_LEASE_S = 3
_AWAY_S = 20.0
"""Longer than `tries` leases: ten minutes, as much shorter as the lease is."""


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("azure"), release_limit=1000, report_period=0) as found:
        yield found


def a_pool(storage: Storage, azure: Simulation, folder: Path, **options: Any) -> Pool:
    storage.clear()
    return Pool(folder / "pool", azure, storage, workers=2, lease_seconds=_LEASE_S, **options)


def run_on(pool: Pool, member: Member, job: str) -> Answer:
    """The same sealed bytes, by a connection."""
    sealed = pool.aside(job)
    with RawWorker.of(pool.site_of(member)) as raw:
        messages = raw_of(sealed).messages(pool.segments(job))
        return raw.run(messages)


def events_of(pool: Pool, job: str, kind: type[Any]) -> list[Any]:
    return [e for member in pool.members for e in member.events if isinstance(e, kind) and e.job_id == job]


def test_an_outage_of_blob_storage_fails_no_job(storage: Storage, azure: Simulation, tmp_path: Path) -> None:
    """50 tickets wait, the queue answers, Blob Storage does not: 50 results, no failure."""
    pool = a_pool(storage, azure, tmp_path, tries=2)
    try:
        jobs = [pool.seal(rows=3) for _ in range(50)]
        pool.fleet_link.shut()
        for member in pool.members:
            member.start_fleet()
        for job in jobs:
            pool.send(job)
        time.sleep(_AWAY_S)
        assert not any(isinstance(e, JobAdmitted) for member in pool.members for e in member.events)
        pool.fleet_link.open()
        pool.wait(seconds=240)
        assert pool.check()["receipts"] == 50
        assert [job for job in jobs if pool.failure(job)] == []
        assert pool.check_protocol() == 50
    finally:
        pool.close()


def test_a_machine_that_is_gone_leaves_its_job_to_another(storage: Storage, azure: Simulation, tmp_path: Path) -> None:
    """Deleted in the middle of a direct job: the same sealed job completes elsewhere, once."""
    pool = a_pool(storage, azure, tmp_path)
    try:
        job = pool.seal_aside()
        first, second = pool.members
        sealed, segments = pool.aside(job), pool.segments(job)
        messages = raw_of(sealed).messages(segments)
        with RawWorker.of(pool.site_of(first)) as raw, raw.stream(timeout=60) as stream:
            stream.send(messages[0])
            until(lambda: bool(events_of(pool, job, JobAdmitted)))
            first.kill_worker("keyholder")
        assert run_on(pool, second, job).receipt is not None
        assert len(events_of(pool, job, JobCompleted)) == 1
        assert run_on(pool, second, job).reason is Reason.ALREADY_EXISTS
        first.start()
        assert run_on(pool, first, job).reason is Reason.ALREADY_EXISTS
        assert pool.check_protocol(aside=True) == 1
    finally:
        pool.close()


def test_two_machines_of_one_bundle_make_one_receipt(storage: Storage, azure: Simulation, tmp_path: Path) -> None:
    pool = a_pool(storage, azure, tmp_path, one_id=True)
    try:
        job = pool.seal_aside()
        first, second = pool.members
        assert run_on(pool, first, job).receipt is not None
        assert run_on(pool, second, job).reason is Reason.ALREADY_EXISTS
        assert len(events_of(pool, job, JobCompleted)) == 1

        racing = pool.seal_aside()
        found = list[Answer]()
        threads = [
            threading.Thread(target=lambda member=member: found.append(run_on(pool, member, racing)))
            for member in pool.members
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len([each for each in found if each.receipt is not None]) == 1
        completed, superseded = (events_of(pool, racing, kind) for kind in (JobCompleted, AttemptSuperseded))
        assert len(completed) - len(superseded) == 1
        ends = [name for name in storage.all("ledger") if name == f"{racing}/end"]
        assert len(ends) == 1
        assert pool.check_protocol(aside=True) == 2
        assert len({e.hash for member in pool.members for e in member.records[:1]}) == 2  # trails, not names
    finally:
        pool.close()


def test_a_ledger_that_is_away_at_the_end_holds_the_result_back(
    storage: Storage, azure: Simulation, tmp_path: Path
) -> None:
    """The receipt is in the trail; nothing is released until the ledger has it as the end."""
    pool = a_pool(storage, azure, tmp_path)
    try:
        job, (first, _) = pool.seal_aside(), pool.members
        sealed = pool.aside(job)
        messages = raw_of(sealed).messages(pool.segments(job))
        found = list[Answer]()
        with RawWorker.of(pool.site_of(first)) as raw, raw.stream(timeout=90) as stream:
            stream.send(messages[0])
            until(lambda: bool(events_of(pool, job, JobAdmitted)))
            pool.ledger_link.shut()
            stream.send(*messages[1:])
            stream.half_close()
            running = threading.Thread(target=lambda: found.append(stream.answer()), daemon=True)
            running.start()
            until(lambda: bool(events_of(pool, job, JobCompleted)))
            time.sleep(2)
            assert found == []
            pool.ledger_link.open()
            running.join(60)
        assert found[0].receipt is not None
        assert pool.check_protocol(aside=True) == 1
    finally:
        pool.ledger_link.open()
        pool.close()

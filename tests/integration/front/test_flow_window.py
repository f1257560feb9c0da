"""Back-pressure: what a worker holds of a job is its ring and gRPC's window, whoever is slow."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.seal import SealedJob
from cji_client.spec import JobSpec
from cji_core.errors import Reason
from cji_core.operations.deidentify import Deidentify, Mask, Transform
from cji_simulator.measure import peak_of_job, private_bytes
from cji_simulator.raw import settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_simulator.stepwise import Stepwise
from cji_worker.fronts import FRONT_NAMES
from cji_worker.ipc.ring import SLOT_BYTES, SLOTS

MIB = 1 << 20
RING_BYTES = SLOTS * SLOT_BYTES
HTTP2_WINDOW_BYTES = 8 * MIB
"""Room for gRPC's own flow-control window, which it grows with the bandwidth that it estimates."""
BLOCK_ROWS = 32_768

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the memory of other processes is root's to see")


def _copy_all(site: Site) -> JobSpec:
    """As much output as input."""
    keep: dict[str, Transform] = {"last": "keep", "first": "keep", "SOC": Mask(keep_last=2)}
    return site.spec(Deidentify(project="p1", columns=keep))


def _sealed(site: Site, rows: int) -> tuple[SealedJob, list[bytes]]:
    table = pa.Table.from_batches(people(rows).to_batches(max_chunksize=8192))
    job = site.seal(rows=rows)
    return job, list(job.seal_part(0, table))


def _large(blocks: int) -> pa.Table:
    """About 1.4 MB of rows per block."""
    return pa.concat_tables([people(BLOCK_ROWS)] * blocks)


def _settled(value: Callable[[], int], *, still: float = 1.0, limit: float = 15.0) -> int:
    """The value once it has not changed for a while."""
    until, last, since = time.monotonic() + limit, value(), time.monotonic()
    while time.monotonic() < until and time.monotonic() - since < still:
        time.sleep(0.05)
        if (now := value()) != last:
            last, since = now, time.monotonic()
    return last


def test_a_slow_reader_stops_the_sender(site: Site) -> None:
    table = _large(48)
    job = site.seal(_copy_all(site), rows=table.num_rows)
    segments = list(job.seal_part(0, table))
    whole = sum(map(len, segments))
    front = site.worker.pids["front"]
    before = private_bytes(front)
    with Stepwise(site, job, segments) as run:
        run.send()
        run.finish()
        taken = _settled(lambda: run.taken)
        # input ring and window; output ring and window; the batch in the cell's hands and one message in each of gRPC's
        most = 2 * (RING_BYTES + HTTP2_WINDOW_BYTES) + 4 * MIB
        assert taken <= most < whole, (taken, most, whole)
        grown = private_bytes(front) - before if before else 0
        assert grown <= most, (grown, most)
        run.read_all()
        assert run.receipt is not None
        assert run.taken == whole


def test_a_slow_writer_holds_a_cell_until_its_deadline(site: Site) -> None:
    job, segments = _sealed(site, 40_000)
    with Stepwise(site, job, segments, deadline=5) as run:
        run.send(1)
        assert run.read_until("accepted")
        assert run.refusal().reason is Reason.DEADLINE
    _both_cells_are_free(site)
    ends = [line for line in site.files.audit.read_text().splitlines() if job.header.job_id.hex() in line]
    assert '"job_ended"' in ends[-1]
    assert '"reason":"DEADLINE"' in ends[-1]


def test_cancellation_frees_the_cell(site: Site) -> None:
    jobs = [_sealed(site, 1000) for _ in range(3)]
    with Stepwise(site, *jobs[0]) as first, Stepwise(site, *jobs[1]) as second:
        first.read_until("accepted")
        second.read_until("accepted")
        with Stepwise(site, *jobs[2], patient=False) as third:
            assert third.refusal().reason is Reason.OVERLOADED
        first.call.cancel()
        second.call.cancel()
    _both_cells_are_free(site)


def _both_cells_are_free(site: Site) -> None:
    """Two jobs at once are admitted before long."""
    with Stepwise(site, *_sealed(site, 10)) as first, Stepwise(site, *_sealed(site, 10)) as second:
        for run in (first, second):
            run.read_until("accepted")
        for run in (first, second):
            run.send()
            run.finish()
            run.read_all()
            assert run.receipt


def test_sigterm_drains(azure: Simulation, tmp_path: Path) -> None:
    with open_site(tmp_path / "drain", azure) as site:
        job, segments = _sealed(site, 40_000)
        late, late_segments = _sealed(site, 10)
        with Stepwise(site, job, segments) as run, Stepwise(site, late, late_segments, hold=True) as refused:
            run.send(1)
            run.read_until("accepted")
            site.worker.process.terminate()
            draining = {"supervisor", *(name for name in site.worker.pids if name in FRONT_NAMES)}
            until(lambda: site.worker.log.read_text().count('"draining"') == len(draining))
            refused.open()
            assert refused.refusal().reason is Reason.DRAINING
            assert site.worker.process.poll() is None
            run.send()
            run.finish()
            run.read_all()
            assert run.receipt is not None
        assert site.worker.process.wait(60) == 0


_WINDOWS = 64 << 20
"""Segments that gRPC and the ring may hold, both ways; the larger job has ten times as many bytes."""


@needs_root
@pytest.mark.root
def test_memory_does_not_grow_with_the_job(site: Site) -> None:
    """The small job is large enough to touch all of a cell's window; a larger one finds the same memory enough."""
    spec = _copy_all(site)
    peaks = {}
    for blocks in (72, 24, 240):  # the first only warms the front's allocator up
        table = _large(blocks)
        with peak_of_job(site.worker) as peaks[blocks]:
            site.run(table, spec)
    small, large = peaks[24], peaks[240]
    assert small.front
    assert small.cell
    assert large.cell <= 1.1 * small.cell, peaks
    # the front holds what is on its way, which is bounded by the windows and not by the job; how much of that there
    # is at a time depends on who is slower
    assert large.front <= small.front + _WINDOWS, peaks


@needs_root
@pytest.mark.root
def test_descriptors_and_mappings_do_not_grow_with_jobs(site: Site) -> None:
    def count() -> dict[str, int]:
        pids = site.worker.pids
        return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}

    for _ in range(3):
        site.run(people(10))
    settled(site)
    before = count()
    for _ in range(12):
        site.run(people(10))
    settled(site)
    assert {name: after - before[name] for name, after in count().items() if after - before[name] > 2} == {}


@pytest.mark.parametrize("segments", range(2, 10))
def test_a_reader_that_comes_after_the_commit_gets_everything(site: Site, segments: int) -> None:
    """Whichever slot of the ring the last segments have to wait for."""
    job, sealed = _sealed(site, segments * 22_000)
    with Stepwise(site, job, sealed) as run:
        run.send()
        run.finish()
        _committed(site, job)
        run.read_all()
        assert run.receipt is not None


def _committed(site: Site, job: SealedJob) -> None:
    """Wait for the commit; a job that is larger than all windows does not get there before it is read."""
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        text = site.files.audit.read_text()
        if '"job_completed"' in text and job.header.job_id.hex() in text.rpartition('"job_completed"')[2]:
            time.sleep(0.1)
            return
        time.sleep(0.02)

"""Any process killed at any moment: never a receipt without a complete result, never a result without a receipt.

After each kill the worker is started again on the same files, and must agree with what the client saw:

    client has the receipt               the result is complete and verifies; the audit trail has the same receipt
    client has every last segment        the audit trail has a receipt, which GetReceipt returns
    audit trail has a receipt            the same header is ALREADY_EXISTS
    audit trail has none                 the attempt is closed there, and the same header runs again, to a whole result
"""

import hashlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import grpc
import pyarrow as pa
import pytest
from cji_simulator.raw import settled, until
from cji_simulator.scan import worker_processes
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from cji_simulator.stepwise import Stepwise
from cji_simulator.worker import Worker

from worker.audit import JobCompleted, PartDigest, Record, verify_chain
from worker.audit.chain import read
from worker.client import INPUT_NAME, SealedJob, SealedResult, WorkerRefused
from worker.client.attested import AttestedWorker
from worker.client.result import Collector
from worker.client.verify import verify_result
from worker.errors import Reason

ROWS = 40_000
SEED = 20260
NOT_LAST = b"\xff\xff\xff\xff"


class Bench:
    """One deployment whose worker may be dead; `site` starts it when it is."""

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self._site, self._stack = site, stack
        self.table = people(ROWS)
        self.kills = 0

    @property
    def site(self) -> Site:
        if self._site.worker.process.poll() is not None:
            self._site.simulation.reboot()
            worker = Worker(self._site.files.config, trust=self._site.simulation.trust, log=self._site.worker.log)
            self._stack.callback(worker.stop)
            self._site = replace(self._site, worker=worker)
        return self._site

    def kill(self, victim: str) -> None:
        """SIGKILL; waits for the rest of the worker to be gone too, unless the victim was a cell."""
        self.kills += 1
        everything = worker_processes(self._site.worker.pids)
        with suppress(ProcessLookupError, KeyError):  # a cell may be between two lives
            os.kill(everything[victim], signal.SIGKILL)
        if victim.startswith("cell"):
            return
        status = self._site.worker.process.wait(10)
        assert status == (-signal.SIGKILL if victim == "supervisor" else 1)
        until(lambda: not any(map(_alive, everything.values())))  # no orphans

    def seal(self) -> tuple[SealedJob, list[bytes]]:
        job = self._site.seal(rows=ROWS)
        return job, list(job.seal_part(0, self.table))

    def events(self) -> list[Record]:
        lines = self._site.files.audit.read_bytes().splitlines(keepends=True)
        return [read(line) for line in lines if line.endswith(b"\n")]


@pytest.fixture(scope="module")
def bench(azure: Simulation, state: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack.enter_context(open_site(state / "kill", azure)), stack)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _kinds(records: list[Record], job: SealedJob) -> list[str]:
    job_id = job.header.job_id.hex()
    return [type(r.event).__name__ for r in records if getattr(r.event, "job_id", None) == job_id]


def _receipt_of(records: list[Record], job: SealedJob) -> str | None:
    job_id = job.header.job_id.hex()
    found = [r.event for r in records if isinstance(r.event, JobCompleted)]
    return next((event.receipt for event in found if event.job_id == job_id), None)


def _open(site: Site, job: SealedJob, segments: list[bytes], run: Stepwise, attested: AttestedWorker) -> pa.Table:
    """The result, after the client's own checks of receipt, input and outputs."""
    collector = Collector(job.header)
    for message in run.received:
        collector.take(message)
    header, outputs, receipt = collector.finish()
    whole = b"".join(segments)
    sent = [PartDigest(name=INPUT_NAME, sha256=hashlib.sha256(whole).hexdigest(), bytes=len(whole))]
    verified = verify_result(receipt, job=job.header, attested=attested, sent=sent, header=header, outputs=outputs)
    result = SealedResult(job_id=job.header.job_id, header=header, outputs=outputs, receipt=verified, attested=attested)
    return site.open(result)["result"]


def _last_segments(run: Stepwise) -> bool:
    """Whether the client holds the last segment of every output."""
    parts = [run.output(part) for part in (0, 1)]
    return all(segments and _mark(segments) != NOT_LAST for segments in parts)


def _mark(segments: list[bytes]) -> bytes:
    at = 74 if len(segments) == 1 else 0
    return segments[-1][at : at + 4]


def _attempt(bench: Bench, moment: Callable[[Stepwise, Bench], None]) -> None:
    """One job, killed at `moment`; then the client, the audit trail and a new start must tell the same story."""
    site, kills = bench.site, bench.kills
    settled(site)
    with site.client() as client:
        attested = client.attest()
    job, segments = bench.seal()
    with Stepwise(site, job, segments) as run:
        with suppress(grpc.RpcError, StopIteration):
            moment(run, bench)
            run.send()
            run.finish()
            run.read_all()
        assert bench.kills == kills + 1
        site = bench.site
        receipt = _receipt_of(bench.events(), job)
        if run.receipt is not None:
            assert run.receipt == receipt
            assert _open(site, job, segments, run, attested)["last"] == bench.table["last"]
        if _last_segments(run):
            assert receipt is not None
    with open(site.files.audit, "rb") as trail:
        verify_chain(trail)
    with site.client() as client:
        if receipt is not None:
            assert client.get_receipt(job.header.job_id) == receipt
            assert _kinds(bench.events(), job) == ["JobAdmitted", "JobCompleted"]
            with pytest.raises(WorkerRefused) as refused:
                client.run(job, {INPUT_NAME: bench.table}, attested=client.attest(), deadline=30)
            assert refused.value.reason is Reason.ALREADY_EXISTS
        else:
            assert _kinds(bench.events(), job) in ([], ["JobAdmitted", "JobEnded"])
            result = client.run(job, {INPUT_NAME: bench.table}, attested=client.attest(), deadline=30)
            assert site.open(result)["result"]["last"] == bench.table["last"]
            assert _kinds(bench.events(), job)[-2:] == ["JobAdmitted", "JobCompleted"]


def _admitted(victim: str) -> Callable[[Stepwise, Bench], None]:
    def moment(run: Stepwise, bench: Bench) -> None:
        run.read_until("accepted")
        bench.kill(victim)

    return moment


def _mid_stream(victim: str) -> Callable[[Stepwise, Bench], None]:
    def moment(run: Stepwise, bench: Bench) -> None:
        run.send()
        run.read_until("segment")
        bench.kill(victim)

    return moment


def _committed(victim: str) -> Callable[[Stepwise, Bench], None]:
    """The completion is on disk. Nothing was read yet, so gRPC's window keeps the receipt from having left."""

    def moment(run: Stepwise, bench: Bench) -> None:
        admitted = bench.site.files.audit.stat().st_size
        run.send()
        run.finish()
        until(lambda: b'"job_completed"' in bench.site.files.audit.read_bytes()[admitted:])
        bench.kill(victim)

    return moment


def _at(victim: str, seconds: float) -> Callable[[Stepwise, Bench], None]:
    def moment(run: Stepwise, bench: Bench) -> None:
        killer = threading.Timer(seconds, bench.kill, (victim,))
        killer.start()
        try:
            run.send()
            run.finish()
            run.read_all()
        finally:
            killer.join()

    return moment


PROCESSES = ("keyholder", "front", "zygote", "control", "supervisor")


@pytest.mark.parametrize("victim", PROCESSES)
@pytest.mark.parametrize("precise", [_admitted, _mid_stream, _committed])
def test_a_process_killed_at_a_precise_moment(
    bench: Bench, precise: Callable[[str], Callable[[Stepwise, Bench], None]], victim: str
) -> None:
    _attempt(bench, precise(victim))


@pytest.mark.parametrize("victim", PROCESSES)
def test_a_process_killed_at_some_moment(bench: Bench, victim: str) -> None:
    _attempt(bench, _at(victim, random.Random(f"{SEED} {victim}").uniform(0.0, 0.5)))


def test_a_cell_killed_at_any_moment(bench: Bench) -> None:
    """Both warm cells in turn, so that it is the job's own half of the time; the worker itself stays up."""
    dice = random.Random(SEED)
    pids = bench.site.worker.pids
    for precise in (_admitted, _mid_stream, _committed):
        _attempt(bench, precise("cell 0"))
        _attempt(bench, precise("cell 1"))
    for _ in range(6):
        _attempt(bench, _at(dice.choice(["cell 0", "cell 1"]), dice.uniform(0.0, 0.4)))
    assert bench.site.worker.pids == pids


def test_killing_one_cell_touches_no_other_job(bench: Bench) -> None:
    site = bench.site
    settled(site)
    with site.client() as client:
        attested = client.attest()
    jobs = [bench.seal() for _ in range(2)]
    with ExitStack() as stack:
        runs = [stack.enter_context(Stepwise(site, job, segments)) for job, segments in jobs]
        for run in runs:
            run.send(2)
            run.read_until("accepted")
        bench.kill("cell 0")
        ended = []
        for run, (job, segments) in zip(runs, jobs, strict=True):
            with suppress(grpc.RpcError):
                run.send()
                run.finish()
                run.read_all()
            if run.receipt is None:
                assert run.refusal().reason is Reason.CELL_FAILED
            else:
                assert _open(site, job, segments, run, attested)["last"] == bench.table["last"]
            ended.append(run.receipt is not None)
    assert sorted(ended) == [False, True]
    assert bench.site is site

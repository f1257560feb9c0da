"""A worker that has faults at the steps of its jobs, and everything that must hold afterwards.

`Bench.attempt` runs one job up to a step, has the fault happen there, and lets the job go on. Then the client, the
audit trail and a worker that serves again must agree:

    client has the receipt               the result is complete and verifies; the trail has the same receipt
    client has every last segment        the trail has a receipt, which GetReceipt returns
    the trail has a receipt              the same header is ALREADY_EXISTS
    the trail has none                   every attempt is closed there, and the same header runs, to a whole result

And always: one chain that `cji audit verify` accepts, receipts numbered without gap or repetition, descriptors and
memory of every process as they were at rest.
"""

import hashlib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import grpc
import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_attestation.attested import AttestedWorker
from cji_client.errors import WorkerRefused
from cji_client.profile import load_profile
from cji_client.received import Collector
from cji_client.result import Result
from cji_client.seal import INPUT_NAME, SealedJob
from cji_client.verify import verify_result
from cji_core.command import build
from cji_core.errors import Reason
from cji_core.trail import JobAdmitted, JobCompleted, JobEnded, PartDigest, Record, claims_unverified
from cji_core.trail.chain import read
from cji_core.trail.whole_receipts import with_whole_receipts
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.processes import ended, worker_processes
from cji_simulator.raw import RawWorker, settled, until
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from cji_simulator.stepwise import Stepwise
from cji_simulator.worker import Worker
from cji_worker.front.server import SERVICE
from cji_worker.fronts import FRONT_NAMES
from tests.support.fleet_storage import Storage
from tests.support.gate import Gate
from tests.support.halting import PROGRAM
from tests.support.pool_check import check, seen
from tests.support.privileges import SEES_PROCESSES
from tests.support.silent_link import SilentLink
from tests.support.steps import Route, Step

__all__ = ["Bench", "Do", "Run", "audit_says"]

_TRIES: Final = 5
_GENEROUS_S: Final = 60.0
"""No test fails because the machine is busy; the figures are printed."""
_MEMORY: Final = 1.3
_MEMORY_KIB: Final = 16 << 10
_NOT_LAST: Final = b"\xff\xff\xff\xff"
_FLOE_HEADER: Final = 74


def audit_says(audit: Path) -> list[Record]:
    """Every whole line of a trail, with its receipts as they were signed."""
    lines = audit.read_bytes().splitlines(keepends=True)
    records = [read(line) for line in lines if line.endswith(b"\n")]
    events = with_whole_receipts(record.event for record in records)
    return [msgspec.structs.replace(record, event=event) for record, event in zip(records, events, strict=True)]


@dataclass(kw_only=True)
class Run:
    """One job on its way. `reads` is cleared while its caller reads nothing, `over` is set once the call has ended."""

    step: Step
    job: SealedJob
    segments: list[bytes]
    stream: Stepwise
    attested: AttestedWorker
    reads: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def drive(self) -> None:
        """The whole job, as its caller sees it; whatever ends it ends this."""
        try:
            with suppress(grpc.RpcError, StopIteration):
                self._drive()
        finally:
            self.over.set()

    def hang_up(self) -> None:
        """End the call from here."""
        self.stream.call.cancel()

    def _drive(self) -> None:
        self.stream.open()
        if self.step.route is Route.LEFT:
            self.stream.send(1)
            self.stream.read_until("accepted")
            self.hang_up()
            return
        self.stream.send()
        self.stream.finish()
        while self.reads.wait():
            self.stream.read()

    def close(self) -> None:
        """Hang up."""
        self.stream.__exit__(None, None, None)

    def whole_result(self) -> bool:
        """Whether the client holds the last segment of every output."""
        parts = [self.stream.output(part) for part in (0, 1)]
        return all(segments and _mark(segments) != _NOT_LAST for segments in parts)


def _mark(segments: list[bytes]) -> bytes:
    at = _FLOE_HEADER if len(segments) == 1 else 0
    return segments[-1][at : at + 4]


Do = Callable[["Bench", Run], None]
"""What happens at a step; see `fault_kinds`."""


class Bench:
    """One deployment whose worker may be dead; `site` starts it when it is."""

    def __init__(
        self,
        folder: Path,
        azure: Simulation,
        *,
        audit: Path | None = None,
        rows: int = 200,
        limits: str = "",
        under: Sequence[str] = (),
        pool: Storage | None = None,
    ) -> None:
        """`audit` is the trail if it is elsewhere, `limits` goes into [limits], `under` before the worker's command.

        `pool` has the pool ledger, if there is one: then its entries are run through the decisions again, too.
        """
        azure = azure.another_vm()
        self._azure, self._cmk = azure, azure.create_cmk(f"cji-{folder.name}")
        files = worker_config(folder, simulation=azure, keys=[self._cmk], cells=1, cell_mib=128, reference_mib=0)
        self.files = files if audit is None else _moved(files, audit)
        if limits:
            self.files.config.write_text(f"{self.files.config.read_text()}\n[limits]\n{limits}\n")
        self._pool = pool
        if pool is not None:
            at = pool.azurite
            ledger = f'kind = "pool"\nblob_url = "{at.blob_url}"\nca_file = "{at.ca_file}"\ntries = {_TRIES}'
            self.files.config.write_text(f"{self.files.config.read_text()}\n[ledger]\n{ledger}\n")
        self.gate = Gate(folder / "page")
        self._under = ["env", self.gate.variable, *under]
        self._site: Site | None = None
        self._known: tuple[int, AttestedWorker] | None = None
        self.table = people(rows)
        self.serving_s: float | None = None
        """Seconds from the end of the last fault until jobs were served."""
        try:
            self._idle = self._measured_at_rest()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the worker."""
        if self._site is not None:
            self._site.worker.stop()

    @property
    def site(self) -> Site:
        """A worker that runs."""
        if self._site is None or self._site.worker.process.poll() is not None:
            self.close()
            log = self.files.folder / "worker.log"
            self._azure.reboot()  # in each boot of a VM one worker can start
            self._site = Site(
                simulation=self._azure,
                cmk=self._cmk,
                files=self.files,
                worker=Worker(self.files.config, trust=self._azure.trust, log=log, program=PROGRAM, under=self._under),
                profile=load_profile(self.files.profile),
            )
        return self._site

    @property
    def processes(self) -> dict[str, int]:
        """Process ids by name, cells included."""
        return worker_processes(self.site.worker.pids)

    def halted(self) -> int:
        """The process id of the process that halts; there is one cell."""
        name = self.gate.halted
        return self.processes["cell 0" if name == "cell" else name]

    def is_over(self, job: SealedJob) -> bool:
        """Whether the trail has the end of this job."""
        kinds = self._kinds(job)
        return bool(kinds) and kinds[-1] != "JobAdmitted"

    def kill(self, victim: str) -> None:
        """SIGKILL; waits for the rest of the worker to be gone too, unless the victim is a cell."""
        if victim == "cell":
            os.kill(self.processes["cell 0"], signal.SIGKILL)
            return
        worker, everything = self.site.worker, self.processes
        os.kill(everything[victim], signal.SIGKILL)
        status = worker.process.wait(60)
        assert status == (-signal.SIGKILL if victim == "supervisor" else 1)
        until(lambda: all(map(ended, everything.values())))  # no orphans

    def serving(self) -> bool:
        """The answer of the health service."""
        try:
            with RawWorker.of(self.site) as raw:
                stub = health_pb2_grpc.HealthStub(raw.channel)
                answer = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=2)
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        except grpc.RpcError:
            return False

    def run(self, step: Step, *, link: SilentLink | None = None) -> Run:
        """A job that passes this step, before its first message; `link` is between its caller and the worker."""
        site, attested = self.site, self._attested()
        spec = site.spec(audience="another") if step.route is Route.UNKNOWN else None
        job = site.seal(spec, rows=self.table.num_rows)
        segments = list(job.seal_part(0, self.table))
        if step.route is Route.DAMAGED:
            segments[-1] = segments[-1][:-1] + bytes([segments[-1][-1] ^ 1])
        stream = Stepwise(site, job, segments, deadline=90, hold=True, target=link.target if link else None)
        run = Run(step=step, job=job, segments=segments, stream=stream, attested=attested)
        run.reads.set()
        return run

    def attempt(self, step: Step, fault: Do, *, link: SilentLink | None = None) -> Run:
        """One job with a fault at a step, and then everything that must hold; returns the job."""
        settled(self.site)
        run = self.run(step, link=link)
        driver = threading.Thread(target=run.drive)
        self.gate.arm(step)
        try:
            driver.start()
            self.gate.wait()
            fault(self, run)
        finally:
            self.gate.open()
        ended = time.monotonic()
        driver.join(_GENEROUS_S)
        assert not driver.is_alive(), "the call hangs"
        until(lambda: self.serving() and self._trail_is_back(run.job), seconds=_GENEROUS_S)
        self.serving_s = time.monotonic() - ended
        try:
            self._agree(run)
        finally:
            run.close()
            if link is not None:
                link.close()
        self.trail_is_sound()
        self.steps_are_allowed(run.job)
        self.at_rest()
        return run

    def _trail_is_back(self, job: SealedJob) -> bool:
        """Whether nothing is owed to the trail: a failed write is noticed by its health within a beat."""
        lines = (self.files.folder / "worker.log").read_text().splitlines()
        states = ('"event": "started"', '"event": "audit unavailable"', '"event": "audit recovered"')
        last = next(line for line in reversed(lines) if any(state in line for state in states))
        return states[1] not in last and self._kinds(job)[-1:] != ["JobAdmitted"]

    def trail_is_sound(self) -> None:
        """One chain; every attempt has one end; receipts are numbered without gap or repetition."""
        checked = CliRunner().invoke(build(self._azure.trust), ["audit", "verify", str(self.files.audit)])
        assert checked.exit_code == 0, checked.output
        open_attempts, receipts = Counter[str](), list[str]()
        for record in audit_says(self.files.audit):
            match record.event:
                case JobAdmitted(job_id=job_id):
                    open_attempts[job_id] += 1
                    assert open_attempts[job_id] == 1
                case JobCompleted(job_id=job_id, compact=receipt):
                    open_attempts[job_id] -= 1
                    receipts.append(receipt)
                case JobEnded(job_id=job_id):
                    open_attempts[job_id] -= 1
        assert not +open_attempts
        assert [claims_unverified(r).sequence for r in receipts] == list(range(1, len(receipts) + 1))

    def steps_are_allowed(self, job: SealedJob) -> None:
        """Trail and pool ledger have of this job what the decisions about a pool allow."""
        job_id = job.header.job_id.hex()
        if self._pool is not None:
            jobs = seen(self._pool.all("ledger", under=job_id), [audit_says(self.files.audit)], {})
            if job_id in jobs:
                check(jobs[job_id], tries=_TRIES)

    def at_rest(self) -> None:
        """Descriptors are back, and memory but for a share that allocators keep."""
        settled(self.site)

        def above() -> dict[str, object]:
            now = _usage(self.site.worker)
            more = {name: (now[name][0] - then, now[name][1] - memory) for name, (then, memory) in self._idle.items()}
            return {
                name: (files, kib)
                for name, (files, kib) in more.items()
                if files or kib > self._idle[name][1] * (_MEMORY - 1) + _MEMORY_KIB
            }

        with suppress(AssertionError):
            until(lambda: not above())
            return
        raise AssertionError(f"not at rest: {above()}")

    def _attested(self) -> AttestedWorker:
        """The worker as its callers know it; again after each start."""
        pid = self.site.worker.process.pid
        if self._known is None or self._known[0] != pid:
            with self.site.client() as client:
                self._known = pid, client.attest()
        return self._known[1]

    def _measured_at_rest(self) -> dict[str, tuple[Counter[str], int]]:
        """After one job, because much is imported with the first."""
        self.site.run(self.table)
        settled(self.site)
        time.sleep(0.5)
        return _usage(self.site.worker)

    def _agree(self, run: Run) -> None:
        site, job = self.site, run.job
        receipt, told = self._receipt_of(job), run.stream.receipt
        if told is not None:
            assert told == receipt
            assert _opened(site, run)["last"] == self.table["last"]
        if run.whole_result():
            assert receipt is not None
        with site.client() as client:
            if receipt is not None:
                assert client.get_receipt(job.header.job_id) == receipt
                assert self._kinds(job) == ["JobAdmitted", "JobCompleted"]
                expected = Reason.ALREADY_EXISTS
            elif run.step.route is Route.UNKNOWN:
                expected = Reason.AUDIENCE_MISMATCH
            else:
                assert self._kinds(job) in ([], ["JobRefused"], ["JobAdmitted", "JobEnded"])
                result = client.run(job, {INPUT_NAME: self.table}, attested=self._attested(), deadline=60)
                assert site.open(result)["result"]["last"] == self.table["last"]
                assert self._kinds(job)[-2:] == ["JobAdmitted", "JobCompleted"]
                return
            with pytest.raises(WorkerRefused) as refused:
                client.run(job, {INPUT_NAME: self.table}, attested=self._attested(), deadline=60)
            assert refused.value.reason is expected

    def _receipt_of(self, job: SealedJob) -> str | None:
        job_id = job.header.job_id.hex()
        found = [r.event for r in audit_says(self.files.audit) if isinstance(r.event, JobCompleted)]
        return next((event.compact for event in found if event.job_id == job_id), None)

    def _kinds(self, job: SealedJob) -> list[str]:
        job_id, records = job.header.job_id.hex(), audit_says(self.files.audit)
        return [type(r.event).__name__ for r in records if getattr(r.event, "job_id", None) == job_id]


def _moved(files: Deployment, audit: Path) -> Deployment:
    """The same files, with the trail elsewhere."""
    text = files.config.read_text()
    files.config.write_text(text.replace('audit_file = "state/audit.jsonl"', f'audit_file = "{audit}"'))
    return replace(files, audit=audit)


def _usage(worker: Worker) -> dict[str, tuple[Counter[str], int]]:
    """Descriptors and resident KiB of each process, without the connections that its peers keep for later calls."""
    pools: dict[str, set[str]] = {"keyholder": _connections(worker.pids["keyholder"])}
    accepted = _accepted(worker.door.pid)
    pools |= dict.fromkeys(FRONT_NAMES, accepted)
    return {
        name: (_descriptors(pid, ignored=pools.get(name, set())), _resident(pid)) for name, pid in worker.pids.items()
    }


def _descriptors(pid: int, *, ignored: Collection[str]) -> Counter[str]:
    """The kinds of files that a process has open, without numbers of sockets, pipes, processes; only root sees them."""
    found = Counter[str]()
    if not SEES_PROCESSES:
        return found
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if (target := os.readlink(entry)) not in ignored:
                found[re.sub(r"^/proc/[0-9]+/", "/proc/N/", target.partition("[")[0])] += 1
    return found


def _connections(pid: int) -> set[str]:
    """By TCP. Clients of Azure's services keep one or two of each in a pool, longer after a renewal (proc(5))."""
    tables = (Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6"))
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {f"socket:[{line.split()[9]}]" for line in lines}


def _accepted(door: int) -> set[str]:
    """From the door, which keeps some (nginx, `keepalive`); they belong to the namespace of the one that connects."""
    lines = Path(f"/proc/{door}/net/unix").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[6]}]" for line in lines if re.search(r"/front\.sock(\.[0-9]+)?$", line)}


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _opened(site: Site, run: Run) -> pa.Table:
    """The result, after the client's own checks of receipt, input and outputs."""
    collector = Collector(run.job.header)
    for message in run.stream.received:
        collector.take(message)
    header, outputs = collector.finish()
    receipt = collector.done.receipt
    whole = b"".join(run.segments)
    sent = [PartDigest(name=INPUT_NAME, sha256=hashlib.sha256(whole).hexdigest(), bytes=len(whole))]
    job = run.job.header
    verified = verify_result(receipt, job=job, attested=run.attested, sent=sent, header=header, outputs=outputs)
    result = Result(job=job, header=header, outputs=outputs, receipt=verified, attested=run.attested)
    return site.open(result)["result"]

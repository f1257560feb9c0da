"""Jobs in parts on Dask over a pool, with everything that may die there: units start it again, and the job completes.

`PartsBench.check` requires what must hold whatever was killed: the outputs are those of one machine, byte for byte
after opening; one receipt is published, and every other one that was signed is superseded.
"""

import hashlib
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
import pyarrow as pa

from cji_client.seal import SealedJob
from cji_client.spec import InputSpec
from cji_core.operations.parameters import Parameters
from cji_core.trail import AttemptSuperseded, JobAdmitted, JobCompleted, TaskAdmitted, TaskCompleted
from cji_core.trail.chain import read
from cji_core.trail.whole_receipts import WholeReceipts
from cji_engine.messages import Job
from cji_simulator.raw import until
from cji_worker.fleet.tasks.messages import FINISH
from tests.support.engine_tools import Engine, EngineProcess, wait
from tests.support.fleet_bench import Member, Pool
from tests.support.fleet_process import HALTED
from tests.support.parts_pool import names_of, opened, sockets, submit

VICTIMS: Final = ("engine worker", "fleet process", "keyholder", "scheduler", "conductor")
SECONDS: Final = 300.0
"""Of a job with all its deaths. A job of 2000 rows takes about ten."""
_AFTER_SCHEDULER_S: Final = 60.0

Outputs = Mapping[str, bytes]


def plain(out: pa.Table) -> bytes:
    """An output as the bytes of one batch."""
    sink = pa.BufferOutputStream()
    columns = [pa.concat_arrays([pa.nulls(0, column.type), *column.chunks]) for column in out.columns]
    with pa.ipc.new_stream(sink, out.schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=out.schema))
    return bytes(sink.getvalue())


def of_one_machine(
    pool: Pool, records: pa.Table, *operations: Parameters, sides: Mapping[str, pa.Table] | None = None
) -> Outputs:
    """The outputs of a job on the first worker alone, each as `plain` has it."""
    site, schemas = pool.site, {name: InputSpec(schema="person/1") for name in sides or {}}
    result = site.run(records, site.spec(*operations, sides=schemas), sides=sides, deadline=SECONDS)
    return {name: plain(table) for name, table in site.open(result).items()}


class Trails:
    """The events of all members, each read once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._read = Counter[int]()
        self._events: dict[str, list[tuple[int, Any]]] = {}
        self._receipts = defaultdict[int, WholeReceipts](WholeReceipts)

    def of(self, job: str) -> list[tuple[int, Any]]:
        """(worker, event) of everything about a job until now."""
        for member in self._pool.members:
            with member.files.audit.open("rb") as file:
                file.seek(self._read[member.number])
                whole, end, _ = file.read().rpartition(b"\n")
            self._read[member.number] += len(whole) + len(end)
            for line in whole.split(b"\n") if end else ():
                event = read(line + end).event
                if (receipt := self._receipts[member.number].take(event)) is not None:
                    event = msgspec.structs.replace(event, receipt=receipt.compact)
                if (about := getattr(event, "job_id", None)) is not None:
                    self._events.setdefault(about, []).append((member.number, event))
        return self._events.get(job, [])

    def begun(self, job: str, stage: str) -> list[int]:
        """The workers that began a task of this stage, in order."""
        if stage == FINISH:
            return [worker for worker, event in self.of(job) if isinstance(event, JobAdmitted)]
        found = self.of(job)
        return [worker for worker, event in found if isinstance(event, TaskAdmitted) and event.stage_name == stage]

    def tasks(self, job: str, stage: str) -> int:
        """How many different tasks of this stage have ended well."""
        if stage == FINISH:
            return 1
        found = [event for _, event in self.of(job) if isinstance(event, TaskCompleted) and event.stage_name == stage]
        return len({event.task for event in found})


@dataclass(kw_only=True)
class PartsBench:
    """A pool and its engine; `conductor` runs the last job."""

    pool: Pool
    made: Engine
    scheduler: EngineProcess
    address: str
    trails: Trails
    workers: dict[str, EngineProcess] = field(default_factory=dict)
    conductor: EngineProcess | None = None
    _job: Job | None = None
    _ends: float = 0.0

    @classmethod
    def start(cls, pool: Pool, made: Engine) -> "PartsBench":
        """Start the engine: one worker of it beside each member."""
        scheduler = made.scheduler()
        bench = cls(pool=pool, made=made, scheduler=scheduler, address=scheduler.address(), trails=Trails(pool))
        for name in sockets(pool):
            bench._start_worker(name)
        return bench

    def submit(self, records: pa.Table, *operations: Parameters, shards: int, **options: Any) -> SealedJob:
        """Seal and submit; nothing runs yet."""
        return submit(self.pool, records, *operations, shards=shards, **options)

    def conduct(self, job: Job) -> None:
        """Start a conductor. A job has SECONDS from its first one on."""
        if job != self._job:
            self._job, self._ends = job, time.monotonic() + SECONDS
        self.conductor = self.made.conductor(self.address, job.job, job.header_sha384)

    @property
    def runs(self) -> bool:
        """Whether the conductor has not ended."""
        return self.conductor is not None and self.conductor.process.poll() is None

    def kill(self, victim: str, worker: int, job: Job) -> None:
        """SIGKILL one of VICTIMS, that of this worker where each has one; then do what its unit or an operator does."""
        member, name = self.pool.members[worker - 1], f"n{worker}"
        match victim:
            case "engine worker":
                self.workers[name].kill()
                self._start_worker(name)
            case "fleet process":
                member.kill_fleet()
                member.start_fleet()
            case "keyholder":
                member.kill_worker("keyholder")
                member.start()
            case "scheduler":
                self._kill_scheduler()
            case "conductor":
                assert self.conductor is not None
                self.conductor.kill()
                self.conduct(job)
            case _:
                raise ValueError(victim)

    def during_job(self, look: Callable[[], object], what: str) -> None:
        """Wait until `look` is true or the conductor has ended; AssertionError if the job's time ends first."""
        while self.runs and not look():
            assert time.monotonic() < self._ends, f"within {SECONDS:.0f} s no job that {what}"
            time.sleep(0.02)

    def end(self) -> None:
        """Wait for the conductor; AssertionError unless its job completed in its time."""
        assert self.conductor is not None
        try:
            printed = wait(self.conductor, seconds=max(0.0, self._ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {SECONDS:.0f} s; conductor's log: {self.conductor.log}") from None
        assert self.conductor.process.returncode == 0, printed

    @contextmanager
    def halting_at(self, step: str) -> Iterator[None]:
        """Every fleet process stands still at this step, see `fleet_process`."""
        for member in self.pool.members:
            member.kill_fleet()
            member.start_fleet(step)
        try:
            yield
        finally:
            for member in self.pool.members:
                if self.halted(member) or not member.died():
                    member.kill_fleet()
                (member.files.folder / "fleet" / HALTED).unlink(missing_ok=True)
                member.start_fleet()

    def halted(self, member: Member) -> bool:
        """Whether its fleet process stands still."""
        return (member.files.folder / "fleet" / HALTED).exists()

    def check(self, sealed: SealedJob, wanted: Outputs) -> Counter[str]:
        """What must hold once the job has ended; counts of what its trails have."""
        job = names_of(sealed).job
        assert {name: plain(table) for name, table in opened(self.pool, sealed).items()} == wanted
        # a worker that signed a receipt which another one came before says so within a minute
        until(lambda: len(self._receipts(job)[1]) == 1, seconds=SECONDS)
        receipts, left = self._receipts(job)
        published = self.pool.receipt(job)
        assert published is not None
        assert left == [published.receipt]
        events = [event for _, event in self.trails.of(job)]
        begun = sum(isinstance(event, TaskAdmitted) for event in events)
        done = sum(isinstance(event, TaskCompleted) for event in events)
        return Counter({"begun": begun, "done": done, "signed": len(receipts), "receipts": 1})

    def _receipts(self, job: str) -> tuple[list[str], list[str]]:
        """(receipts of a job that were signed, those of them that are not superseded)."""
        events = [event for _, event in self.trails.of(job)]
        signed = [event.compact for event in events if isinstance(event, JobCompleted)]
        superseded = [event.receipt_sha384 for event in events if isinstance(event, AttemptSuperseded)]
        return signed, [each for each in signed if _signed_sha384(each) not in superseded]

    def _start_worker(self, name: str) -> None:
        self.workers[name] = self.made.worker(self.address, name, sockets(self.pool)[name])

    def _kill_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler = self.made.scheduler(port=int(self.address.rpartition(":")[2]))
        self.scheduler.address()
        for name in self.workers:
            until(partial(self._noticed, name), seconds=_AFTER_SCHEDULER_S)
            if self._ended(name):
                self._start_worker(name)

    def _noticed(self, name: str) -> bool:
        """Whether a worker has ended with its scheduler, or was starting and has found the next one."""
        return self._ended(name) or f"name: {name}\n" in self.scheduler.log.read_text()

    def _ended(self, name: str) -> bool:
        return self.workers[name].process.poll() is not None


def _signed_sha384(receipt: str) -> str:
    return hashlib.sha384(receipt.rpartition(".")[0].encode()).hexdigest()

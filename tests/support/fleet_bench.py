"""A pool of workers that share a queue, a ledger and a submitter, each on a VM of its own with its fleet process.

`Pool.check` requires what must hold whatever was killed: every job has one receipt or one failure receipt, its outputs
open to the right records, and every attempt is in the trail of its worker, with its end.
"""

import hashlib
import io
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
from click.testing import CliRunner

from cji_client.parts import open_part
from cji_client.profile import load_profile
from cji_client.received import parse_result_header
from cji_client.seal import INPUT_NAME, SealedJob
from cji_core.command import build
from cji_core.format.envelope import output_aad, unwrap_result_key
from cji_core.pool import names
from cji_core.pool.documents import Failure, Published, decode
from cji_core.pool.store import Blobs
from cji_core.pool.ticket import Ticket
from cji_core.trail import AttemptSuperseded, JobAdmitted, JobCompleted, JobEnded, TicketPoisoned, claims_unverified
from cji_core.trail.failures import FailureClaims, failure_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.admissions import remember
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.ports import free_port
from cji_simulator.processes import ended
from cji_simulator.raw import RawJob, until
from cji_simulator.releases import WORKING_TREE, Release
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import PROGRAM, Worker
from tests.support.fault_bench import audit_says
from tests.support.fleet_process import HALTED, STEP
from tests.support.fleet_storage import Storage
from tests.support.pool_check import check as check_steps
from tests.support.pool_check import seen
from tests.support.silent_link import SilentLink

_T = TypeVar("_T")
_ROOT: Final = Path(__file__).resolve().parents[2]
_MOST: Final = 1 << 24


@dataclass(kw_only=True)
class Member:
    """One worker of the pool, and its fleet process; either may be dead."""

    number: int
    files: Deployment
    azure: Simulation
    cmk: Cmk
    program: Sequence[str] = PROGRAM
    release: Release = WORKING_TREE
    """The code of worker and fleet process."""
    worker: Worker | None = None
    fleet: "subprocess.Popen[bytes] | None" = None

    @property
    def fleet_log(self) -> Path:
        """Log of the fleet process."""
        return self.files.folder / "fleet.log"

    def start(self, *, program: Sequence[str] | None = None) -> None:
        """Start the worker, in a new boot of its VM if it ran before. It runs its `program`, if no other is given."""
        if self.worker is not None:
            self.worker.stop()
            self.azure.reboot()
        log = self.files.folder / "worker.log"
        self.worker = Worker(
            self.files.config,
            trust=self.azure.trust,
            log=log,
            program=program or self.program,
            environment=self.release.environment,
        )

    def become(self, release: Release, program: Sequence[str] = PROGRAM) -> None:
        """Drain, and start the worker of another release in a new boot."""
        self.stop()
        self.release, self.program = release, program
        self.start()

    def start_fleet(self, step: str = "") -> None:
        """Start the fleet process; it dies at `step`."""
        root = self.release.folder or _ROOT
        with self.fleet_log.open("ab") as log:
            self.fleet = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fleet_process", str(self.files.config)],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root), STEP: step},
                stdout=log,
                stderr=log,
            )

    def kill_fleet(self) -> None:
        """SIGKILL."""
        assert self.fleet is not None
        self.fleet.kill()
        self.fleet.wait()

    def kill_worker(self, victim: str) -> None:
        """SIGKILL one process of the worker; the others end with it."""
        assert self.worker is not None
        pids = self.worker.pids
        os.kill(pids[victim], signal.SIGKILL)
        self.worker.process.wait(60)
        until(lambda: all(map(ended, pids.values())))

    def died(self) -> bool:
        """Whether the fleet process has ended; one that stands at its step is killed."""
        marker = self.files.folder / "fleet" / HALTED
        if marker.exists():
            self.kill_fleet()
            marker.unlink()
        return self.fleet is None or self.fleet.poll() is not None

    def unfinished(self) -> list[Path]:
        """The attempts that its fleet process has not finished."""
        return list((self.files.folder / "fleet" / "attempts").iterdir())

    def stop_fleet(self) -> None:
        """Drain the fleet process."""
        if self.fleet is not None and self.fleet.poll() is None:
            self.fleet.terminate()
            try:
                self.fleet.wait(60)
            finally:
                self.kill_fleet()

    def stop(self) -> None:
        """Drain both."""
        self.stop_fleet()
        if self.worker is not None:
            self.worker.stop()

    @property
    def records(self) -> list[Any]:
        """Every line of the trail."""
        return list(audit_says(self.files.audit))

    @property
    def events(self) -> list[Any]:
        """Everything in the trail."""
        return [record.event for record in self.records]


class Pool:
    """The members, and everything that was submitted."""

    def __init__(
        self,
        folder: Path,
        azure: Simulation,
        storage: Storage,
        *,
        workers: int = 1,
        cells: int = 1,
        program: Sequence[str] = PROGRAM,
        release: Release = WORKING_TREE,
        one_id: bool = False,
        prepare: Callable[[Member], None] = lambda _: None,
        **fleet: Any,
    ) -> None:
        """`program` (see `Worker`) and `release` are those of all; `fleet` has more keys of [fleet], and `tries`.

        `one_id`: all have one bundle, so one `worker.id`. `prepare` is called for each before its worker starts.
        """
        self.storage = storage
        self._program, self._release = program, release
        self.jobs: dict[str, tuple[SealedJob, pa.Table]] = {}
        self._aside: dict[str, SealedJob] = {}
        self._over = set[str]()
        self._cleanup = ExitStack()
        blobs = urlsplit(storage.azurite.blob_url)
        self.ledger_link = self._cleanup.enter_context(SilentLink(blobs.netloc))
        """The ledger's way to the account, which no other client takes."""
        self._ledger_url = blobs._replace(netloc=self.ledger_link.target).geturl()
        self.fleet_link = self._cleanup.enter_context(SilentLink(blobs.netloc))
        """The way of all fleet processes to Blob Storage; their queues have another one."""
        self._fleet_url = blobs._replace(netloc=self.fleet_link.target).geturl()
        self._one_id = one_id
        self._tries = fleet.pop("tries", 5)
        self._fleet = {"lease_seconds": 3, "poll_seconds": 0.1, "drain_seconds": 20, **fleet}
        self._blobs, self._results = storage.blobs("jobs"), storage.blobs("results")
        self._queue = storage.queue()
        cmk = azure.create_cmk(f"cji-{folder.name}")
        self.members = [self._member(folder, azure, cmk, number, cells) for number in range(1, workers + 1)]
        try:
            for member in self.members:
                self._cleanup.callback(member.stop)
                prepare(member)
                member.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop everything, whatever fails to stop."""
        self._cleanup.close()

    @property
    def site(self) -> Site:
        """The first worker as its submitter sees it."""
        return self.site_of(self.members[0])

    def seal(self, rows: int = 20, **changes: Any) -> str:
        """A sealed job and its parts in Blob Storage; returns its id. No ticket is sent."""
        table = people(rows, tag=secrets.token_hex(2))
        site = self.site
        sealed = site.seal(site.spec(**changes) if changes else None, rows=rows)
        job = sealed.header.job_id.hex()
        self.jobs[job] = sealed, table
        self._blobs.write(names.part(job, 0), b"".join(sealed.seal_part(0, table)))
        self.put_header(job, sealed.header.data, sealed.signature)
        return job

    def seal_aside(self) -> str:
        """A sealed job that `check` knows nothing of."""
        job = self.seal()
        self._aside[job] = self.jobs.pop(job)[0]
        return job

    def aside(self, job: str) -> SealedJob:
        """The job."""
        return self._aside[job]

    def segments(self, job: str) -> list[bytes]:
        """The segments of its part, which is small."""
        return [self._blobs.read(names.part(job, 0), most=_MOST)]

    def site_of(self, member: Member) -> Site:
        """A member of the pool as its submitter sees it."""
        assert member.worker is not None
        profile = msgspec.structs.replace(load_profile(self._first.profile), target=member.files.target)
        return Site(simulation=member.azure, cmk=member.cmk, files=member.files, worker=member.worker, profile=profile)

    def send_aside(self, job: str) -> None:
        """Send its ticket."""
        self._queue.send(Ticket(job=job, header_sha384=self._aside[job].header.sha384.hex()).encode())

    def put_header(self, job: str, header: bytes, signature: bytes, submitter: str | None = None) -> None:
        """Write a submission."""
        named = self.members[0].files.agency.san if submitter is None else submitter
        found = pb.Submission(header=header, signature=signature, submitter=named)
        self._blobs.write(names.header(job), found.SerializeToString())

    def damage(self, job: str) -> None:
        """Flip the last bit of its part."""
        name = names.part(job, 0)
        data = self._blobs.read(name, most=_MOST)
        self._blobs.write(name, data[:-1] + bytes([data[-1] ^ 1]))

    def send(self, job: str) -> None:
        """Send the ticket of a sealed job."""
        sealed, _ = self.jobs[job]
        self._queue.send(Ticket(job=job, header_sha384=sealed.header.sha384.hex()).encode())

    def submit(self, rows: int = 20) -> str:
        """Seal and send."""
        job = self.seal(rows)
        self.send(job)
        return job

    def receipt(self, job: str) -> Published | None:
        """The published receipt."""
        return _read(self._results, names.receipt(job), Published)

    def failure(self, job: str) -> Failure | None:
        """The published failure receipt."""
        return _read(self._results, names.failure(job), Failure)

    def wait(self, *jobs: str, seconds: float = 120) -> None:
        """Until each of these has a receipt or a failure receipt, and no ticket is left."""
        left = set(jobs or self.jobs) - self._over

        def over() -> bool:
            done = {each for each in left if self._results.exists(names.receipt(each)) or self.failure(each)}
            self._over.update(done)
            left.difference_update(done)
            return not left

        eventually(over, seconds=seconds)
        eventually(lambda: self._queue.state().length == 0, seconds=seconds)

    # ------------------------------------------------------------------ what must hold

    def check(self) -> Counter[str]:
        """Everything that must hold once nothing runs; counts of what became of attempts."""
        events = {member.number: member.events for member in self.members}
        for member in self.members:
            self._trail_is_sound(member)
        self.check_protocol()
        counts = Counter[str]()
        superseded = {e.receipt_sha384 for each in events.values() for e in each if isinstance(e, AttemptSuperseded)}
        for job in self.jobs:
            admitted = [e for each in events.values() for e in each if isinstance(e, JobAdmitted) and e.job_id == job]
            done = [e for each in events.values() for e in each if isinstance(e, JobCompleted) and e.job_id == job]
            names_of = [e.attempt for e in admitted]
            assert None not in names_of
            assert len(set(names_of)) == len(names_of), "an attempt was admitted twice"
            counts["attempts"] += len(admitted)
            counts["superseded"] += len(done) - bool(self.receipt(job))
            if (found := self.receipt(job)) is not None:
                counts["receipts"] += 1
                left = [e.compact for e in done if _digest(e.compact) not in superseded]
                assert left == [found.receipt], "not exactly one receipt that counts"
                assert found.attempt in names_of
                self._outputs_are_right(job, found)
            elif (failure := self.failure(job)) is not None:
                counts["failures"] += 1
                signed = [e for each in events.values() for e in each if isinstance(e, TicketPoisoned)]
                assert failure.failure in {e.failure for e in signed if e.job_id == job}
                assert [e.compact for e in done if _digest(e.compact) not in superseded] == []
            else:
                raise AssertionError(f"{job} is lost")
        return counts

    def check_protocol(self, *, aside: bool = False) -> int:
        """Run trails, ledger and results through the decisions again; the number of jobs with an end."""
        trails = [list(audit_says(member.files.audit)) for member in self.members]
        results = self.storage.all("results")
        published: dict[str, tuple[str, ...]] = {}
        for name, data in results.items():
            job, _, rest = name.partition("/")
            if rest == "receipt":
                published[job] = (*published.get(job, ()), decode(data, Published).receipt)
            elif rest == "failure":
                published[job] = (*published.get(job, ()), decode(data, Failure).failure)
        jobs = seen(self.storage.all("ledger"), trails, published)
        mine = [jobs[job] for job in (*self.jobs, *(self._aside if aside else ())) if job in jobs]
        for each in mine:
            check_steps(each, tries=self._tries)
        return sum(each.end is not None for each in mine)

    def claims_of_failure(self, job: str) -> FailureClaims:
        """The claims of a failure receipt, of which `check` found the line in a trail."""
        failure = self.failure(job)
        assert failure is not None
        return failure_unverified(failure.failure)

    def _trail_is_sound(self, member: Member) -> None:
        checked = CliRunner().invoke(build(member.azure.trust), ["audit", "verify", str(member.files.audit)])
        assert checked.exit_code == 0, checked.output
        running = Counter[str]()
        for event in member.events:
            match event:
                case JobAdmitted(job_id=job_id):
                    running[job_id] += 1
                    assert running[job_id] == 1
                case JobCompleted(job_id=job_id) | JobEnded(job_id=job_id):
                    running[job_id] -= 1
        assert not +running, "an attempt without an end"

    def _outputs_are_right(self, job: str, found: Published) -> None:
        sealed, table = self.jobs[job]
        claims = claims_unverified(found.receipt)
        assert claims.header_sha384 == sealed.header.sha384.hex()
        header = parse_result_header(
            self._results.read(names.result_header(job, found.attempt), most=_MOST), sealed.header
        )
        assert header.sha384.hex() == claims.result_header_sha384
        key = unwrap_result_key(self.site.recipient, next(iter(header.wrapped.values())), sealed.header.sha384)
        for part, output in enumerate(claims.outputs):
            data = self._results.read(names.output(job, found.attempt, part), most=_MOST)
            assert hashlib.sha256(data).hexdigest() == output.sha256
            if part == 0:
                aad = output_aad(header.sha384, part)
                batches = open_part(key, aad, io.BytesIO(data), name=INPUT_NAME, padded=header.padded)
                assert pa.Table.from_batches(batches)["last"] == table["last"]

    # ------------------------------------------------------------------ files

    def _member(self, folder: Path, azure: Simulation, cmk: Cmk, number: int, cells: int) -> Member:
        vm = azure.another_vm()
        home = folder / f"worker-{number}"
        if number == 1:
            self._first = worker_config(
                home, simulation=vm, keys=[cmk], cells=cells, cell_mib=128, reference_mib=0, port=None
            )
            self._text = self._first.config.read_text()
            files = self._first
        else:
            shutil.copytree(
                self._first.folder, home, ignore=shutil.ignore_patterns("state", "fleet", "*.log", "*.door")
            )
            (home / "state").mkdir(mode=0o700)
            files = replace(
                self._first,
                folder=home,
                config=home / "worker.toml",
                policy=home / "policy.toml",
                audit=home / "state" / "audit.jsonl",
                target=f"127.0.0.1:{free_port()}",
            )
        sockets = Path(tempfile.mkdtemp(prefix="cji-fleet-"))
        sockets.chmod(0o711)
        self._cleanup.callback(shutil.rmtree, sockets, ignore_errors=True)
        text = self._text if self._one_id else self._text.replace('id = "worker-1"', f'id = "worker-{number}"')
        if number > 1:
            text = re.sub(r"(?m)^port = \d+", f"port = {files.target.rpartition(':')[2]}", text)
            text = re.sub(r'(?m)^socket = ".*"', f'socket = "{sockets}/door/front.sock"', text)
        state = home / "fleet"
        state.mkdir()
        files.config.write_text(f"{text}\n{self._sections(sockets / 'fleet' / 'front.sock', state)}")
        return Member(number=number, files=files, azure=vm, cmk=cmk, program=self._program, release=self._release)

    def _sections(self, socket_path: Path, state: Path) -> str:
        at = self.storage.azurite
        fleet = {
            "blob_url": self._fleet_url,
            "queue_url": at.queue_url,
            "ca_file": str(at.ca_file),
            "socket": str(socket_path),
            "state": str(state),
            **self._fleet,
        }
        ledger = {"kind": "pool", "blob_url": self._ledger_url, "ca_file": str(at.ca_file), "tries": self._tries}
        return "\n".join(["[fleet]", *_lines(fleet), "[ledger]", *_lines(ledger), ""])


def eventually(look: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until `look` is true; it asks services, so not too often. AssertionError after `seconds`."""
    until_then = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until_then, "it did not come about"
        time.sleep(0.2)


def _lines(values: dict[str, Any]) -> list[str]:
    return [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in values.items()]


def _digest(receipt: str) -> str:
    return hashlib.sha384(receipt.rpartition(".")[0].encode()).hexdigest()


def _read(results: Blobs, name: str, kind: type[_T]) -> _T | None:
    return decode(results.read(name, most=_MOST), kind) if results.exists(name) else None


def raw_of(job: SealedJob) -> RawJob:
    """A job to be sent by hand."""
    remember(job.header.data, job.send_key, job.header.suite)
    return RawJob(header=job.header.data, signature=job.signature, dek=b"")

"""A cluster on this machine: a pool of workers with fleet processes, storage, and the engine with its certificates.

Every worker runs on a VM of its own. The engine runs in `.engine`, as processes that have nothing of a worker: its
certificates are made by `cji-cluster certificates`, and its only way to a worker is the socket for tasks.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from cji_client.profile import load_profile
from cji_core.pool.store import Blobs
from cji_simulator.azurite import Azurite, StorageCredential, azurite
from cji_simulator.errors import SimulatorError
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.members import another_member
from cji_simulator.ports import free_port
from cji_simulator.programs import printed, program
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site
from cji_simulator.worker import Worker

__all__ = ["Cluster", "ClusterError", "cluster"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_ENGINE: Final = _ROOT / ".engine" / "bin" / "cji-cluster"
_CONTAINERS: Final = ("jobs", "results", "ledger", "shuffle")
_QUEUES: Final = ("jobs", "jobs-poison")
_ADDRESS: Final = re.compile(r"^(tls://\S+)$", re.MULTILINE)


class ClusterError(SimulatorError):
    """The cluster lacks something here, or its job did not end."""

    code = "cluster-failed"
    remedy = "Read the log of the cluster."


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The first worker as a submitter sees it, storage, and the command of a conductor."""

    site: Site
    storage: Azurite
    scheduler: str
    files: Mapping[str, str]
    pids: Mapping[str, int]
    """Of the engine and the fleet processes, by name."""

    def container(self, name: str) -> Blobs:
        """A container of the pool."""
        at = self.storage
        return Blobs(at.blob_url, name, credential=StorageCredential(), ca_file=str(at.ca_file))

    def conductor(self, job: str, header_sha384: str) -> list[str]:
        """The command that runs a submitted job."""
        options = [part for name, value in self.files.items() for part in (f"--{name}", value)]
        names = ["--job", job, "--header-sha384", header_sha384]
        return [str(_ENGINE), "run", self.scheduler, *names, *options]


@contextmanager
def cluster(folder: Path, *, nodes: int, cells: int, cell_mib: int) -> Iterator[Cluster]:
    """Start everything, until the block ends. Raises ClusterError, ProgramDied, WorkerDied, SimulationError."""
    if not _ENGINE.exists():
        raise ClusterError(
            "the engine's environment is missing; `cluster` runs in a clone of cji-worker, after `make setup engine`"
        )
    with ExitStack() as stack:
        storage = stack.enter_context(azurite(_made(folder / "storage")))
        _fill(storage)
        azure = stack.enter_context(Simulation(folder / "azure", release_limit=10 * nodes))
        cmk = azure.create_cmk("cji-cluster")
        members: list[tuple[Deployment, Worker, Simulation]] = []
        running: dict[str, subprocess.Popen[bytes]] = {}
        for number in range(1, nodes + 1):
            vm = azure.another_vm()
            first = members[0][0] if members else None
            files = _member(stack, folder / f"node-{number}", vm, cmk, first, storage, cells=cells, cell_mib=cell_mib)
            worker = Worker(files.config, trust=vm.trust, log=files.folder / "worker.log")
            stack.callback(worker.stop)
            members.append((files, worker, vm))
            command = [sys.executable, "-m", "cji_simulator.fleet", str(files.config)]
            running[f"fleet-{number}"] = program(stack, command, files.folder / "fleet.log")
        pki = folder / "engine"
        _certificates(pki, nodes)
        port = free_port()
        command = [str(_ENGINE), "scheduler", "--port", str(port), *_options(pki, "scheduler-main")]
        log = folder / "scheduler.log"
        running["scheduler"] = program(stack, command, log)
        scheduler = printed(running["scheduler"], log, _ADDRESS)
        for number, (files, _, _) in enumerate(members, start=1):
            printed(running[f"fleet-{number}"], files.folder / "fleet.log", re.compile('("fleet serves")'))
            name = f"node-{number}"
            command = [str(_ENGINE), "worker", scheduler, "--name", name, "--tasks", str(cells)]
            command += _options(pki, f"worker-{name}")
            log = files.folder / "engine.log"
            named = {"CJI_TASKS_SOCKET": str(files.folder / "tasks.sock")}
            running[name] = program(stack, command, log, environment=named)
            printed(running[name], log, _ADDRESS)
        files, worker, vm = members[0]
        yield Cluster(
            site=Site(simulation=vm, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile)),
            storage=storage,
            scheduler=scheduler,
            files={
                "ca": str(pki / "ca.pem"),
                "certificate": str(pki / "conductor-ops.pem"),
                "key": str(pki / "conductor-ops.key"),
            },
            pids={name: process.pid for name, process in running.items()},
        )


def _member(
    stack: ExitStack,
    home: Path,
    vm: Simulation,
    cmk: Cmk,
    first: Deployment | None,
    storage: Azurite,
    *,
    cells: int,
    cell_mib: int,
) -> Deployment:
    """The files of a worker of the pool: those of the first, with its own name, sockets and port."""
    sockets = Path(tempfile.mkdtemp(prefix="cji-cluster-"))
    stack.callback(shutil.rmtree, sockets, ignore_errors=True)
    sockets.chmod(0o711)
    if first is None:
        files = worker_config(
            home, simulation=vm, keys=[cmk], cells=cells, cell_mib=cell_mib, reference_mib=0, port=None
        )
    else:
        files = another_member(first, home, front=sockets / "door" / "front.sock")
    text = files.config.read_text().partition("\n[fleet]")[0]
    (home / "fleet").mkdir()
    files.config.write_text(f"{text}\n{_sections(storage, sockets / 'fleet' / 'front.sock', home)}")
    return files


def _sections(storage: Azurite, front: Path, home: Path) -> str:
    account = f'blob_url = "{storage.blob_url}"\nca_file = "{storage.ca_file}"\n'
    return (
        f'\n[fleet]\nsocket = "{front}"\ntasks_socket = "{home / "tasks.sock"}"\nstate = "{home / "fleet"}"\n'
        f'queue_url = "{storage.queue_url}"\n{account}\n[ledger]\nkind = "pool"\n{account}'
    )


def _certificates(pki: Path, nodes: int) -> None:
    workers = [part for number in range(1, nodes + 1) for part in ("--worker", f"node-{number}")]
    command = [str(_ENGINE), "certificates", str(pki), "--scheduler", "main", *workers, "--conductor", "ops"]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise ClusterError(f"no certificates could be made in {pki}")


def _options(pki: Path, stem: str) -> list[str]:
    return [
        *("--ca", str(pki / "ca.pem")),
        *("--certificate", str(pki / f"{stem}.pem")),
        *("--key", str(pki / f"{stem}.key")),
    ]


def _fill(storage: Azurite) -> None:
    verify = str(storage.ca_file)
    with (
        BlobServiceClient(storage.blob_url, credential=StorageCredential(), connection_verify=verify) as blobs,
        QueueServiceClient(storage.queue_url, credential=StorageCredential(), connection_verify=verify) as queues,
    ):
        for name in _CONTAINERS:
            blobs.create_container(name)
        for name in _QUEUES:
            queues.create_queue(name)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

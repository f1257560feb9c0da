"""Tasks of an engine on another machine, through the doors of workers: who is let in, and a job on two of them."""

import socket
import ssl
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cji_engine.messages import FINISH, NO_PLAN, START, Done, Request, framed, read_answer
from cji_engine.node import Doors, RemoteNode
from cji_engine.roles import Role
from cji_simulator.ports import free_port
from tests.support.engine_doors import NAME, TasksDoor, pool_authority, tasks_door
from tests.support.engine_nodes import AFTER, DIGEST, JOB, TASKS, Pool, outcome
from tests.support.engine_tools import Engine, EngineProcess, engine

REQUEST = Request(job=JOB, header_sha384=DIGEST, plan=NO_PLAN, stage=START, task=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    made: Engine
    pool: Pool
    doors: list[TasksDoor]

    def node(self, certificate: Path, *, port: int = 0, name: str = NAME, roots: Path | None = None) -> RemoteNode:
        door = self.doors[0]
        found = Doors.of(name, roots or door.roots, certificate=certificate, key=certificate.with_suffix(".key"))
        return RemoteNode.at(f"127.0.0.1:{port or door.port}", found)

    @property
    def worker(self) -> Path:
        """The certificate of the engine's worker."""
        return Path(self.made.files(Role.WORKER, "all")[3])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cji-doors-")))
        folder.chmod(0o711)  # the door is another user
        (folder / "engine").mkdir()
        made = stack.enter_context(engine(folder / "engine"))
        pool, doors, ca = Pool(folder), [], pool_authority()
        stack.callback(pool.close)
        for name in ("n1", "n2"):
            (folder / name).mkdir(mode=0o711)
            path = pool.node(name)
            path.chmod(0o666)
            doors.append(stack.enter_context(tasks_door(folder / name, made.folder, path, ca=ca)))
        yield Site(made=made, pool=pool, doors=doors)


def refused(connect: Callable[[], socket.socket]) -> bool:
    """Whether a request by this connection gets no answer, be it refused in the handshake or after it."""
    try:
        with connect() as connection:
            connection.sendall(framed(REQUEST))
            return connection.recv(1) == b""
    except OSError:
        return True


def test_a_task_of_the_engine_arrives(site: Site) -> None:
    with site.node(site.worker).connect() as connection:
        assert isinstance(connection, ssl.SSLSocket)
        assert (connection.cipher() or ("",))[0] == "TLS_AES_256_GCM_SHA384"
        connection.sendall(framed(REQUEST))
        assert isinstance(read_answer(connection.recv), Done)


def test_a_submitter_brings_no_tasks(site: Site) -> None:
    """And one of the engine is no submitter: each port has an authority of its own."""
    assert refused(site.node(site.doors[0].submitter).connect)
    assert refused(site.node(site.worker, port=site.doors[0].submitters).connect)
    assert not refused(site.node(site.worker).connect)


def test_nobody_brings_tasks_without_a_certificate(site: Site) -> None:
    context = ssl.create_default_context(cafile=str(site.doors[0].roots))

    def connect() -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", site.doors[0].port), timeout=10)
        return context.wrap_socket(plain, server_hostname=NAME)

    assert refused(connect)


def test_the_engine_brings_no_tasks_to_another_door(site: Site) -> None:
    for other in ({"name": "other.example"}, {"roots": site.made.folder / "ca.pem"}):
        with pytest.raises(ssl.SSLCertVerificationError):
            site.node(site.worker, **other).connect()


def test_one_process_of_the_engine_serves_all_nodes(site: Site) -> None:
    """A whole job, by name, on two nodes."""
    scheduler = site.made.scheduler()
    address = scheduler.address()
    hosts = [f"{host}:{door.port}" for host, door in zip(("127.0.0.1", "localhost"), site.doors, strict=True)]
    options = [part for host in hosts for part in ("--node", host)]
    options += ["--node-name", NAME, "--node-roots", str(site.doors[0].roots), "--port", str(free_port())]
    worker = site.made.start("worker", address, *site.made.files(Role.WORKER, "all"), *options)
    worker.address()
    conductor: EngineProcess = site.made.conductor(address, JOB, DIGEST)
    found = outcome(conductor)
    assert conductor.process.returncode == 0
    assert site.pool.ran == Counter(TASKS)
    stages = found["stages"]
    assert isinstance(stages, list)
    assert [(one["name"], one["done"]) for one in stages] == [*AFTER.items(), (FINISH, 1)]

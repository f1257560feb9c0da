"""Scheduler, workers and conductor as processes with certificates; the fleet process's side of the socket is real too.

In place of cells, nodes of `engine_nodes` answer after a moment and remember what was published, as Blob Storage does.
"""

import contextlib
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_engine.roles import Role
from cji_worker.fleet.tasks.messages import FINISH
from tests.support.engine_nodes import AFTER, DIGEST, JOB, TASKS, Pool, outcome
from tests.support.engine_tools import Engine, EngineProcess, engine, until, wait


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Pool, EngineProcess]]:
    folder = tmp_path_factory.mktemp("e")
    pool = Pool(folder)
    with engine(folder) as made:
        scheduler = made.scheduler()
        address = scheduler.address()
        for name in ("n1", "n2"):
            made.worker(address, name, pool.node(name), tasks=2).address()  # once it has registered
        yield made, pool, scheduler
    pool.close()


@pytest.fixture(autouse=True)
def empty(running: tuple[Engine, Pool, EngineProcess]) -> None:
    _, pool, _ = running
    pool.published.clear()
    pool.ran.clear()
    pool.running.clear()
    pool.broken.clear()
    pool.seconds = 0.0


def test_a_job_runs_stage_by_stage_on_both_nodes(running: tuple[Engine, Pool, EngineProcess]) -> None:
    made, pool, scheduler = running
    pool.broken.add("n2")  # one failing node does not stop a job
    conductor = made.conductor(scheduler.address(), JOB, DIGEST)
    found = outcome(conductor)
    assert conductor.process.returncode == 0
    assert found["refused"] is None
    assert pool.ran == Counter(TASKS)
    stages = found["stages"]
    assert isinstance(stages, list)
    assert [(one["name"], one["done"]) for one in stages] == [*AFTER.items(), (FINISH, 1)]


def test_a_job_that_every_node_refuses_ends_with_the_reason(running: tuple[Engine, Pool, EngineProcess]) -> None:
    made, pool, scheduler = running
    pool.broken |= {"n1", "n2"}
    conductor = made.conductor(scheduler.address(), JOB, DIGEST)
    printed = wait(conductor)
    assert conductor.process.returncode == 1
    assert "UNKNOWN_KEY" in printed
    assert not pool.ran


@pytest.mark.parametrize("stage", ["split"])
def test_conductor_worker_and_scheduler_die_and_every_task_ends(
    running: tuple[Engine, Pool, EngineProcess], stage: str, tmp_path: Path
) -> None:
    _, pool, _ = running
    pool.seconds = 0.4
    with engine(tmp_path) as made:
        scheduler = made.scheduler()
        address = scheduler.address()
        first = made.conductor(address, JOB, DIGEST)  # which waits for workers
        sockets = {name: pool.folder / f"{name}.sock" for name in ("n1", "n2")}
        workers = {name: made.worker(address, name, path, tasks=2) for name, path in sockets.items()}
        until(lambda: pool.running[stage], "the stage runs")
        first.kill()
        second = made.conductor(address, JOB, DIGEST)
        until(lambda: pool.running["pairs"], "the next stage runs")
        workers["n1"].kill()
        until(lambda: sum(number for (name, _), number in pool.ran.items() if name == "pairs"), "a task of it ended")
        scheduler.kill()
        made.scheduler(port=int(address.rpartition(":")[2])).address()
        for name, path in sockets.items():
            workers[name].process.wait(timeout=60)  # as a unit would start them again
            made.worker(address, name, path, tasks=2)
        found = outcome(second)
        assert second.process.returncode == 0
        assert found["refused"] is None
    assert set(pool.ran) == TASKS
    assert pool.published == TASKS


INTRUDER = """
import asyncio, json, sys
from pathlib import Path
from distributed.core import connect
from cji_engine.nodes import harden
from cji_engine.roles import Role
from cji_engine.tls import Files, MutualTls
harden()
async def ask(address, listener, stem, operation):
    files = Files(ca=Path(stem).parent / "ca.pem", certificate=Path(stem + ".pem"), key=Path(stem + ".key"))
    arguments = MutualTls(Role.CONDUCTOR, files).get_connection_args("client")
    arguments["server_hostname"] = listener
    try:
        comm = await connect(address, timeout=4, **arguments)
        await comm.write({"op": operation, "reply": True})
        await asyncio.wait_for(comm.read(), 4)
        return True
    except Exception:
        return False
async def main():
    return await asyncio.gather(*(ask(*one) for one in json.loads(sys.argv[1])))
print(json.dumps(asyncio.run(main())))
"""


def test_a_certificate_gives_the_rights_of_its_role(running: tuple[Engine, Pool, EngineProcess]) -> None:
    """Dask alone would let every certificate of the authority do everything, at every process."""
    made, _, scheduler = running
    there, node = scheduler.address(), made.processes[1].address()
    expected = {
        (there, Role.SCHEDULER, Role.CONDUCTOR, "identity"): True,
        (there, Role.SCHEDULER, Role.WORKER, "identity"): True,
        (there, Role.SCHEDULER, Role.WORKER, "run_function"): False,
        (there, Role.SCHEDULER, Role.WORKER, "broadcast"): False,
        (there, Role.SCHEDULER, Role.WORKER, "register-client"): False,
        (there, Role.SCHEDULER, Role.SCHEDULER, "identity"): False,
        (there, Role.WORKER, Role.CONDUCTOR, "identity"): False,
        (node, Role.WORKER, Role.CONDUCTOR, "identity"): False,
        (node, Role.WORKER, Role.WORKER, "identity"): False,
        (node, Role.WORKER, Role.SCHEDULER, "identity"): True,
        (node, Role.SCHEDULER, Role.CONDUCTOR, "identity"): False,
    }
    attempts = []
    for address, listener, role, operation in expected:
        made.files(role, "intruder")
        attempts.append((address, listener.host, str(made.folder / f"{role}-intruder"), operation))
    printed = wait(made.start(json.dumps(attempts), code=INTRUDER))
    answered = json.loads(printed.splitlines()[-1])
    assert dict(zip(expected, answered, strict=True)) == expected


MESSENGER = """
import asyncio, contextlib, json, sys
from pathlib import Path
from distributed.comm.registry import get_backend
from distributed.protocol import ToPickle
from cji_engine.nodes import harden
from cji_engine.roles import Role
from cji_engine.tls import Files, MutualTls
harden()
class Code:
    def __reduce__(self):
        return exec, ("import os; open(f'ran-{os.getpid()}', 'w').close()",)
async def send(address, listener, stem):
    files = Files(ca=Path(stem).parent / "ca.pem", certificate=Path(stem + ".pem"), key=Path(stem + ".key"))
    arguments = MutualTls(Role.WORKER, files).get_connection_args("client")
    arguments["server_hostname"] = listener
    connector = get_backend("tls").get_connector()
    comm = await connector.connect(address.removeprefix("tls://"), deserialize=False, **arguments)
    await comm.write({**comm.handshake_info(), "more": ToPickle(Code())})
    with contextlib.suppress(OSError):
        await comm.write({"op": "run_function", "reply": True})
        while True:
            await comm.read()  # until it is refused
async def main():
    await asyncio.gather(*(send(*one) for one in json.loads(sys.argv[1])))
asyncio.run(main())
"""


def test_any_certificate_runs_code_in_the_first_message(running: tuple[Engine, Pool, EngineProcess]) -> None:
    """What the documentation states: Dask unpickles it before a role can be checked."""
    made, _, scheduler = running
    made.files(Role.WORKER, "intruder")
    stem = str(made.folder / f"{Role.WORKER}-intruder")
    attacked = {Role.SCHEDULER: scheduler, Role.WORKER: made.processes[1]}
    sent = [(process.address(), role.host, stem) for role, process in attacked.items()]
    wait(made.start(json.dumps(sent), code=MESSENGER))
    ran = [made.folder / f"ran-{process.process.pid}" for process in attacked.values()]
    assert [path.exists() for path in ran] == [True, True]


def test_nobody_but_a_scheduler_can_be_taken_for_one(running: tuple[Engine, Pool, EngineProcess]) -> None:
    made, _, _ = running
    worker = made.processes[1].address()
    conductor = made.start(
        *("run", worker, *made.files(Role.CONDUCTOR, "ops")),
        *("--job", JOB, "--header-sha384", DIGEST, "--yes", "--json"),
    )
    assert "does not answer" in wait(conductor)
    assert conductor.process.returncode == 4


def test_without_tls_nothing_answers(running: tuple[Engine, Pool, EngineProcess]) -> None:
    made, _, scheduler = running
    for address in (scheduler.address(), made.processes[1].address()):
        host, _, port = address.removeprefix("tls://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=60) as plain:
            plain.settimeout(60)
            plain.sendall(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in plain.recv(4096)


def test_no_other_port_is_open(running: tuple[Engine, Pool, EngineProcess]) -> None:
    """No dashboard, no HTTP server, no nanny: one port of one address, and no children."""
    made, _, _ = running
    for one in made.processes[:3]:
        inodes = {
            link[8:-1]
            for path in Path(f"/proc/{one.process.pid}/fd").iterdir()
            if (link := str(path.readlink())).startswith("socket:[")
        }
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        rows += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
        listening = [row for row in rows if row[9] in inodes and row[3] == "0A"]
        assert [row[1].partition(":")[0] for row in listening] == ["0100007F"]
        children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text()
        assert children == ""

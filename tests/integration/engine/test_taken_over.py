"""`client.run` of arbitrary code on a worker of the engine, which Dask allows to every conductor, finds one socket.

The worker of the engine runs as the user that its unit gives it. Beside it are a socket and files as a worker and a
fleet process have them: the trail, the sockets of front, control and fleet, in folders of their groups.
"""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cji_core.errors import Reason, Refusal, Stage
from cji_engine.roles import Role
from cji_worker.fleet.tasks.messages import Answer, Request
from cji_worker.fleet.tasks.server import Cancellation, Progressed, TaskServer, listen
from tests.support.engine_tools import Engine, engine, wait

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs users")]

ENGINE_USER, WORKER_USER, FLEET_USER = 65531, 65530, 65529
SECRET = b"PLANTED-RECORD-OF-JOHN-DOE"
SEARCH = """
import json, os, socket
def search():
    found = {"user": os.geteuid(), "read": [], "sockets": [], "seen": [], "killed": []}
    for path in PATHS:
        try:
            with open(path, "rb") as file:
                found["read"].append([path, file.read(64).decode()])
        except OSError:
            pass
    names = {line.split()[-1] for line in open("/proc/net/unix") if "/" in line.split()[-1]} | set(SOCKETS)
    for name in sorted(names):
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(1)
            try:
                one.connect(name)
                found["sockets"].append(name)
            except OSError:
                pass
    for pid in PIDS:
        for part in ("mem", "environ", "maps", "fd/0", "root/etc/hostname"):
            try:
                with open(f"/proc/{pid}/{part}", "rb") as file:
                    file.read(1)
                found["seen"].append([pid, part])
            except OSError:
                pass
        try:
            os.kill(pid, 0)
            found["killed"].append(pid)
        except OSError:
            pass
    return found
print(json.dumps(list(client.run(search).values())[0]))
"""


def answer(_request: Request, _progress: Progressed, _gone: Cancellation) -> Answer:
    raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.ADMIT)


@pytest.fixture
def running() -> Iterator[tuple[Engine, Path]]:
    """The engine in a folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="cji-e-"))
    folder.chmod(0o755)
    try:
        with engine(folder) as made:
            yield made, folder
    finally:
        shutil.rmtree(folder)


def private(folder: Path, user: int, group: int, mode: int) -> Path:
    folder.mkdir()
    os.chown(folder, user, group)
    folder.chmod(mode)
    return folder


def test_code_on_a_worker_reaches_the_socket_for_tasks_alone(running: tuple[Engine, Path]) -> None:
    made, folder = running
    trail = private(folder / "lib", WORKER_USER, WORKER_USER, 0o750) / "audit.jsonl"
    trail.write_bytes(SECRET)
    os.chown(trail, WORKER_USER, WORKER_USER)
    trail.chmod(0o640)
    key = private(folder / "etc", WORKER_USER, WORKER_USER, 0o700) / "seed.key"
    key.write_bytes(SECRET)
    tasks = private(folder / "tasks", FLEET_USER, ENGINE_USER, 0o2750) / "tasks.sock"
    with ExitStack() as stack:
        server = TaskServer(listen(tasks), answer)
        os.chown(tasks, FLEET_USER, ENGINE_USER)
        server.start()
        stack.callback(server.close)
        others = []
        for name in ("front", "control", "status"):
            there = private(folder / name, WORKER_USER, FLEET_USER, 0o2750) / "it.sock"
            others.append(str(there))
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(there))
            listener.listen()
            os.chown(there, WORKER_USER, FLEET_USER)
            there.chmod(0o660)
        scheduler = made.scheduler().address()
        made.files(Role.WORKER, "n1")
        os.chown(folder / "worker-n1.key", ENGINE_USER, ENGINE_USER)
        made.worker(scheduler, "n1", tasks, as_user=ENGINE_USER).address()
        code = f"PATHS, SOCKETS, PIDS = {[str(trail), str(key)]!r}, {[str(tasks), *others]!r}, {[os.getpid()]!r}\n"
        client = made.client(scheduler, code + SEARCH)
        found = json.loads(wait(client).splitlines()[-1])
    assert found["user"] == ENGINE_USER
    assert found["read"] == []
    assert found["seen"] == []
    assert found["killed"] == []
    assert str(tasks) in found["sockets"]
    assert not set(others) & set(found["sockets"])

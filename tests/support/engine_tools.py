"""The engine as its units run it: scheduler, workers and conductors in `.engine`, each a process with a certificate."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cji_engine.certificates import authority, certificate
from cji_engine.roles import Role
from cji_simulator.ports import free_port
from tests.support.paths import ROOT

PYTHON: Final = ROOT / ".engine" / "bin" / "python"
_ADDRESS: Final = re.compile(rb"^(tls://[0-9.]+:\d+)$", re.MULTILINE)
_SECONDS: Final = 120.0


@dataclass
class EngineProcess:
    """A process of the engine and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def address(self) -> str:
        """Its address, once it listens."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            if found := _ADDRESS.search(self.log.read_bytes()):
                return found[1].decode()
            time.sleep(0.05)
        raise RuntimeError(f"no address: {self.log.read_text(errors='replace')}")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Engine:
    """A folder with an authority, and the processes that were started in it."""

    folder: Path
    processes: list[EngineProcess] = field(default_factory=list)

    def files(self, role: Role, name: str) -> tuple[str, ...]:
        """The options with a certificate of this role, made when it is first asked for."""
        stem = self.folder / f"{role}-{name}"
        if not stem.with_suffix(".pem").exists():
            certificate(self.folder, role, name, days=1)
        files = ("--certificate", f"{stem}.pem", "--key", f"{stem}.key")
        return ("--ca", str(self.folder / "ca.pem"), *files)

    def start(
        self, *arguments: str, socket: Path | None = None, code: str | None = None, as_user: int | None = None
    ) -> EngineProcess:
        """A process of `cji-cluster`, or one that runs `code` in the engine's environment."""
        log = self.folder / f"{len(self.processes)}.log"
        command = [str(PYTHON), *(("-m", "cji_engine") if code is None else ("-c", code)), *arguments]
        if as_user is not None:
            command = [sys.executable, "-c", _AS_USER, str(as_user), *command]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT / "engine"), "HOME": str(self.folder)}
        if socket is not None:
            environment["CJI_TASKS_SOCKET"] = str(socket)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
            )
        started = EngineProcess(process, log)
        self.processes.append(started)
        return started

    def scheduler(self, *, port: int | None = None) -> EngineProcess:
        """A scheduler on a port that nobody has, or on that of one before it."""
        return self.start("scheduler", *self.files(Role.SCHEDULER, "main"), "--port", str(port or free_port()))

    def worker(
        self, scheduler: str, name: str, socket: Path, *, tasks: int = 1, as_user: int | None = None
    ) -> EngineProcess:
        """The worker of node `name`, whose fleet process has this socket."""
        files = self.files(Role.WORKER, name)
        return self.start(
            "worker", scheduler, *files, "--name", name, "--tasks", str(tasks), socket=socket, as_user=as_user
        )

    def conductor(self, scheduler: str, job: str, digest: str, *options: str) -> EngineProcess:
        """A conductor of one job."""
        files = self.files(Role.CONDUCTOR, "ops")
        names = ("--job", job, "--header-sha384", digest)
        return self.start("run", scheduler, *files, *names, "--yes", "--json", *options)

    def client(self, scheduler: str, code: str, *arguments: str) -> EngineProcess:
        """A conductor's certificate in other hands: `code` has a connected `client`."""
        return self.start(scheduler, *self.files(Role.CONDUCTOR, "ops"), *arguments, code=_CLIENT + code)

    def end(self) -> None:
        """End all processes, the newest first."""
        for one in reversed(self.processes):
            one.kill()


_AS_USER: Final = """
import os, sys
from cji_simulator.view import let_others_reach_the_code
let_others_reach_the_code()
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""The folders of this checkout may be closed to other users."""

_CLIENT: Final = """
import sys
from pathlib import Path
from distributed import Client
from cji_engine.nodes import harden
from cji_engine.roles import Role
from cji_engine.tls import Files, MutualTls
harden()
files = Files(ca=Path(sys.argv[3]), certificate=Path(sys.argv[5]), key=Path(sys.argv[7]))
tls = MutualTls(Role.CONDUCTOR, files)
client = Client(sys.argv[1], security=tls, direct_to_workers=False, set_as_default=False, timeout=20)
"""


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine with an authority of its own, until the block ends."""
    authority(folder, days=1)
    made = Engine(folder)
    try:
        yield made
    finally:
        made.end()


def wait(process: EngineProcess, *, seconds: float = _SECONDS) -> str:
    """What a process printed, once it has ended. Raises subprocess.TimeoutExpired."""
    process.process.wait(timeout=seconds)
    return process.log.read_text(errors="replace")


def until(holds: "Sequence[object] | object", what: str) -> None:
    """Wait until a callable holds."""
    assert callable(holds)
    end = time.monotonic() + _SECONDS
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {_SECONDS:.0f} s: {what}")
        select.select([], [], [], 0.02)

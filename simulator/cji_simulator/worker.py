"""A worker of its own processes behind its TLS door, running production code under a simulation's trust.

`Worker` starts `python -m cji_simulator.worker CONFIG` and waits until it serves. That program is what `cji serve`
is in production, but for the constructor argument: it passes the simulation's `Trust` instead of the compiled-in pins.
"""

import ctypes
import hashlib
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import msgspec

from cji_attestation import Trust
from cji_core.documents import decode
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import load
from cji_core.log import log
from cji_core.manifest import OURS, Code
from cji_simulator.errors import SimulatorError
from cji_simulator.view import let_others_reach_the_code
from cji_worker.host import Host
from cji_worker.memory import secret_fd
from cji_worker.rights import can_become_users
from cji_worker.supervisor import Supervisor

__all__ = ["Worker", "WorkerDied", "main", "memory_kind", "working_tree"]

PROGRAM: Final = ("-P", "-m", "cji_simulator.worker")
"""Without the current folder on sys.path: `environment` may name other code with PYTHONPATH."""
_START_S: Final = 180.0
"""A vault that throttles is waited for."""
_STOP_S: Final = 30.0
_LOOK_S: Final = 0.1
_CAP_IPC_LOCK: Final = 14
_USER_PID_NET_IPC: Final = 0x10000000 | 0x20000000 | 0x40000000 | 0x08000000
_ENOUGH_BYTES: Final = 1 << 30
"""Of lockable memory, for two cells and the keyholder of a default configuration, and two of everything in tests."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the program's output."""

    pids: dict[str, int]


class WorkerDied(SimulatorError):  # noqa: N818 - an event in a test
    """The worker ended before it served."""

    code = "worker-died"
    remedy = "Read its log."


class Worker:
    """A running worker; a context manager that drains it at the end. `log` is the file of its structured log.

    `program` is the module that `python` runs with the configuration file, and arguments before it. `host` is a folder
    in which it finds /proc and /sys instead of the machine's own; `under` is a command that executes the one after it;
    `environment` has more variables for it; it must serve within `seconds`. `given_up` is asked while it starts: if it
    returns True, the start ends with WorkerDied.
    """

    def __init__(
        self,
        config: Path,
        *,
        trust: Trust,
        log: Path,
        python: str = sys.executable,
        program: Sequence[str] = PROGRAM,
        host: Path | None = None,
        under: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
        seconds: float = _START_S,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.log, self._trust, self._given_up = log, trust, given_up
        self._environment, self._seconds = {**os.environ, **environment}, seconds
        self.config = load(config)
        self._command = [*under, python, *program, str(config), *([str(host)] if host else [])]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves; after `stop` or `kill`, again. Raises WorkerDied."""
        # the program below, which a worker starts as, has no door
        from cji_simulator.door import Door, DoorError, fleet_folder, socket_folder

        folder = socket_folder(self.config)
        self._cleanup = ExitStack()
        self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        if (fleet := fleet_folder(self.config)) is not None:
            self._cleanup.callback(shutil.rmtree, fleet, ignore_errors=True)
        sink = self._cleanup.enter_context(self.log.open("ab"))
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, env=self._environment
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(self._trust))
        self.process.stdin.close()
        end, served = time.monotonic() + self._seconds, False
        while not served and time.monotonic() < end and not self._given_up():
            served = bool(select.select([self.process.stdout], [], [], _LOOK_S)[0])
        line = self.process.stdout.readline() if served else b""
        if not line:
            self.kill()
            raise WorkerDied(f"the worker did not start; its reasons are in {self.log}")
        self._ready = decode(line, Ready, limit=1 << 20)
        try:
            self.door = Door(self.config, log=self.log.with_name(f"{self.log.name}.door"))
        except DoorError as error:
            self.stop()
            raise WorkerDied(str(error)) from None
        self._cleanup.callback(self.door.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port of its door."""
        return self.config.listen.port

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of supervisor, zygote, keyholder and front."""
        return {"supervisor": self.process.pid, **self._ready.pids}

    def kill(self) -> None:
        """End it at once, as the end of its machine does."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        self._cleanup.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self) -> int:
        """Drain; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self._close()


_descriptors: Final[list[int]] = []


def memory_kind() -> str:
    """`memfd_secret` as in production; `ordinary` where this user may lock too little of it (RLIMIT_MEMLOCK)."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    capabilities = next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")
    )
    may_lock = int(capabilities, 16) >> _CAP_IPC_LOCK & 1 or limit == resource.RLIM_INFINITY or limit >= _ENOUGH_BYTES
    return "memfd_secret" if may_lock else "ordinary"


def _kept(size: int) -> int:
    """Memory for the worker, of which this program keeps a descriptor: a test looks inside through it.

    The worker sees what it was handed; its receipts are simulated in any case.
    """
    if memory_kind() == "memfd_secret":
        fd = secret_fd(size)
    else:
        fd = os.memfd_create("cji-ordinary", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
    _descriptors.append(os.dup(fd))
    return fd


def has_namespaces() -> bool:
    """Whether this user may make the namespaces of zygote and cells; if not, the log says that they have none."""
    child = os.fork()
    if not child:
        os._exit(ctypes.CDLL(None).unshare(_USER_PID_NET_IPC))
    _, status = os.waitpid(child, 0)
    if status:
        log("notice", what="this machine gives cells no namespaces of their own")
    return status == 0


def has_users() -> bool:
    """Whether the processes can be users of their own, who reach the code; if not, the log says that they share one."""
    if can_become_users():
        try:
            let_others_reach_the_code()
        except OSError as error:
            log("notice", what="the worker's code cannot be shown to other users", error=type(error).__name__)
        else:
            return True
    log("notice", what="all processes of this worker share one user")
    return False


def working_tree() -> Code:
    """The code as it is on this developer's disk, where no manifest can be up to date: its digest is of the sources.

    The worker may map anything; its receipts are simulated in any case.
    """
    found = (path for package in OURS if package != "numpy" for path in Path(str(files(package))).rglob("*"))
    sources = sorted(path for path in found if path.suffix in {".py", ".toml"})
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}\n" for path in sources)
    return Code(sha384=hashlib.sha384("".join(lines).encode()).digest(), folders=("/",), files=())


def main() -> int:
    """Run a worker with the trust that comes on standard input."""
    trust = decode(sys.stdin.buffer.read(), Trust, limit=1 << 20)

    def ready() -> None:
        sys.stdout.buffer.write(msgspec.json.encode(Ready(pids=supervisor.pids)) + b"\n")
        sys.stdout.flush()

    host = Host(root=Path(sys.argv[2])) if len(sys.argv) > 2 else None
    try:
        supervisor = Supervisor(
            load(Path(sys.argv[1])),
            trust=trust,
            memory=_kept,
            users=has_users(),
            namespaces=has_namespaces(),
            code=working_tree,
            host=host,
            on_ready=ready,
        )
        return supervisor.run()
    except StartupError as error:
        log("error", what=error.what, remedy=error.remedy)
        return error.status


if __name__ == "__main__":
    sys.exit(main())

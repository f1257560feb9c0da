"""The TLS door of a simulated worker: nginx, as the units of deploy/ run it, but for systemd.

It gets its sockets as descriptors, and the configuration that `cji door config` writes. As root it is a user of its
own in a network namespace of its own, with nothing in it; otherwise it is the worker's user, and shares the network.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from cji_core.errors import StartupError
from cji_core.format.configuration.worker import Config
from cji_simulator.errors import SimulatorError
from cji_worker.door.config import MAX_CONNECTIONS, door_config, for_engine, private_folder
from cji_worker.door.program import CONFIG_NAME, find, installed

__all__ = ["DOOR_USER", "FLEET_USER", "Door", "DoorError", "fleet_folder", "socket_folder"]

DOOR_USER: Final = 65533
"""User and group of the door where the simulation is root's; no system gives it to anybody."""
_START_S: Final = 30.0
_STOP_S: Final = 10.0


class DoorError(SimulatorError):
    """The door did not start, or did not take its files again."""

    code = "door-failed"
    remedy = "Install nginx-light and libnginx-mod-stream."


FLEET_USER: Final = 65532
"""User and group of the fleet process where the simulation is root's."""


def socket_folder(config: Config) -> Path:
    """Make the folder of the worker's socket, which only the door's group may enter."""
    return _folder(Path(config.listen.socket).parent, group=DOOR_USER)


def fleet_folder(config: Config) -> Path | None:
    """Make the folder of the fleet's socket, which only the fleet's group may enter; None for a worker without one."""
    return None if config.fleet is None else _folder(Path(config.fleet.socket).parent, group=FLEET_USER)


def _folder(folder: Path, *, group: int) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, 0, group)
        folder.chmod(0o2770)
    return folder


class Door:
    """A running door; a context manager. `environment` may select a cryptographic module."""

    def __init__(self, config: Config, *, log: Path, environment: dict[str, str] | None = None) -> None:
        socket_folder(config)
        self._log, self._folder = log, Path(private_folder(config))
        self._cleanup = ExitStack()
        self._cleanup.callback(shutil.rmtree, self._folder, ignore_errors=True)
        try:
            self._build, program = installed(), find()
            self._write(config)
        except StartupError as error:
            self._cleanup.close()
            raise DoorError(f"{error.what}: {error.remedy}") from error
        sink = self._cleanup.enter_context(log.open("ab"))
        listen, both, engine = config.listen, ":" in config.listen.host, for_engine(config)
        family = socket.AF_INET6 if both else socket.AF_INET
        ports = [listen.port] if engine is None else [listen.port, engine.engine_port]
        with ExitStack() as opened:
            sockets = [
                socket.create_server((listen.host, port), family=family, backlog=MAX_CONNECTIONS, dualstack_ipv6=both)
                for port in ports
            ]
            sockets.append(
                socket.create_server(str(self._folder / "tls"), family=socket.AF_UNIX, backlog=MAX_CONNECTIONS)
            )
            for each in sockets:
                opened.enter_context(each)
            self._own()
            inherited = [each.fileno() for each in sockets]
            for fd in inherited:
                os.set_blocking(fd, False)  # as NonBlocking= of the unit
            self.process = subprocess.Popen(
                [*_as_other_user(), program, "-e", "stderr", "-c", str(self._folder / CONFIG_NAME)],
                env={
                    "PATH": "/usr/bin:/bin",
                    "NGINX": "".join(f"{fd};" for fd in inherited),
                    **(environment or {}),
                },
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        self._until(lambda: bool(self._accepting()))

    @property
    def pid(self) -> int:
        """The process that serves; `process` is its master."""
        return self._accepting()[-1]

    def reload(self, config: Config, *, seconds: float = _START_S) -> None:
        """As `systemctl reload`: take this configuration and its TLS files for new connections. Raises DoorError."""
        self._write(config)
        self._own()
        before = set(self._accepting())
        self.process.send_signal(signal.SIGHUP)
        self._until(lambda: not before & set(self._accepting()), seconds=seconds, end=False)

    def stop(self) -> None:
        """Close the door, and all connections through it."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _accepting(self) -> list[int]:
        """The master's children that take new connections, the newest last."""
        folder, found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}"), []
        with suppress(OSError):
            for pid in sorted(map(int, (folder / "children").read_text().split())):
                with suppress(OSError):
                    if b"shutting down" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                        found.append(pid)
        return found

    def _until(self, ready: Callable[[], bool], *, seconds: float = _START_S, end: bool = True) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self.process.poll() is None:
            if ready():
                return
            time.sleep(0.02)
        if end:
            self.stop()
        raise DoorError(f"the door did not take its configuration; its reasons are in {self._log}")

    def _write(self, config: Config) -> None:
        """The configuration and the TLS files, where the door's user can read them."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        copies = {name: str(self._folder / name) for name in ("certificate", "private_key", "client_roots")}
        for name, copy in copies.items():
            shutil.copyfile(getattr(config.listen, name), copy)
            os.chmod(copy, 0o600)
        listen = msgspec.structs.replace(config.listen, **copies)
        text = door_config(msgspec.structs.replace(config, listen=listen), self._build)
        (self._folder / CONFIG_NAME).write_text(text)

    def _own(self) -> None:
        """Give the files to the door's user."""
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, DOOR_USER, DOOR_USER)


def _as_other_user() -> list[str]:
    """The command in front of nginx. It ends with a simulator that was killed, whose port the next one takes.

    The kernel sends the signal at the end of the thread that started it, so only a main thread's door gets it.
    """
    with_parent = ["--pdeathsig", "TERM"] if threading.current_thread() is threading.main_thread() else []
    if os.geteuid() != 0:
        return ["setpriv", *with_parent] if with_parent else []
    user = [f"--reuid={DOOR_USER}", f"--regid={DOOR_USER}", "--clear-groups", "--no-new-privs"]
    return ["unshare", "--net", "setpriv", *user, *with_parent]

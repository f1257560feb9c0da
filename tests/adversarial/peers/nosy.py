"""Attacks of a compromised process on what is not its own, and how it gets its orders.

An outcome is the name of an errno, or `done`. A process that is told nothing by a job reads its orders from a file that
it opened before it was confined: lines `PROCESS ATTACK ARGUMENT...` in the file that NOSY_ORDERS names. It writes
`nosy PROCESS ATTACK OUTCOME` to its standard error.
"""

import ctypes
import errno
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Final

from cji_worker.libc import check, libc

ORDERS: Final = "NOSY_ORDERS"
_F_SETOWN: Final = 8
_FCNTL, _CLONE, _PTRACE, _VM_READ, _TGKILL = 72, 56, 101, 310, 234
_SIGCHLD, _SEIZE = 17, 0x4206


def _call(number: int, *arguments: int) -> int:
    return check(libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments)))


def _fork() -> None:
    child = _call(_CLONE, _SIGCHLD, 0, 0, 0, 0)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _execute(path: str = "/nonexistent") -> None:
    """Of nothing, so that a process that may execute goes on."""
    os.execv(path, [path])


def _connect(port: str) -> None:
    with socket.socket() as remote:
        remote.settimeout(5)
        remote.connect(("127.0.0.1", int(port)))


def _other(pids: Sequence[str]) -> int:
    """The first of these processes that is another one."""
    return next(pid for pid in map(int, pids) if pid != os.getpid())


def _read_memory(*pids: str) -> None:
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 8)
    at = ctypes.addressof(vector)
    _call(_VM_READ, _other(pids), at, 1, at, 1, 0)


def _connect_local(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(path)


def _listen() -> None:
    socket.create_server(("127.0.0.1", 0)).close()


def _stop_children() -> None:
    """With another signal than the one that the supervisor may send, and every descriptor that may be a pidfd."""
    for fd in range(3, 1024):
        try:
            signal.pidfd_send_signal(fd, signal.SIGSTOP)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
        else:
            return
    raise PermissionError(errno.EPERM, "")


ATTACKS: Final[dict[str, Callable[..., object]]] = {
    "open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "write": lambda path: os.close(os.open(path, os.O_WRONLY)),
    "list": os.listdir,
    "connect": _connect,
    "connect_local": _connect_local,
    "listen": _listen,
    "execute": _execute,
    "fork": _fork,
    "trace": lambda *pids: _call(_PTRACE, _SEIZE, _other(pids), 0, 0),
    "read_memory": _read_memory,
    "signal": lambda *pids: os.kill(_other(pids), 0),
    "own": lambda *pids: _call(_FCNTL, 2, _F_SETOWN | 1 << 32, _other(pids)),
    "signal_thread": lambda *pids: _call(_TGKILL, _other(pids), _other(pids), 0),
    "signal_itself": lambda: _call(_TGKILL, os.getpid(), os.getpid(), 0),
    "open_pidfd": lambda pid: os.close(os.pidfd_open(int(pid))),
    "stop_children": _stop_children,
    "call": lambda number: _call(int(number), 0, 0, 0, 0, 0, 0),
}


def outcome(attack: str, arguments: Sequence[str]) -> str:
    """What one attack came to."""
    try:
        ATTACKS[attack](*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


class Orders:
    """The orders of one process, by its name in the file."""

    def __init__(self, process: str) -> None:
        self._process, self._at = process, 0
        self._file = os.open(os.environ[ORDERS], os.O_RDONLY | os.O_CLOEXEC)

    def follow(self) -> None:
        """Carry out what was added since the last call."""
        while b"\n" in (text := os.pread(self._file, 1 << 12, self._at)):
            line, _, _ = text.partition(b"\n")
            self._at += len(line) + 1
            process, attack, *arguments = line.decode().split(" ")
            if process == self._process:
                os.write(2, f"nosy {process} {attack} {outcome(attack, arguments)}\n".encode())

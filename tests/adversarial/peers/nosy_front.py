"""A front that does its work, and reaches for what is not its own where a job's `reason` names an attack.

`reason` is the attack and its arguments; the outcome is a line of its standard error: `nosy ATTACK OUTCOME`, where the
outcome is the name of an errno, or `done`. Each attack is made on the main thread and on a new one.
"""

import ctypes
import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from worker.front import server
from worker.ipc import Channel, receive_boot
from worker.ipc.messages import Admit
from worker.libc import check, libc
from worker.wire.v1 import worker_pb2 as pb

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


def _execute() -> None:
    """Of nothing, so that a front which may execute goes on."""
    os.execv("/nonexistent", ["nonexistent"])


def _read_memory(pid: str) -> None:
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 8)
    at = ctypes.addressof(vector)
    _call(_VM_READ, int(pid), at, 1, at, 1, 0)


def _connect_local(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(path)


def _listen() -> None:
    socket.create_server(("127.0.0.1", 0)).close()


ATTACKS: Final[dict[str, Callable[..., object]]] = {
    "open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "list": os.listdir,
    "connect": lambda port: socket.create_connection(("127.0.0.1", int(port)), timeout=5).close(),
    "connect_local": _connect_local,
    "listen": _listen,
    "execute": _execute,
    "fork": _fork,
    "trace": lambda pid: _call(_PTRACE, _SEIZE, int(pid), 0, 0),
    "read_memory": _read_memory,
    "signal": lambda pid: os.kill(int(pid), 0),
    "own": lambda pid: _call(_FCNTL, 2, _F_SETOWN | 1 << 32, int(pid)),
    "signal_thread": lambda pid: _call(_TGKILL, int(pid), int(pid), 0),
    "signal_itself": lambda: _call(_TGKILL, os.getpid(), os.getpid(), 0),
    "call": lambda number: _call(int(number), 0, 0, 0, 0, 0, 0),
}


def _outcome(attack: str, arguments: Sequence[str]) -> str:
    try:
        ATTACKS[attack](*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def _attack(attack: str, *arguments: str) -> None:
    def run() -> None:
        # one write for each line: other threads log too
        os.write(2, f"nosy {attack} {_outcome(attack, arguments)}\n".encode())

    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def main(boot: Any) -> None:
    """Body of the process."""
    send = Channel.send

    def sending(self: Any, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        if isinstance(message, Admit):
            attack, *arguments = pb.JobHeader.FromString(message.header).reason.split(" ")
            if attack in ATTACKS:
                _attack(attack, *arguments)
        send(self, message, fds)

    Channel.send = sending  # type: ignore[method-assign]
    server.main(boot)


if __name__ == "__main__":
    main(receive_boot(int(sys.argv[1])))

"""Guest root against a process that keeps a value in secret memory and one in ordinary memory, as a program.

`python -m tests.support.guest_root` starts the victim, hardened as a worker's process is, and tries every way in. It
prints JSON: for each attack what it read, "attached", "nothing", or the name of the errno. Run it as it is, or below
`deploy/host-profile`.
"""

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cji_worker.host import Host, permitted_calls
from cji_worker.memory import Region, harden, secret_fd
from tests.support.bpf_reader import read_user

__all__ = ["ORDINARY", "SECRET", "main", "victim"]

SECRET: Final = "SECRET-OF-ONE-RECORD"
ORDINARY: Final = "TEXT-OF-ORDINARY-MEMORY"
_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17
_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.ptrace.restype = ctypes.c_long


class _Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


def victim() -> None:
    """Body of the victim: prints both addresses, then makes a system call now and then."""
    region = Region(secret_fd(1 << 20))
    region.view(0, len(SECRET))[:] = SECRET.encode()
    ordinary = ctypes.create_string_buffer(ORDINARY.encode())
    harden(parent=os.getppid())
    print(region.address, ctypes.addressof(ordinary), flush=True)
    while True:
        signal.sigtimedwait([signal.SIGUSR1], 0.02)


def _proc_mem(pid: int, address: int, size: int) -> str:
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.pread(fd, size, address).decode()
    finally:
        os.close(fd)


def _proc_mem_write(pid: int, address: int, size: int) -> str:
    """Overwrites with itself: what could as well be code."""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    try:
        return "written" if os.pwrite(fd, os.pread(fd, size, address), address) == size else ""
    finally:
        os.close(fd)


def _bpf(pid: int, address: int, size: int) -> str:
    return read_user(pid, address)[:size].rstrip(b"\0").decode()


def _vm_readv(pid: int, address: int, size: int) -> str:
    buffer = ctypes.create_string_buffer(size)
    mine, theirs = _Piece(ctypes.addressof(buffer), size), _Piece(address, size)
    _check(_libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0))
    return buffer.raw.decode()


def _ptrace(pid: int, _address: int, _size: int) -> str:
    _check(_libc.ptrace(_PTRACE_SEIZE, pid, None, None))
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    _libc.ptrace(_PTRACE_DETACH, pid, None, None)
    os.kill(pid, signal.SIGCONT)
    return "attached"


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _outcome(attack: Callable[[int, int, int], str], pid: int, address: int, text: str) -> str:
    try:
        return attack(pid, address, len(text)) or "nothing"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def main() -> None:
    """Attack, and print what came of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from tests.support.guest_root import victim; victim()"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    secret, ordinary = map(int, process.stdout.readline().split())
    pid = process.pid
    outcomes: dict[str, object] = {
        "bpf": _outcome(_bpf, pid, secret, SECRET),
        "process_vm_readv": _outcome(_vm_readv, pid, ordinary, ORDINARY),
        "process_vm_readv of secret memory": _outcome(_vm_readv, pid, secret, SECRET),
        "/proc/PID/mem": _outcome(_proc_mem, pid, ordinary, ORDINARY),
        "/proc/PID/mem of secret memory": _outcome(_proc_mem, pid, secret, SECRET),
        "write to /proc/PID/mem": _outcome(_proc_mem_write, pid, ordinary, ORDINARY),
        "ptrace": _outcome(_ptrace, pid, 0, ""),
    }
    process.kill()
    process.wait()
    host = Host()
    outcomes["permitted"] = permitted_calls()
    outcomes["found"] = {each.id: each.found for each in host.read()}
    host.close()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()

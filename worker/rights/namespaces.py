"""Namespaces of the zygote and of each cell: users, network and IPC; and processes, one namespace per cell.

The zygote enters a user namespace that it owns, with a network that has no interface. Its capabilities count only
there. A cell is forked as process 1 of a PID namespace of its own: no process id that it could name is another's. Where
the machine lets this process map user ids (root does), zygote and cells are users that own nothing, one per cell slot;
otherwise they keep the only id that may be mapped. Sources: user_namespaces(7), pid_namespaces(7), clone(2).
"""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Final, NoReturn

from worker.errors import StartupError
from worker.libc import check, libc
from worker.rights.limits import drop_capabilities

_NEW_USER, _NEW_PID, _NEW_NET, _NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
_CLONE_PIDFD: Final = 0x1000
_SYS_CLONE: Final = 56
_PR_SET_DUMPABLE: Final = 4
_CAP_KILL, _CAP_SETGID, _CAP_SETUID, _CAP_SYS_ADMIN = 5, 6, 7, 21
_FIRST_ID: Final = 0x7FFF0000
"""User and group ids from here on belong to nobody (systemd's UIDS-GIDS: unused)."""
_IDS: Final = 128
_JOIN_S: Final = 5.0

_locked_libc = ctypes.PyDLL(None, use_errno=True)  # a fork must keep the interpreter's lock
_REMEDY: Final = (
    "Allow user namespaces: RestrictNamespaces=user pid net ipc in the unit, user.max_user_namespaces above 0, and "
    "kernel.apparmor_restrict_unprivileged_userns=0 where AppArmor restricts them."
)


def enter_namespaces() -> bool:
    """Enter the zygote's namespaces; return whether each cell can `become` a user of its own.

    Needs a single thread. Clears the parent-death signal. Raises StartupError where the machine does not allow it.
    """
    _await_single_thread()
    several, uid, gid = _may_map_ids(), os.getuid(), os.getgid()
    ready, entered = os.pipe()
    try:
        mapper = os.fork() if several else 0
        if several and not mapper:
            _map_ids_of_parent(ready, entered)
        check(libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC))
        # the files of a process that is not dumpable belong to root
        check(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))
        if several:
            os.write(entered, b"x")
            _, status = os.waitpid(mapper, 0)
            if status:
                raise PermissionError
            become(0)
        else:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        drop_capabilities(keep=(_CAP_KILL, _CAP_SETGID, _CAP_SETUID, _CAP_SYS_ADMIN))
    except OSError as error:
        raise StartupError("This machine gives the worker no namespaces", _REMEDY) from error
    finally:
        os.close(ready)
        os.close(entered)
    return several


def become(number: int) -> None:
    """Be the user and group of this number, of the ids that were mapped. Clears the parent-death signal."""
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def fork(*, own_pids: bool) -> tuple[int, int]:
    """Fork this process, which has a single thread; return (process id, its pidfd), and (0, -1) in the child.

    `own_pids`: the child is process 1 of a PID namespace of its own. (unshare(2) could do that only once.)
    """
    pidfd = ctypes.c_int(-1)
    flags = _CLONE_PIDFD | (_NEW_PID if own_pids else 0) | signal.SIGCHLD
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = _locked_libc.syscall(_SYS_CLONE, ctypes.c_ulong(flags), None, ctypes.byref(pidfd), None, None)
    error = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0, -1
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid, pidfd.value


def _may_map_ids() -> bool:
    """Whether this process is root, with the right to give ids away, and `_FIRST_ID` and its successors are its own."""
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    spans = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    owned = any(first <= _FIRST_ID and first + count >= _FIRST_ID + _IDS for first, _, count in spans)
    return os.geteuid() == 0 and bool(effective >> _CAP_SETUID & 1) and owned


def _await_single_thread() -> None:
    """A thread that was joined is in the kernel for a moment more, and a user namespace refuses it."""
    end = time.monotonic() + _JOIN_S
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
        time.sleep(0.001)


def _map_ids_of_parent(ready: int, entered: int) -> NoReturn:
    """In a child that stayed outside: only there more than one id can be mapped."""
    os.close(entered)
    try:
        if os.read(ready, 1):
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{os.getppid()}/{name}").write_text(f"0 {_FIRST_ID} {_IDS}")
            os._exit(0)
    finally:
        os._exit(1)

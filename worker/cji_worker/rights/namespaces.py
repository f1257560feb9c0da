"""Namespaces of the zygote and of each cell: users, network and IPC; and processes, one namespace per cell.

The zygote enters a user namespace that it owns, with a network that has no interface. Its capabilities count only
there. A cell is forked as process 1 of a PID namespace of its own: no process id that it could name is another's. The
zygote is a user of its own, and so is each cell. Sources: user_namespaces(7), pid_namespaces(7), clone(2).
"""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Final, NoReturn

from cji_core.errors import StartupError
from cji_worker.libc import check, libc
from cji_worker.rights.limits import drop_capabilities
from cji_worker.rights.users import CAP_KILL, CAP_SETGID, CAP_SETUID, CELL_IDS, become

_NEW_USER, _NEW_PID, _NEW_NET, _NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
_CLONE_PIDFD: Final = 0x1000
_SYS_CLONE: Final = 56
_PR_SET_DUMPABLE: Final = 4
_CAP_SYS_ADMIN: Final = 21
_INSIDE: Final = (CAP_KILL, CAP_SETGID, CAP_SETUID, _CAP_SYS_ADMIN)
_JOIN_S: Final = 5.0

_locked_libc = ctypes.PyDLL(None, use_errno=True)  # a fork must keep the interpreter's lock
_REMEDY: Final = (
    "Allow user namespaces: RestrictNamespaces=user pid net ipc in the unit, user.max_user_namespaces above 0, and "
    "kernel.apparmor_restrict_unprivileged_userns=0 where AppArmor restricts them."
)


def enter_namespaces(*, users: bool) -> None:
    """Enter the zygote's namespaces; with `users`, be number 0 of its users, and each cell can `become` another.

    Without, the only user inside is the one outside. Needs a single thread, and `can_become_users` for `users`. Clears
    the parent-death signal. Raises StartupError where the machine does not allow it.
    """
    _await_single_thread()
    uid, gid = os.getuid(), os.getgid()
    ready, entered = os.pipe()
    try:
        mapper = os.fork() if users else 0
        if users and not mapper:
            _map_ids_of_parent(ready, entered)
        check(libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC))
        # the files of a process that is not dumpable belong to root
        check(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))
        if users:
            os.write(entered, b"x")
            _, status = os.waitpid(mapper, 0)
            if status:
                raise PermissionError
            become(0, keep=_INSIDE)
        else:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
            drop_capabilities(keep=_INSIDE)
    except OSError as error:
        raise StartupError("This machine gives the worker no namespaces", _REMEDY) from error
    finally:
        os.close(ready)
        os.close(entered)


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
                Path(f"/proc/{os.getppid()}/{name}").write_text(f"0 {CELL_IDS.start} {len(CELL_IDS)}")
            os._exit(0)
    finally:
        os._exit(1)

"""A process of the worker that neither runs nor ends, as under SIGSTOP, a debugger or a cgroup freezer."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process; let it continue at the end, if it is still there."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def hogs(core: int, number: int) -> Iterator[None]:
    """As many processes that never leave a core."""
    program = f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"
    running = [subprocess.Popen([sys.executable, "-S", "-c", program]) for _ in range(number)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()

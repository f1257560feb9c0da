"""The faults of `steps.Fault`, as they really happen: to a process, its disk, its clock, or its caller's connection.

Each makes a function for `Bench.attempt`, which is called while a process halts at a step. A fault that lasts opens the
gate, lets the job run into it, and is over when the function returns.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cji_simulator.raw import until
from tests.adversarial.peers.full_disk import fill, free
from tests.adversarial.peers.stopped_process import stopped
from tests.support.fault_bench import Bench, Do, Run
from tests.support.shifted_clock import ShiftedClock
from tests.support.silent_link import SilentLink

__all__ = [
    "cut",
    "failing_disk",
    "full_disk",
    "killed",
    "shifted",
    "slow_reader",
    "small_disk",
    "stopped_for",
    "traces",
]

_STRACE: Final = shutil.which("strace")
_DURABLE: Final = "fsync,fdatasync"


def killed(victim: str = "") -> Do:
    """SIGKILL to `victim`, or to the process that halts."""

    def do(bench: Bench, run: Run) -> None:
        bench.kill(victim or bench.gate.halted)

    return do


def stopped_for(seconds: float) -> Do:
    """SIGSTOP to the process that halts, and SIGCONT after so many seconds."""

    def do(bench: Bench, run: Run) -> None:
        with stopped(bench.halted()):
            bench.gate.open()
            time.sleep(seconds)

    return do


def slow_reader(seconds: float) -> Do:
    """A caller that reads nothing for so many seconds."""

    def do(bench: Bench, run: Run) -> None:
        run.reads.clear()
        bench.gate.open()
        time.sleep(seconds)
        run.reads.set()

    return do


def cut(link: SilentLink) -> Do:
    """A connection that goes silent, without an end, until the worker has given the job up."""

    def do(bench: Bench, run: Run) -> None:
        link.cut()
        bench.gate.open()
        until(lambda: bench.is_over(run.job))
        run.hang_up()

    return do


def shifted(clock: ShiftedClock, seconds: int) -> Do:
    """A wall clock that is wrong by so many seconds until the call has ended."""

    def do(bench: Bench, run: Run) -> None:
        clock.shift(seconds)
        bench.gate.open()
        run.over.wait(60)
        clock.shift(0)

    return do


def full_disk(disk: Path) -> Do:
    """A disk without a free byte until the call has ended."""

    def do(bench: Bench, run: Run) -> None:
        fill(disk)
        bench.gate.open()
        run.over.wait(60)
        free(disk)

    return do


def failing_disk() -> Do:
    """EIO for every fsync of the keyholder until the call has ended."""

    def do(bench: Bench, run: Run) -> None:
        with _io_errors(bench.site.worker.pids["keyholder"]):
            bench.gate.open()
            run.over.wait(60)

    return do


@contextmanager
def _io_errors(pid: int) -> Iterator[None]:
    """strace makes the kernel return EIO in place of the call.

    This kernel has no device mapper, and a file system in user space would stand for another one than the worker's.
    """
    assert _STRACE is not None
    command = [_STRACE, "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"inject={_DURABLE}:error=EIO"]
    with subprocess.Popen([*command, "-e", f"trace={_DURABLE}"]) as tracer:
        try:
            until(lambda: _tracer(pid) == tracer.pid)
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


def _tracer(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("TracerPid:"))


def traces() -> bool:
    """Whether this user can trace a process that is not dumpable."""
    return _STRACE is not None and os.geteuid() == 0


@contextmanager
def small_disk(folder: Path, *, mib: int = 32) -> Iterator[Path | None]:
    """A disk of its own, or None if this user may not mount one."""
    folder.mkdir(parents=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "cji", str(folder)], check=False)
    if made.returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)

"""Heartbeats: how the processes of a worker notice that one of them is stopped.

A process sends a Beat from its main loop to the supervisor every half second, and the supervisor one to the front and
the control process. Two seconds without one, in which the process could have sent it, withdraw readiness until it has
beaten steadily for as long: the supervisor reports to front and keyholder which processes are silent, and the front
follows the supervisor's own beat. The supervisor ends a worker of which a process has been silent for longer, and
systemd one whose supervisor is. Cells have no beat: the deadline of a job ends them.

Time in which a process waited for a processor is not silence: on a loaded machine it cannot beat and is not stopped.
"""

import os
import time
from dataclasses import dataclass
from typing import Final, Protocol

BEAT_S: Final = 0.5
STALE_S: Final = 2.0
"""Seconds of silence after which a process counts as stopped, and of beats after which it no longer does."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds for which a process's main thread ran, and for which it waited to run; whether it would run now."""

    ran: float = 0.0
    waited: float = 0.0
    runnable: bool = False


class Clock(Protocol):
    """The question of a Pulse about its peer."""

    def read(self) -> CpuTime:
        """The time until now."""


class CpuClock:
    """The CPU time of one process, for as long as it exists. Opened before files can no longer be.

    Source: Linux, Documentation/scheduler/sched-stats.rst (/proc/PID/schedstat: nanoseconds that a thread ran, and that
    it waited on a runqueue, which includes the time for which its control group is throttled); proc_pid_stat(5).
    """

    __slots__ = ("_last", "_stat", "_times")

    def __init__(self, descriptors: tuple[int, int]) -> None:
        """Of `opened`, by this process or by one that passed them on."""
        self._times, self._stat = descriptors
        self._last = CpuTime()

    @staticmethod
    def opened(pid: int) -> tuple[int, int]:
        """Descriptors for a process, before it becomes another user: /proc can hide those of others.

        Raises OSError.
        """
        times, stat = (os.open(f"/proc/{pid}/{name}", os.O_RDONLY) for name in ("schedstat", "stat"))
        return times, stat

    def read(self) -> CpuTime:
        """The time until now; that of the last reading for a process that is gone."""
        try:
            ran, waited, _ = os.pread(self._times, 256, 0).split()
            state = os.pread(self._stat, 1024, 0).rpartition(b") ")[2][:1]
        except ProcessLookupError:
            return self._last
        self._last = CpuTime(int(ran) / 1e9, int(waited) / 1e9, state == b"R")
        return self._last


class Pulse:
    """The beats of one peer, on the clock of this process. Nothing is expected before the first."""

    __slots__ = ("_cpu", "_last", "_looked", "_of", "_stale_at")

    def __init__(self, of: Clock | None = None) -> None:
        """`of` is the peer's CPU clock; without it, every silence counts."""
        self._last, self._looked, self._stale_at = float("inf"), time.monotonic(), float("-inf")
        self._of, self._cpu = of, CpuTime()

    def beat(self) -> None:
        """A beat arrived."""
        self._last = time.monotonic()
        if self._of is not None:
            self._cpu = self._of.read()

    def age(self) -> float:
        """Seconds since the last beat, negative before the first."""
        return time.monotonic() - self._last

    def silence(self) -> float:
        """Seconds in which the peer could have beaten and did not, negative before the first beat; look once a beat.

        Left out is the time in which the peer waited for a processor, or this process stood still itself. A peer that
        waits for one now is measured by the CPU time that it has used without a beat.
        """
        now = time.monotonic()
        if now - self._looked > STALE_S:
            self._last = max(self._last, now)
        self._looked = now
        silence = now - self._last
        if self._of is None or silence <= BEAT_S:
            return silence
        cpu = self._of.read()
        return cpu.ran - self._cpu.ran if cpu.runnable else silence - (cpu.waited - self._cpu.waited)

    def stale(self) -> bool:
        """Whether the peer counts as stopped; look once a beat."""
        silent, now = self.silence() > STALE_S, time.monotonic()
        if silent:
            self._stale_at = now
        return silent or now - self._stale_at < STALE_S

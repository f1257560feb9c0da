"""Silence: a process that cannot run is not stopped, and one that could have beaten is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cji_worker.ipc import beats
from cji_worker.ipc.beats import CpuClock, Pulse

SLEEPS = "import time; print(flush=True); time.sleep(60)"
SPINS = "import os; print(flush=True)\nwhile True: pass"
STARVES = (
    f"import os; os.sched_setaffinity(0, [{{}}]); os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); {SPINS}"
)
HOGS = f"import os; os.sched_setaffinity(0, [{{}}]); {SPINS}"


@contextmanager
def running(program: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "BEAT_S", 0.05)
    monkeypatch.setattr(beats, "STALE_S", 0.3)


def test_nothing_is_expected_before_the_first_beat() -> None:
    with running(SLEEPS) as pid:
        pulse = Pulse(CpuClock(CpuClock.opened(pid)))
        assert pulse.age() < 0
        assert not pulse.stale()


def test_a_process_that_is_stopped_is_silent() -> None:
    with running(SLEEPS) as pid:
        pulse = Pulse(CpuClock(CpuClock.opened(pid)))
        pulse.beat()
        os.kill(pid, signal.SIGSTOP)
        looks = looked_for(1.0, pulse)
    assert looks[0] is False
    assert looks[-1] is True


def test_a_process_that_waits_for_a_processor_is_not() -> None:
    core = min(os.sched_getaffinity(0))
    with running(STARVES.format(core)) as pid, running(HOGS.format(core)):
        clock = CpuClock(CpuClock.opened(pid))
        pulse = Pulse(clock)
        pulse.beat()
        ran = clock.read().ran
        looks = looked_for(1.5, pulse)
        assert clock.read().ran - ran < 0.3, "the machine gave it a processor: this shows nothing"
        assert pulse.age() > 1.0
    assert True not in looks


def test_a_process_that_runs_without_a_beat_is_silent() -> None:
    with running(SPINS) as pid:
        pulse = Pulse(CpuClock(CpuClock.opened(pid)))
        pulse.beat()
        end = time.monotonic() + 30
        while not pulse.stale() and time.monotonic() < end:
            time.sleep(0.05)
        assert pulse.stale()


def test_after_silence_it_must_beat_for_a_while() -> None:
    pulse = Pulse()
    pulse.beat()
    assert looked_for(0.5, pulse)[-1] is True
    pulse.beat()
    assert pulse.stale()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pulse.beat()
        pulse.stale()
        time.sleep(0.02)
    assert not pulse.stale()


def test_a_process_that_is_gone_keeps_its_last_time() -> None:
    with running(SLEEPS) as pid:
        clock = CpuClock(CpuClock.opened(pid))
        before = clock.read()
    assert clock.read() == before


def looked_for(seconds: float, pulse: Pulse) -> list[bool]:
    looks, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        looks.append(pulse.stale())
        time.sleep(0.05)
    return looks

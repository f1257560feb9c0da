"""Which window of a measurement counts, and what others take of the machine meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import quiet
from benchmarks.harness import paired, rate
from benchmarks.quiet import QUIET, LoadClock, busiest, quietest

_BURN = "import sys, time\nuntil = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < until: pass"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The loads of the windows to come, which only the machine could choose."""
    following: list[float] = []
    monkeypatch.setattr(LoadClock, "read", lambda _self: following.pop(0))
    yield following
    assert not following


def test_the_quietest_window_counts(loads: list[float]) -> None:
    loads += [0.6, 0.2, 0.4]
    values = iter("abc")
    found = quietest(lambda: next(values))
    assert (found.value, found.load, found.number) == ("b", 0.2, 1)


def test_a_quiet_window_is_the_last(loads: list[float]) -> None:
    loads += [0.6, QUIET]
    values = iter("ab")
    assert quietest(lambda: next(values)).value == "b"


def test_pairs_of_one_window_count_and_keep_its_load(loads: list[float]) -> None:
    loads += [0.6, 0.2, 0.4]
    ours = iter([1.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0])
    found = paired(lambda: next(ours), lambda: 10.0, pairs=2)
    assert (found.ratio.low, found.ratio.middle, found.ratio.high) == (2.0, 2.0, 2.0)
    assert (found.load, found.runs, found.counted) == (0.2, 7, slice(3, 5))
    assert getattr(found.ratio.middle, "load", None) == getattr(found.peer.middle, "load", None) == 0.2


@contextmanager
def _ours() -> Iterator[int]:
    """A process that computes, below this one."""
    with subprocess.Popen([sys.executable, "-c", _BURN, "60"]) as process:
        yield process.pid
        process.kill()


@contextmanager
def _of_others() -> Iterator[int]:
    """A process that computes, whose parent has ended."""
    start = ["sh", "-c", '"$@" >/dev/null & echo $!', "sh", sys.executable, "-c", _BURN, "60"]
    pid = int(subprocess.run(start, stdout=subprocess.PIPE, check=True).stdout)
    yield pid
    os.kill(pid, signal.SIGKILL)


def test_the_time_of_our_processes_is_ours_also_after_their_end() -> None:
    before = LoadClock._own_seconds()
    with _ours():
        end = time.monotonic() + 60
        while (running := LoadClock._own_seconds()) <= before + 0.1 and time.monotonic() < end:
            time.sleep(0.1)
    after = LoadClock._own_seconds()
    assert before + 0.1 < running <= after


def test_processes_that_are_not_below_this_one_are_others() -> None:
    with _ours() as ours, _of_others() as another:
        processes = quiet._processes()
    assert {ours, another} <= processes.keys()
    assert ours in quiet._own(processes)
    assert another not in quiet._own(processes)


def test_load_is_what_others_and_the_host_take_of_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 cores, 10 s: 16 s busy of which 6 are ours, and 2 s stolen: 12 of 40."""
    now = iter([100.0, 110.0])
    machine = iter([(50.0, 1.0, 4), (66.0, 3.0, 4)])
    own = iter([7.0, 13.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(quiet, "_machine", lambda: next(machine))
    monkeypatch.setattr(LoadClock, "_own_seconds", staticmethod(lambda: next(own)))
    assert LoadClock().read() == pytest.approx(0.3)


def test_the_busiest_of_others_are_named() -> None:
    with _ours() as ours, _of_others() as another:
        load, processes = busiest(1.0, most=1000)
    assert load > 0
    assert another in {pid for _, pid, _ in processes}
    assert ours not in {pid for _, pid, _ in processes}
    assert processes == sorted(processes, key=lambda each: -each[2])


def test_a_rate_counts_cpu_time() -> None:
    def work() -> None:
        until = time.process_time() + 0.05
        time.sleep(0.2)
        while time.process_time() < until:
            pass

    assert 10 < rate(1, work)() <= 20

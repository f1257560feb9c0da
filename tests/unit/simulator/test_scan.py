"""Scans of a worker's processes while its cells end: only a cell may be left out, and only one that has ended."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cji_simulator.processes import each_process, ended, until_idle, worker_processes
from cji_simulator.raw import until
from cji_simulator.scan import Canaries, scan_process, scan_worker
from tests.support.privileges import sees_processes

CANARY = "a canary in the memory of each"
ZYGOTE = f"""
import os, signal, sys
held = {CANARY!r} * 1000
for _ in range(2):
    if not os.fork():
        signal.pause()
if sys.argv[1] == "reaps":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(flush=True)
while True:
    signal.pause()
"""


class Killing(Canaries):
    """Looks for the canary, and kills a process before it has looked `after` times."""

    def __init__(self, victim: int, *, after: int = 0) -> None:
        super().__init__({"canary": CANARY.encode()})
        self.victim, self.after = victim, after

    def find_once(self, data: bytes) -> tuple[tuple[str, int], ...]:
        if self.after == 0:
            kill(self.victim)
        self.after -= 1
        return super().find_once(data)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: ended(pid))


@pytest.fixture(params=["reaps", "leaves zombies"])
def pids(request: pytest.FixtureRequest) -> Iterator[dict[str, int]]:
    """A process that others would call a keyholder, and one with two cells."""
    with (
        subprocess.Popen([sys.executable, "-c", ZYGOTE, request.param], stdout=subprocess.PIPE) as zygote,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as keyholder,
    ):
        assert zygote.stdout is not None
        zygote.stdout.readline()
        cells = set(worker_processes({"zygote": zygote.pid}).values()) - {zygote.pid}
        yield {"keyholder": keyholder.pid, "zygote": zygote.pid}
        for pid in cells:
            if not ended(pid):
                os.kill(pid, signal.SIGKILL)
        zygote.kill()
        keyholder.kill()


@sees_processes
def test_a_cell_that_ends_before_it_is_read_is_left_out(pids: dict[str, int]) -> None:
    first, second = worker_processes(pids)["cell 0"], worker_processes(pids)["cell 1"]
    scans = scan_worker(pids, Killing(first))
    assert [scan.process for scan in scans] == ["keyholder", "zygote", "cell 1"]
    assert {scan.process for scan in scans if scan.hits} == {"zygote", "cell 1"}
    with pytest.raises(LookupError, match="0 cells were looked at, not 1"):
        scan_worker(pids, Killing(second))


@sees_processes
def test_a_scan_of_which_a_part_is_missing_is_none(pids: dict[str, int]) -> None:
    """The kernel reads nothing, and gives no error, of a process that ends while its memory is open."""
    cell = worker_processes(pids)["cell 0"]
    with pytest.raises(ProcessLookupError):
        scan_process(cell, Killing(cell, after=3), name="cell 0")


@sees_processes
def test_any_other_process_that_ends_is_missed(pids: dict[str, int]) -> None:
    listed = {"zygote": pids["zygote"], "keyholder": pids["keyholder"]}
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        scan_worker(listed, Killing(pids["keyholder"]))


def test_a_living_cell_must_be_read(pids: dict[str, int]) -> None:
    def look(name: str, pid: int) -> str:
        return name if name in pids else Path(f"/proc/{pid}/no-such-file").read_text()

    with pytest.raises(FileNotFoundError):
        each_process(pids, look)


def test_at_rest_are_those_that_are_left(pids: dict[str, int]) -> None:
    first, second = worker_processes(pids)["cell 0"], worker_processes(pids)["cell 1"]
    kill(first)
    until_idle(pids)
    kill(second)
    with pytest.raises(LookupError):
        until_idle(pids)


@pytest.mark.parametrize("shortest", [8, 9, 11, 15, 40])
def test_a_pattern_is_found_at_every_offset(shortest: int) -> None:
    """Also over the end of a piece that is searched at once, and at the ends of the data; a part of one is none."""
    dice, end = random.Random(shortest), 1 << 19
    patterns = {f"{length} bytes": dice.randbytes(length) for length in (shortest, shortest + 1, shortest + 30)}
    canaries = Canaries(patterns)
    for name, pattern in patterns.items():
        for at in (*range(8), *range(end - 8, end)):
            assert list(canaries.find(bytes(at) + pattern)) == [(name, at)]
        assert not list(canaries.find(pattern[1:] + bytes(8)))
        assert not list(canaries.find(bytes(8) + pattern[:-1]))

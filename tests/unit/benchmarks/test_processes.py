"""CPU of a worker's processes: a door is its master with all that serve below it."""

import subprocess
import sys

from benchmarks.processes import CpuClock

DOOR = """
import os, sys
for _ in range(2):
    if os.fork() == 0:
        while sum(os.times()[:2]) < 0.3:
            pass
        os.write(1, b".")
        os.read(0, 1)
        os._exit(0)
os.read(0, 1)
"""


def test_a_door_is_counted_with_all_its_workers() -> None:
    with subprocess.Popen([sys.executable, "-c", DOOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as master:
        assert master.stdout is not None
        assert master.stdout.read(2) == b".."  # each has used its time, and waits
        seconds = CpuClock({"door": master.pid, "echo": master.pid}).read()
        assert master.stdin is not None
        master.stdin.close()
    assert seconds["door"] - seconds["echo"] > 0.5

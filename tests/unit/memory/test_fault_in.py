"""Pages are faulted in without a copy of their bytes: a job may be in the region by then."""

import mmap
import os
import subprocess
import sys

from cji_simulator.scan import Canaries, scan_process

PAGES = 1024
MARK = b"SZCANARY90125"
_CHILD = """
import sys
from cji_worker.memory.region import Region
region = Region(int(sys.argv[1]))
for _ in region.fault_in():
    pass
print(flush=True)
sys.stdin.read()
"""


def test_bytes_of_consecutive_pages_do_not_spell_a_value() -> None:
    """Values of 21 bytes shift by one byte a page, since 4096 = 195 · 21 + 1: the first bytes of pages spell them."""
    fd = os.memfd_create("region")
    os.ftruncate(fd, PAGES * mmap.PAGESIZE)
    for page in range(PAGES):
        os.pwrite(fd, MARK[page % len(MARK)].to_bytes(1, "little"), page * mmap.PAGESIZE)
    command = [sys.executable, "-c", _CHILD, str(fd)]
    with subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        found = scan_process(child.pid, Canaries({"mark": MARK}), name="child")
        assert child.stdin is not None
        child.stdin.close()
    os.close(fd)
    assert found.bytes_read
    assert found.hits == []

"""The front's heap keeps what messages freed, and gives it back when asked. In a process of its own each."""

import subprocess
import sys
from typing import Final

import pytest

_TURNS: Final = """
import resource
from pathlib import Path
from cji_worker.front.heap import keep_free_memory, return_free_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

def turn():
    held = [b"\\1" * (1 << 20) for _ in range(16)]

if {keep}:
    keep_free_memory()
turn()
before = faults()
for _ in range(20):
    turn()
new, kept = faults() - before, resident()
return_free_memory()
print(new, kept - resident())
"""
_PAGES: Final = 20 * 16 * 256
"""Of all the messages after the first turn."""


def turns(*, keep: bool) -> tuple[int, int]:
    """Page faults of the later turns, and MiB that go back in the end."""
    command = [sys.executable, "-c", _TURNS.replace("{keep}", str(keep))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    new, returned = map(int, done.stdout.split())
    return new, returned


def test_what_messages_freed_is_kept_until_it_is_returned() -> None:
    new, returned = turns(keep=True)
    assert new < _PAGES / 100
    assert returned >= 15


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_otherwise_every_message_is_made_of_new_pages() -> None:
    new, _ = turns(keep=False)
    assert new > _PAGES / 2

"""Registers are part of a core: what memmove leaves in them, and that a thread which overwrites them leaves nothing."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("gcore") is None, reason="no debugger to take a core with")

MARK = b"CANARYxx"
PROGRAM = """
import sys, time
from cji_worker.memory import overwrite_registers
source = memoryview(b"CANARYxx" * (1 << 17))
target = memoryview(bytearray(len(source)))
for size in (40, 100, 200, 300, 500, 900, 3000, 20000, 1 << 20):
    target[:size] = source[:size]
if sys.argv[1] == "overwritten":
    overwrite_registers()
sys.stdout.write("copied\\n")
sys.stdout.flush()
time.sleep(60)
"""
_NOTES = 4  # PT_NOTE: the registers of every thread (elf(5), core(5))


def marks_in_registers(folder: Path, how: str) -> int:
    """How often the mark stands in the registers of a process that copied it."""
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        child.stdout.readline()
        command = ["gcore", "-o", str(folder / "core"), str(child.pid)]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    core = (folder / f"core.{child.pid}").read_bytes()
    (table,) = struct.unpack_from("<Q", core, 32)
    entry, entries = struct.unpack_from("<HH", core, 54)
    heads = [struct.unpack_from("<IIQQQQQQ", core, table + number * entry) for number in range(entries)]
    return sum(core[head[2] : head[2] + head[5]].count(MARK) for head in heads if head[0] == _NOTES)


def test_copied_bytes_are_in_no_register_once_overwritten(tmp_path: Path) -> None:
    assert marks_in_registers(tmp_path, "left") > 0
    assert marks_in_registers(tmp_path, "overwritten") == 0

"""Secret memory is touched ahead of jobs, and not while the processes of a worker start."""

import mmap
import os
import re
import time
from pathlib import Path

import pytest

from cji_simulator.faults import Kind, Service
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.worker import Worker, WorkerDied

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the memory of a hardened process")

_MAPPING = re.compile(r" rw-s .*(?:/secretmem|/memfd:cji-ordinary).*\nSize: +(\d+) kB\n(?:[KM].*\n)*Rss: +(\d+) kB")


def untouched(pid: int) -> int:
    """KiB of the regions of a process that it has not touched."""
    found = _MAPPING.findall(Path(f"/proc/{pid}/smaps").read_text())
    regions = [(int(size), int(touched)) for size, touched in found if int(size) > mmap.PAGESIZE >> 10]  # no key slot
    assert regions
    return sum(size - touched for size, touched in regions)


def child(pid: int, module: str) -> int:
    """The child of a process that runs this module, 0 if there is none yet."""
    for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if module.encode() in Path(f"/proc/{one}/cmdline").read_bytes():
            return int(one)
    return 0


def test_all_of_it_is_touched_once_the_machine_is_attested(tmp_path: Path, simulation: Simulation) -> None:
    files = worker_config(tmp_path / "worker", simulation=simulation, keys=[simulation.create_cmk("touched")])
    with Worker(files.config, trust=simulation.trust, log=tmp_path / "log") as worker:
        end = time.monotonic() + 60
        while untouched(worker.pids["zygote"]) and time.monotonic() < end:
            time.sleep(0.1)
        assert untouched(worker.pids["zygote"]) == 0


def test_none_of_it_is_touched_before(tmp_path: Path, simulation: Simulation) -> None:
    files = worker_config(tmp_path / "worker", simulation=simulation, keys=[simulation.create_cmk("untouched")])
    log, seen = tmp_path / "log", list[int]()

    def given_up() -> bool:
        if '"not attested"' not in log.read_text() or '"cell ready"' not in log.read_text():
            return False
        (supervisor,) = {int(line) for line in re.findall(r'"event": "started", "pid": (\d+)', log.read_text())}
        seen.append(untouched(child(supervisor, "cji_worker.cell.zygote")))
        return len(seen) == 5

    simulation.fault(Service.MAA, Kind.DOWN)
    try:
        with pytest.raises(WorkerDied):
            Worker(files.config, trust=simulation.trust, log=log, given_up=given_up)
    finally:
        simulation.clear_faults()
    assert len(set(seen)) == 1
    assert seen[0] > 64 << 10

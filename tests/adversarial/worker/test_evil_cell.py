"""A compromised cell against the real worker: it stops nobody, tells nobody, keeps nothing, and its end has a cause."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import Reason
from cji_simulator.processes import state
from cji_simulator.raw import Answer, RawWorker, cells, forge, settled, until
from cji_simulator.scan import Canaries, look_inside
from cji_simulator.site import Site, open_site, people
from tests.adversarial.peers import evil_worker
from tests.support.privileges import sees_processes
from tests.support.simulations import simulated

REGION = 160 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its cells run the attack that a job names."""
    folder = tmp_path_factory.mktemp("evil")
    with (
        simulated(folder / "azure", release_limit=1000) as azure,
        open_site(folder / "site", azure, program=evil_worker.PROGRAM) as opened,
    ):
        yield opened


def attack(site: Site, name: str, argument: object = "", *, pause: float = 0.0) -> Answer:
    """The end of a job whose cell runs this attack; `pause` is between its first message and the others."""
    settled(site)
    job = forge(site, reason=f"{name} {argument}".strip())
    with RawWorker.of(site) as raw, raw.stream(timeout=20) as stream:
        opening, *others = job.messages(job.stream(people(2)))
        stream.send(opening)
        time.sleep(pause)
        stream.send(*others)
        stream.half_close()
        return stream.answer()


def events(site: Site, name: str) -> list[dict[str, Any]]:
    """Lines of the worker's log, by event."""
    lines = (json.loads(line) for line in site.worker.log.read_bytes().splitlines() if line.startswith(b"{"))
    return [line for line in lines if line["event"] == name]


def fault_of(site: Site, error: str) -> bool:
    """Whether the last fault of a cell is of this class, once it is in the log."""
    return until(lambda: [line["error"] for line in events(site, "cell fault")][-1:] == [error])


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def killed(site: Site, run: Callable[[], Answer]) -> dict[str, Any]:
    """What the log says of the cell that the zygote killed during `run`."""
    before = len(events(site, "cell killed"))
    assert run().reason is Reason.CELL_FAILED
    return until(lambda: found[0] if (found := events(site, "cell killed")[before:]) else None)


@pytest.mark.parametrize("victim", ["front", "keyholder", "zygote", "supervisor"])
def test_x04_a_cell_stops_no_other_process(site: Site, victim: str) -> None:
    pid = site.worker.pids[victim]
    try:
        entry = killed(site, lambda: attack(site, "stop_another", pid, pause=1.0))
        assert entry["what"] == "fcntl"
    finally:
        stopped = state(pid) == "T"
        os.kill(pid, signal.SIGCONT)
    assert not stopped


def test_x04_a_refused_call_is_in_the_log_with_its_number(site: Site) -> None:
    entry = killed(site, lambda: attack(site, "make_a_socket"))
    assert (entry["syscall"], entry["what"]) == (41, "socket")


def test_x03_a_cell_reaches_nothing_of_the_keyholder(site: Site) -> None:
    keyholder = site.worker.pids["keyholder"]
    for path in (site.files.audit, f"/proc/{keyholder}/mem", "/dev/tpmrm0"):
        assert killed(site, lambda: attack(site, "open_file", path))["what"] == "openat"  # noqa: B023 - called at once
    assert killed(site, lambda: attack(site, "read_memory", keyholder))["what"] == "process_vm_readv"


def test_x04_a_cell_has_no_memory_beside_its_region(site: Site) -> None:
    assert attack(site, "take_address_space", 1 << 30).reason is Reason.CELL_FAILED
    assert fault_of(site, "OSError")


def test_l06_x04_a_crash_costs_one_job_and_leaves_no_core(site: Site) -> None:
    assert attack(site, "crash").reason is Reason.CELL_FAILED
    until(lambda: events(site, "cell gone")[-1]["status"] == -signal.SIGSEGV)
    assert not [path for path in Path.cwd().glob("core*") if path.is_file()]
    assert len(settled(site)) == 2


def test_x04_a_cell_has_no_more_of_its_region_than_it_asked_for(site: Site) -> None:
    """What it did not ask for is not wiped after it, so it must not be able to write there."""
    assert attack(site, "write_to_closed_memory", REGION).reason is Reason.CELL_FAILED
    until(lambda: events(site, "cell gone")[-1]["status"] == -signal.SIGSEGV)
    for name, call in (("open_it_twice", "mprotect"), ("open_what_is_behind", "mprotect"), ("map_more", "mremap")):
        assert killed(site, lambda: attack(site, name, REGION))["what"] == call  # noqa: B023 - called at once


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="looks into secret memory as root")
def test_k14_what_a_cell_opened_is_wiped_after_it(site: Site) -> None:
    canary = f"CANARY{os.urandom(8).hex().upper()}"
    planted, supervisor = Canaries({"canary": canary.encode()}), site.worker.pids["supervisor"]

    def inside() -> bool:
        return {"canary"} in look_inside(supervisor, planted, size=REGION)

    settled(site)
    job = forge(site, reason=f"fill_its_region {REGION} {canary}")
    with RawWorker.of(site) as raw, raw.stream(timeout=60) as stream:
        stream.send(*job.messages(job.stream(people(2))))
        until(inside)
    settled(site)
    assert not inside()


@sees_processes
def test_x04_a_cell_is_alone_in_every_namespace(site: Site) -> None:
    names = ("user", "pid", "net", "ipc")
    own = {name: os.readlink(f"/proc/{site.worker.pids['front']}/ns/{name}") for name in names}
    pids = set()
    for cell in settled(site):
        theirs = {name: os.readlink(f"/proc/{cell}/ns/{name}") for name in names}
        assert not set(own.values()) & set(theirs.values())
        pids.add(theirs["pid"])
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{cell}/status").read_text()
    assert len(pids) == 2


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give cells user ids of their own")
def test_x04_every_cell_is_a_user_of_its_own(site: Site) -> None:
    users = [Path(f"/proc/{pid}").stat().st_uid for pid in settled(site)]
    real = {line.split()[1] for pid in cells(site) for line in _status(pid) if line.startswith("Uid:")}
    assert len(real) == len(users) == 2
    assert str(os.getuid()) not in real


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


def test_x06_what_a_cell_writes_lands_nowhere(site: Site) -> None:
    canary = f"CANARY{os.urandom(8).hex().upper()}"
    assert attack(site, "write_to_journal", canary).reason is Reason.CELL_FAILED
    until(lambda: len(settled(site)) == 2)
    assert canary not in site.worker.log.read_text()


def test_x06_a_fault_is_a_class_from_a_closed_set(site: Site) -> None:
    canary = f"CANARY{os.urandom(8).hex().upper()}"
    assert attack(site, "name_a_fault", canary).reason is Reason.CELL_FAILED
    assert fault_of(site, "ValueError")
    assert canary not in site.worker.log.read_text()


def channels_of(cell: int) -> dict[int, Path] | None:
    """The descriptors of a cell, once it has given up what it had from the zygote."""
    found = {int(entry.name): entry for entry in Path(f"/proc/{cell}/fd").iterdir()}
    return found if sorted(found) == [0, 1, 2, 3, 4] else None


@sees_processes
def test_x06_a_cell_can_write_to_its_channels_only(site: Site) -> None:
    for cell in settled(site):
        targets = until(partial(channels_of, cell))
        assert [os.readlink(targets[number]) for number in (0, 1, 2)] == ["/dev/null"] * 3
        assert all(os.readlink(targets[number]).startswith("socket:") for number in (3, 4))
        for number in (0, 1, 2):
            flags = Path(f"/proc/{cell}/fdinfo/{number}").read_text().split("flags:")[1].split()[0]
            assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY


@sees_processes
def test_x07_passed_descriptors_stay_nowhere(site: Site) -> None:
    settled(site)
    before = {name: descriptors(site.worker.pids[name]) for name in ("front", "keyholder", "zygote")}
    assert attack(site, "send_descriptors", 1600).reason is Reason.CELL_FAILED
    settled(site)
    for name, count in before.items():
        assert descriptors(site.worker.pids[name]) <= count + 2, name


def test_x07_a_slot_that_is_free_cannot_be_freed(site: Site) -> None:
    assert attack(site, "free_what_is_free", 10_000).reason is Reason.CELL_FAILED


def test_an_honest_fault_and_the_worker_goes_on(site: Site) -> None:
    """The last: after all attacks the same four processes run."""
    assert attack(site, "honest").reason is Reason.CELL_FAILED
    assert fault_of(site, "ArithmeticError")
    assert not any(state(pid) in "TtZX" for pid in site.worker.pids.values())

"""The machine around a worker: its start, starts of its units, room on its disk."""

from pathlib import Path

from cji_worker.console.machine import MachineObserver


def started(folder: Path, unit: str, number: int) -> None:
    """As systemd leaves it: a link whose target is the id of this start."""
    link = folder / f"invocation:cji-{unit}.service"
    link.unlink(missing_ok=True)
    link.symlink_to(f"{number:032x}")


def test_a_start_of_a_unit_is_counted_once(tmp_path: Path) -> None:
    started(tmp_path, "door", 1)
    started(tmp_path, "stranger", 1)
    observer = MachineObserver(None, invocations=tmp_path)
    assert observer.look().restarts == observer.look().restarts == {"door": 0}
    started(tmp_path, "door", 2)
    started(tmp_path, "worker", 3)
    assert observer.look().restarts == observer.look().restarts == {"door": 1, "worker": 0}
    (tmp_path / "invocation:cji-door.service").unlink()
    assert observer.look().restarts["door"] == 1
    started(tmp_path, "door", 4)
    assert observer.look().restarts["door"] == 2


def test_the_machines_start_is_its_uptime_ago(tmp_path: Path) -> None:
    observer = MachineObserver(None, invocations=tmp_path, clock=lambda: 1000.4, uptime=lambda: 300.0)
    assert observer.look().started == 700


def test_a_disk_that_is_not_there_has_no_room(tmp_path: Path) -> None:
    found = MachineObserver(str(tmp_path), invocations=tmp_path).look().disk
    assert found is not None
    assert 0 <= found.free <= found.size
    assert MachineObserver(str(tmp_path / "none"), invocations=tmp_path).look().disk is None

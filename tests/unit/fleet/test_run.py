"""The start of the fleet process."""

from pathlib import Path
from typing import Any

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.fleet import FleetSection
from cji_worker.fleet.run import Fleet
from cji_worker.fleet.settings import Settings


def fleet(state: Path) -> Fleet:
    section = FleetSection(
        blob_url="https://b.example", queue_url="https://q.example", state=str(state), tasks_socket=f"{state}/s"
    )
    credential: Any = None
    return Fleet(Settings(fleet=section, cells=1, cell_memory_mib=160, fronts=1), identity=lambda _: credential)


def test_a_second_process_takes_nothing_from_the_first(tmp_path: Path) -> None:
    fleet(tmp_path)
    begun = tmp_path / "attempts" / f"{'0a' * 16}.new"
    begun.touch()
    socket = (tmp_path / "s").stat().st_ino
    with pytest.raises(StartupError, match="Another process"):
        fleet(tmp_path)
    assert (tmp_path / "s").stat().st_ino == socket
    assert begun.exists()


def test_a_state_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be written"):
        fleet(tmp_path / "none")

"""The operator's tables: read once per worker, so that all its processes have the same, and refused with a reason."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cji_client.profile import load_profile
from cji_core.errors import StartupError
from cji_core.format.configuration.table_files import read_table_files
from cji_core.operations.tables import load
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker, WorkerDied

NAME = "dissemination.toml"
SHIPPED = read_table_files()[NAME]


@pytest.fixture(scope="module")
def cmk(azure: Simulation) -> Cmk:
    return azure.create_cmk("tables")


def deployed(folder: Path, azure: Simulation, cmk: Cmk) -> Deployment:
    """The files of a worker whose tables are in a folder of the operator's."""
    files = worker_config(folder / "site", simulation=azure, keys=[cmk])
    files.config.write_text(f'tables = "tables"\n{files.config.read_text()}')
    (files.folder / "tables").mkdir()
    return files


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """A table that is the shipped one for its first reader, and not valid for any other."""
    os.mkfifo(path)
    changed = path.with_suffix(".changed")
    changed.write_bytes(b"version = 2")

    def write() -> None:
        with path.open("wb") as pipe:  # blocks until somebody reads
            pipe.write(SHIPPED)
            changed.replace(path)

    writer = threading.Thread(target=write)
    writer.start()
    yield
    writer.join()


def test_a_table_is_read_once_for_all_processes(tmp_path: Path, azure: Simulation, cmk: Cmk) -> None:
    azure, files = azure.another_vm(), deployed(tmp_path, azure, cmk)
    with (
        changing(files.folder / "tables" / NAME),
        Worker(files.config, trust=azure.trust, log=tmp_path / "log") as worker,
    ):
        site = Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile))
        assert site.run(people(2)).receipt
        with pytest.raises(StartupError):
            load(files.folder / "tables")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [(NAME, b"version = 2", f"The table {NAME} is not valid"), ("other.toml", b"", "other.toml in ")],
)
def test_a_bad_table_stops_the_start_and_says_why(
    tmp_path: Path, azure: Simulation, cmk: Cmk, name: str, content: bytes, says: str
) -> None:
    files = deployed(tmp_path, azure, cmk)
    (files.folder / "tables" / name).write_bytes(content)
    with pytest.raises(WorkerDied):
        Worker(files.config, trust=azure.trust, log=tmp_path / "log")
    assert says in (tmp_path / "log").read_text()

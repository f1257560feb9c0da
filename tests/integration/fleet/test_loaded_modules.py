"""What the processes of a worker and a submitter have loaded once they have run a job of every kind.

`loaded_lines.toml` has the code lines of ours in each: a ratchet.
"""

import pickle
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from cji_client.spec import InputSpec, JobSpec, SideSpec
from cji_core.format.records import SCHEMAS
from cji_core.operations.registry import OPERATIONS
from cji_operations.operation import Case, Row
from cji_operations.registry import IMPLEMENTATIONS
from cji_simulator.site import Site, people, project_of
from tests.support.code_lines import code_lines, lines_of
from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import Storage
from tests.support.listed import PROGRAM
from tests.support.listed_process import FOLDER, lists
from tests.support.parts_pool import TASKS_SOCKET, conduct, start, submit
from tests.support.paths import ROOT
from tests.support.simulations import simulated

pytestmark = pytest.mark.timeout(400)

BUDGETS = tomllib.loads((Path(__file__).parent / "loaded_lines.toml").read_text())["code_lines"]
KEPT_OUT = ("front", "control", "keyholder", "fleet", "client")
"""Processes that must have nothing of what computes."""


LEFT_OUT = {
    "control": ("asyncio", "azure", "cryptography", "email", "google", "grpc", "numpy", "pyarrow", "ssl", "zipfile"),
    "front": ("azure", "joserfc", "numpy", "pyarrow"),
    "keyholder": ("grpc", "joserfc", "numpy", "pyarrow"),
    "zygote": ("asyncio", "azure", "email", "grpc", "joserfc", "ssl"),
}
"""Libraries that a process must not have; this pool knows no second identity."""


@dataclass(frozen=True)
class Loaded:
    """The modules of ours, and names that are none, by process."""

    by_process: dict[str, set[str]]

    def computing(self, process: str) -> list[str]:
        """What the process has of `cji_operations`."""
        found = self.by_process[process]
        return sorted(name for name in found if f"{name}.".startswith("cji_operations.") and lines_of([name]))


def table(schema: str, row: Row) -> pa.Table:
    """One made-up row; a client refuses a date that is none."""
    columns = SCHEMAS[schema].columns
    row = {name: "20260101" if name == "entered" else value for name, value in row.items()}
    return pa.table({name: pa.array([value], columns[name].types[0]) for name, value in row.items()})


def job_of(site: Site, case: Case) -> tuple[JobSpec, pa.Table, dict[str, pa.Table], str]:
    """A job of a self-test as a submitter runs it: its spec, records, side tables and the name of a project."""
    parameters = case.parameters
    if getattr(parameters, "retain_seconds", 0):  # a worker of a pool has no room for resident references
        parameters = msgspec.structs.replace(parameters, retain_seconds=0)
    sides = {name: SideSpec(file=Path(name), schema=schema) for name, (schema, _) in case.sides.items()}
    spec = site.spec(parameters, input=InputSpec(schema=case.schema), sides=sides)
    tables = {name: table(schema, row) for name, (schema, row) in case.sides.items()}
    return spec, table(case.schema, case.row), tables, project_of(parameters)


def run_jobs(site: Site, folder: Path) -> set[str]:
    """A job of every operation by a submitter's process: the modules of ours that it has at its end."""
    cases = [case for name in OPERATIONS for case in IMPLEMENTATIONS[name].self_test]
    jobs = [job_of(site, case) for case in cases if getattr(case.parameters, "resident_reference", None) is None]
    file = folder / "jobs"
    file.write_bytes(pickle.dumps((site.profile, msgspec.json.encode(site.simulation.trust), jobs)))
    command = [sys.executable, "-m", "tests.support.listed_client", str(file)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.fixture(scope="module")
def loaded(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    folder, found = tmp_path_factory.mktemp("l"), tmp_path_factory.mktemp("lists")
    found.chmod(0o777)  # each process has a user of its own
    with pytest.MonkeyPatch.context() as patch, simulated(folder / "azure", release_limit=100) as azure:
        patch.setenv(FOLDER, str(found))
        pool = Pool(folder / "p", azure, storage, program=PROGRAM, tasks_socket=TASKS_SOCKET)
        try:
            start(pool)
            client = run_jobs(pool.site, folder)
            conduct(pool, submit(pool, people(9), shards=2))
            pool.submit()
            pool.wait()
            yield Loaded({**lists(found), "client": client})
        finally:
            pool.close()


def test_every_process_has_been_watched(loaded: Loaded) -> None:
    """What each has to load for the jobs that it ran is in its list."""
    for process, module in (
        ("keyholder", "cji_worker.keyholder.admission"),
        ("front", "cji_worker.front.service"),
        ("control", "cji_worker.control.__main__"),
        ("fleet", "cji_worker.fleet.tasks.finishes"),
        ("client", "cji_client.verify"),
        ("zygote", "cji_operations.link.stages.buckets"),
    ):
        assert module in loaded.by_process[process], process


@pytest.mark.parametrize("process", KEPT_OUT)
def test_no_process_but_the_cell_has_what_computes(loaded: Loaded, process: str) -> None:
    assert loaded.computing(process) == []


def test_the_watch_sees_what_computes(loaded: Loaded) -> None:
    assert loaded.computing("zygote")


@pytest.mark.parametrize("process", LEFT_OUT)
def test_no_process_has_a_library_that_it_does_not_need(loaded: Loaded, process: str) -> None:
    assert sorted(loaded.by_process[process].intersection(LEFT_OUT[process])) == []


def test_the_watch_sees_libraries(loaded: Loaded) -> None:
    assert {"asyncio", "cryptography", "grpc"} <= loaded.by_process["front"]
    assert {"numpy", "pyarrow"} <= loaded.by_process["zygote"]
    assert {"azure", "email"} <= loaded.by_process["keyholder"]


@pytest.mark.parametrize("process", sorted(BUDGETS))
def test_no_process_loads_more_code_than_its_budget(loaded: Loaded, process: str) -> None:
    assert lines_of(loaded.by_process[process]) <= BUDGETS[process]


def test_code_lines_are_neither_comments_nor_docstrings() -> None:
    assert code_lines('"""One.\n\nTwo."""\n\n# three\nx = """a\nb"""  # four\n\n\ndef f():\n    """Five."""\n') == 3

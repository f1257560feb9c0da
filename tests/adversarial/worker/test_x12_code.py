"""X12: code that nobody listed runs in no process of a worker that holds keys or records."""

import os
import sys
import venv
from pathlib import Path

import pytest

from cji_attestation import AZURE_US
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import load
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.worker import Worker
from cji_worker.supervisor import Supervisor

_HOOK = """
import os, sys
with open({marks!r} + "/" + str(os.getpid()), "w") as file:
    file.write(" ".join(sys.orig_argv))
"""


@pytest.fixture
def hooked(tmp_path: Path) -> tuple[Path, Path]:
    """(an interpreter in whose environment every hook of `site` leaves a mark, the folder of the marks)."""
    environment, marks = tmp_path / "env", tmp_path / "marks"
    venv.create(environment, with_pip=False, symlinks=True)
    marks.mkdir()
    (folder,) = environment.glob("lib/python3*/site-packages")
    hook = _HOOK.format(marks=str(marks))
    for name in ("sitecustomize.py", "usercustomize.py"):
        (folder / name).write_text(hook)
    paths = [path for path in sys.path if path]
    (folder / "hook.pth").write_text("\n".join([*paths, f"import os; exec({hook!r})"]) + "\n")
    return environment / "bin" / "python", marks


def test_x12_hooks_of_site_run_in_no_process(tmp_path: Path, simulation: Simulation, hooked: tuple[Path, Path]) -> None:
    python, marks = hooked
    simulation, keys = simulation.another_vm(), [simulation.create_cmk("cji-hooked")]
    files = worker_config(tmp_path / "worker", simulation=simulation, keys=keys)
    log = tmp_path / "worker.log"
    with Worker(files.config, trust=simulation.trust, log=log, python=str(python)) as worker:
        marked = {int(mark.name) for mark in marks.iterdir()}
        assert worker.process.pid in marked  # the launcher of the simulation runs with `site`: the hooks do work
        assert marked == {worker.process.pid}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an ordinary user is refused before, for want of users")
def test_x12_worker_without_a_manifest_is_refused(tmp_path: Path, simulation: Simulation) -> None:
    files = worker_config(tmp_path / "worker", simulation=simulation, keys=[simulation.create_cmk("cji-unlisted")])
    with pytest.raises(StartupError, match="manifest"):
        Supervisor(load(files.config), trust=AZURE_US).run()

"""Simulations of one process, which share their roots: to make them takes longer than all else in a start."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from cji_simulator.intel import Intel
from cji_simulator.roots import Roots
from cji_simulator.simulation import Simulation

__all__ = ["PATIENT", "simulated"]

PATIENT = "\n[limits]\nidle_seconds = 600\n"
"""For tests that look at every process, or compute, while a caller is silent: on a busy machine more than a minute."""


def simulated(state: Path, **options: Any) -> Simulation:
    """A simulation, not started, with these arguments and this process's roots; VM, TPM and vault are its own."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("roots", "intel"):
        shutil.copytree(_made() / name, state / name)
    return Simulation(state, **options)


@functools.cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cji-roots-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Roots.open(folder / "roots")
    Intel.open(folder / "intel")
    return folder

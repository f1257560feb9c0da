"""Simulations of one run, which share their roots: to make them takes longer than all else in a start."""

import shutil
from pathlib import Path
from typing import Any, Final

from cji_simulator.intel import Intel
from cji_simulator.roots import Roots
from cji_simulator.simulation import Simulation
from tests.support.run_folder import made_once

__all__ = ["PATIENT", "simulated"]

PATIENT = "\n[limits]\nidle_seconds = 600\n"
"""For tests that look at every process, or compute, while a caller is silent: on a busy machine more than a minute."""
_SHARED: Final = {"roots": Roots.open, "intel": Intel.open}


def simulated(state: Path, **options: Any) -> Simulation:
    """A simulation, not started, with these arguments and this run's roots; VM, TPM and vault are its own."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, make in _SHARED.items():
        shutil.copytree(made_once(name, make), state / name)
    return Simulation(state, **options)

"""Azure attestation, key release, instance metadata and a vTPM as real local servers.

The worker talks to them as it talks to Azure; only the `Trust` that it is constructed with is another. Every root is
made here and thrown away, so nothing of it is accepted where production's pins are.

Names are looked up when they are used: `cji_simulator.worker` starts a worker, and a worker starts without servers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cji_simulator.faults import Kind, Service
    from cji_simulator.simulation import Cmk, Simulation, SimulationError

__all__ = ["Cmk", "Kind", "Service", "Simulation", "SimulationError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "cji_simulator.faults" if name in ("Kind", "Service") else "cji_simulator.simulation"
    return getattr(import_module(module), name)

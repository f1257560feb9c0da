"""Azure attestation, key release, instance metadata and a vTPM as real local servers.

The worker talks to them as it talks to Azure; only the `Trust` that it is constructed with is another. Every root is
made here and thrown away, so nothing of it is accepted where production's pins are.
"""

from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Cmk, Simulation, SimulationError

__all__ = ["Cmk", "Kind", "Service", "Simulation", "SimulationError"]

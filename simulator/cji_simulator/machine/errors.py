"""A machine in QEMU cannot be had."""

from cji_simulator.errors import SimulatorError

__all__ = ["MachineError"]


class MachineError(SimulatorError):
    """Something that a boot needs is missing, or the machine did not come up."""

    code = "machine-failed"
    remedy = "Read the console of the machine: console.log in its folder."

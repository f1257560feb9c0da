"""The base of the errors of the simulator."""

from cji_core.errors import CjiError


class SimulatorError(CjiError):
    """A step of a simulation that failed, or a refusal of a simulated service."""

    code = "simulator"

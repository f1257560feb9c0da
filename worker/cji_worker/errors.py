"""The base of the errors of a worker's processes."""

from cji_core.errors import CjiError


class WorkerError(CjiError):
    """An error inside a machine that runs the worker. Callers get a Refusal, never this."""

    code = "worker"

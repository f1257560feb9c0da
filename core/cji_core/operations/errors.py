"""The base of the errors of operations."""

from cji_core.errors import CjiError


class OperationsError(CjiError):
    """Parameters, rules or input that an operation cannot use; for the submitter, before anything is sealed."""

    code = "operations"

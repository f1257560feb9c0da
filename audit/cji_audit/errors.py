"""The base of the errors of the tools of an auditor."""

from cji_core.errors import CjiError


class AuditError(CjiError):
    """An input that cannot be reviewed, reconciled or packed."""

    code = "audit"

"""The one error of this room."""

from cji_audit.errors import AuditError


class PacketError(AuditError):
    """A packet that cannot be made or read. Both texts are for the person who runs the command."""

    code = "packet-not-made"
    remedy = "Correct the input that the message names."

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return self.what

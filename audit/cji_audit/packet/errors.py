"""The one error of this room."""


class PacketError(Exception):
    """A packet that cannot be made or read. Both texts are for the person who runs the command."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return self.what

"""The refusal of a column encryption key or of a statement. No text has a byte of a key."""

from cji_core.errors import ClientError


class ColumnKeyRefused(ClientError):  # noqa: N818 - what happened
    """A column encryption key, or a statement about such keys, failed a check: nothing was made of it."""

    code = "column-key"
    exit_status = 3

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)

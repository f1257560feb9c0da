"""Refusals of column encryption keys, of tables, and of statements about them. No text has a byte of a key or cell."""

from cji_core.errors import ClientError


class ColumnKeyRefused(ClientError):  # noqa: N818 - what happened
    """A column encryption key, or a statement about such keys, failed a check: nothing was made of it."""

    code = "column-key"
    exit_status = 3

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)


class TableRefused(ClientError):  # noqa: N818 - as above
    """A table, or the statement of its version, is not what its writer signed."""

    code = "table-version"
    exit_status = 3

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)

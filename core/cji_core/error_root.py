"""The root of all errors of this program, and the base of those of the core.

Each distribution has one base below `CjiError`; an error that leaves a room derives from it. The message states what
was found, `code` names the kind for programs and never changes, `remedy` is what to do.
"""


class CjiError(Exception):
    """An error of this program. A class sets `code` and `remedy`; an object may have a remedy of its own."""

    code: str = "error"
    remedy: str = "Read the message."

    def __init__(self, *args: object, remedy: str | None = None) -> None:
        super().__init__(*args)
        if remedy is not None:
            self.remedy = remedy


class CoreError(CjiError):
    """The base of what both ends of a job share: formats, trails, keys, exchanges."""

    code = "core"

"""The progress of a running job: a step and a percentage. Neither is a value; the pace shows how much is to be done."""

from typing import Protocol


class ProgressCallback(Protocol):
    """Called whenever a job makes progress."""

    def __call__(self, step: str, per_cent: int, /) -> None:
        """`step` is one that an operation declares, `per_cent` 0 to 100 of it."""

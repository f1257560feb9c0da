"""The progress of a running job: a step and a percentage. It never depends on values of records."""

from typing import Literal, Protocol, TypeAlias

__all__ = ["ProgressCallback", "Step"]

Step: TypeAlias = Literal["rows", "check", "count", "train", "compare", "cluster", "score", "group", "write"]


class ProgressCallback(Protocol):
    """Called whenever a job makes progress."""

    def __call__(self, step: Step, per_cent: int, /) -> None:
        """`per_cent` 0 to 100 of this step."""

"""What a caller may be told of a job at work: the step and how far it is. It never depends on values of records."""

from typing import Literal, Protocol, TypeAlias

__all__ = ["Step", "Tell"]

Step: TypeAlias = Literal["rows", "check", "count", "train", "compare", "cluster", "score", "group", "write"]


class Tell(Protocol):
    """Told whenever a job is further."""

    def __call__(self, step: Step, per_cent: int) -> None:
        """`per_cent` 0 to 100 of this step."""

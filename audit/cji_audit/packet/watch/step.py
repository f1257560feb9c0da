"""The form of a watcher, and of the lines that it sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from cji_core.trail.claims import Claims
from cji_core.trail.events import Event

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

Fault: TypeAlias = tuple[int, str]
"""A line, and what is wrong there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A verified line, and for a completed job the claims of its receipt with their digest (`receipt_sha384`)."""

    line: int
    time: str
    event: Event
    receipt: tuple[Claims, str] | None


class Watcher(Protocol):
    """One topic."""

    topic: str

    def see(self, step: Step) -> Iterator[Fault]:
        """The faults that this line reveals."""

    def end(self, time: str) -> Iterator[Fault]:
        """The faults that only the end reveals; `time` is that of the last line."""


class Endless:
    """Base of watchers to which the end reveals nothing."""

    def end(self, time: str) -> Iterator[Fault]:  # noqa: ARG002 - for those that it matters to
        """No fault."""
        yield from ()


def seconds_between(earlier: str, later: str) -> float:
    """Between two times of a trail."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()

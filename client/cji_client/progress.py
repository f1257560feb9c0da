"""Progress of a job, as its submitter sees it. No event depends on values of records."""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa


class Phase(enum.StrEnum):
    """The step that an event is about, in the order in which a job begins them."""

    READING = "reading"
    """Records, from the first to the last; each value is checked."""
    CHECKING = "checking"
    """The worker's evidence."""
    SEALING = "sealing"
    SENDING = "sending"
    """Segments are sealed as they are sent, unless the job is in a folder."""
    WAITING = "waiting"
    """The job waits in the queue of a pool, or for a worker that refused it for a while."""
    RUNNING = "running"
    """The worker is at `stage`."""
    RECEIVING = "receiving"
    OPENING = "opening"
    """An output, with its receipt verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One event.

    `rows` and `bytes` are their numbers so far: rows of READING, SEALING and OPENING; bytes in Arrow of READING, of
    sealed data otherwise. `stage` and `per_cent` (0 to 100) are those of RUNNING.
    """

    phase: Phase
    rows: int = 0
    bytes: int = 0
    stage: str = ""
    per_cent: int = 0


ProgressCallback: TypeAlias = Callable[[Progress], None]
"""Called whenever a job makes progress, possibly from another thread."""
Watch: TypeAlias = Callable[[int, int], None]
"""Called before and after each batch of an input, with its rows and bytes so far; it may raise to end the reading."""


def unwatched(_rows: int, _bytes: int) -> None:
    """Report to nobody."""


class Reading:
    """Reports what is read of all inputs of a job, one after another. `before` may raise to end the reading."""

    def __init__(self, progress: ProgressCallback | None, before: Callable[[], None] = lambda: None) -> None:
        self._progress, self._before = progress, before
        self._done, self._last = (0, 0), (0, 0)

    def __call__(self, rows: int, size: int) -> None:
        """As `Watch`."""
        self._before()
        if (rows, size) == (0, 0):  # the next input begins
            self._done = (self._done[0] + self._last[0], self._done[1] + self._last[1])
        self._last = rows, size
        if self._progress is not None:
            self._progress(Progress(phase=Phase.READING, rows=self._done[0] + rows, bytes=self._done[1] + size))


def opening(batches: "Iterator[pa.RecordBatch]", progress: ProgressCallback | None) -> "Iterator[pa.RecordBatch]":
    """The batches of an output, reported as they are opened."""
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        if progress is not None:
            progress(Progress(phase=Phase.OPENING, rows=rows))
        yield batch

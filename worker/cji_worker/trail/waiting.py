"""Lines of the audit trail that are not on disk yet: a group that is being synced, and those that gather after it.

Contract and invariants
* They stand in the order of the chain. Either a line is on disk with all before it, or it is lost with all after it.
* Each line that somebody waits for is decided once: on disk, or lost. Who waits is called later, by `deliver`, so that
  no job goes on in the middle of another one's step.
* No job has two lines here.

Pure but for `SyncThread`; not thread-safe.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from cji_core.errors import Refusal
from cji_core.trail.chain import MAX_LINE_BYTES, Head, Record
from cji_core.trail.events import JobCompleted

Then: TypeAlias = Callable[[Refusal | None], None]
"""Called once with None for a line that is on disk, else with the Refusal of what needs it."""


@dataclass(slots=True, kw_only=True)
class Line:
    """One line that waits; `counts` is what its admission counts among, the day, the submitter and the agency."""

    record: Record
    data: bytes
    offset: int
    then: Then | None
    counts: tuple[int, str, str] | None
    whole: JobCompleted | None
    """With the whole receipt of a completed job."""
    on_disk: bool = False

    @property
    def head(self) -> Head:
        """Of the chain that ends with this line."""
        return Head(seq=self.record.seq, hash=self.record.hash)

    @property
    def end(self) -> int:
        """The offset after this line."""
        return self.offset + len(self.data)


class Waiting:
    """The lines that wait, and those that were decided and not delivered."""

    def __init__(self) -> None:
        self.group: list[Line] = []
        """Written, and being synced."""
        self._lines: list[Line] = []
        self._decided: deque[tuple[Then, Refusal | None]] = deque()

    @property
    def last(self) -> Line | None:
        """The end of the chain, if it waits."""
        return self._lines[-1] if self._lines else self.group[-1] if self.group else None

    @property
    def gathered(self) -> bool:
        """Whether lines wait that are not being synced."""
        return bool(self._lines)

    def add(self, line: Line) -> None:
        """Let a line wait, which follows `last`."""
        self._lines.append(line)

    def take(self) -> list[Line]:
        """Make a group of the lines that gathered, as many as are no longer than one may be; the one before is decided.

        What a power failure leaves of a group, a start cuts off as it does a line.
        """
        size, ends = 0, len(self._lines)
        for number, line in enumerate(self._lines):
            size += len(line.data)
            if number and size > MAX_LINE_BYTES:
                ends = number
                break
        self.group, self._lines = self._lines[:ends], self._lines[ends:]
        return self.group

    def decide(self, lost: Refusal | None = None) -> None:
        """The group is on disk, or lost."""
        self._settle(self.group, lost)
        self.group = []

    def lose(self, lost: Refusal) -> None:
        """The lines that gathered are lost."""
        self._settle(self._lines, lost)
        self._lines = []

    def has_job(self, job_id: str) -> bool:
        """Whether a line about this job waits."""
        return any(getattr(line.record.event, "job_id", None) == job_id for line in self._all())

    def counted(self, day: int, submitter: str, ori: str) -> int:
        """Admissions here that count on a day (since 1970) for this submitter and agency."""
        return sum(line.counts == (day, submitter, ori) for line in self._all())

    def completion(self) -> JobCompleted | None:
        """The event with the latest receipt among these lines."""
        return next((line.whole for line in reversed(list(self._all())) if line.whole is not None), None)

    @property
    def has_whole_receipt(self) -> bool:
        """Whether a line has a whole receipt: later ones are like that."""
        events = (line.record.event for line in self._all())
        return any(isinstance(event, JobCompleted) and isinstance(event.receipt, str) for event in events)

    @property
    def undelivered(self) -> bool:
        """Whether `deliver` has somebody to call."""
        return bool(self._decided)

    def deliver(self) -> None:
        """Call those who waited, in the order of their lines."""
        while self._decided:
            then, lost = self._decided.popleft()
            then(lost)

    def _all(self) -> Iterable[Line]:
        yield from self.group
        yield from self._lines

    def _settle(self, lines: list[Line], lost: Refusal | None) -> None:
        for line in lines:
            line.on_disk = lost is None
            if line.then is not None:
                self._decided.append((line.then, lost))


class SyncThread:
    """Syncs one group at a time while its owner goes on; `done` is called in this thread after each."""

    def __init__(self, done: Callable[[], object]) -> None:
        self._done: Final = done
        self._asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._found: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="trail", daemon=True)
        self._thread.start()

    def begin(self, fd: int) -> None:
        """Sync this file. It must stay open until there is a result."""
        self._asked.put(fd)

    def result(self, *, wait: bool) -> OSError | None:
        """The error of the sync, None if it succeeded. Raises queue.Empty if there is no result and `wait` is false."""
        return self._found.get(block=wait)

    def end(self) -> None:
        """End the thread; nothing is being synced."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (fd := self._asked.get()) is not None:
            error = None
            try:
                os.fsync(fd)
            except OSError as found:
                error = found
            self._found.put(error)
            self._done()

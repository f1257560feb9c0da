"""The lease of a ticket: renewed by a thread of its own before it ends, until it is released or lost.

The same thread looks whether the submitter asks for an end. `ended` is called once, from this thread, if the attempt
has to stop; `end` then has the reason.
"""

import enum
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from cji_core.format.configuration.fleet import RENEWALS
from cji_core.pool import names
from cji_core.pool.errors import LeaseLostError, StoreError
from cji_core.pool.queue import Message, Queue
from cji_core.pool.store import Blobs

_STOP_S: Final = 5.0


class End(enum.Enum):
    """Why an attempt has to stop."""

    LOST = enum.auto()  # another worker may have the ticket
    CANCELLED = enum.auto()  # by the submitter
    STOPPED = enum.auto()  # this process ends


class Lease:
    """A leased message; a context manager. `message` is its newest state once the block is left."""

    def __init__(
        self, message: Message, *, job: str, queue: Queue, jobs: Blobs, seconds: int, ended: Callable[[], None]
    ) -> None:
        """`queue` and `jobs` serve this object alone."""
        self.message = message
        self.end: End | None = None
        self._job, self._queue, self._jobs, self._seconds, self._ended = job, queue, jobs, seconds, ended
        self._until = time.monotonic() + seconds
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Renew no more; the lease itself lasts until its time."""
        self._over.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(self._seconds + _STOP_S)

    def stop(self, why: End) -> None:
        """Have the attempt stop. The first reason counts."""
        with self._lock:
            if self.end is not None:
                return
            self.end = why
        self._ended()

    def _renew(self) -> None:
        while not self._over.wait(self._seconds / RENEWALS):
            try:
                self.message = self._queue.renew(self.message, lease=self._seconds)
                self._until = time.monotonic() + self._seconds
                if self._jobs.exists(names.cancel(self._job)):
                    self.stop(End.CANCELLED)
            except LeaseLostError:
                self.stop(End.LOST)
                return
            except StoreError:
                if time.monotonic() > self._until:
                    self.stop(End.LOST)
                    return

"""The process that delivers: one loop for each destination, in a thread of its own, so that none holds up another.

something new and accepted    again at once
nothing new                   again after a second
not accepted                  again after 1, 2, 4 ... 60 seconds, shortened at random by up to half, or after the
                              time that the destination asked for, whichever is longer
the trail was changed         every destination stops, and the process ends: a person must investigate
"""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cji_core.log import log
from cji_core.trail.chain import ChainError
from cji_core.trail.delivery import DeliveryError, Destination
from cji_worker.errors import WorkerError

POLL_S: Final = 1.0
FIRST_S: Final = 1.0
MOST_S: Final = 60.0
_STOP_S: Final = 5.0


class TrailChangedError(WorkerError):
    """The trail is not the one that was delivered. `fault` names the line."""

    code = "delivered-trail-changed"
    remedy = "Keep trail and state, and investigate which program changed the trail."

    def __init__(self, fault: ChainError) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True)
class _Loop:
    """One destination's state."""

    destination: Destination
    failures: int = 0
    reached: int = -1


class Deliverer:
    """Delivers until it is stopped, or until the trail was changed."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        *,
        chance: Callable[[], float] = random.random,
        first_s: float = FIRST_S,
        most_s: float = MOST_S,
    ) -> None:
        """`chance` returns a number from 0 to 1; with the shortest and the longest it makes the delays."""
        self._loops = [_Loop(destination) for destination in destinations]
        self._chance, self._first_s, self._most_s = chance, first_s, most_s
        self._stop = threading.Event()
        self._changed: ChainError | None = None
        self._threads: list[threading.Thread] = []

    def stop(self) -> None:
        """End the loops after what they are doing; from any thread, or a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Deliver. Raises TrailChangedError."""
        self._start(self._serve)
        self._stop.wait()
        self._end()

    def once(self) -> list[str]:
        """Deliver what is there now, each destination until it has all or refuses; return the names of those behind.

        Raises TrailChangedError.
        """
        self._start(self._drain)
        for thread in self._threads:
            thread.join()
        self._end()
        return [loop.destination.name for loop in self._loops if loop.failures]

    def delay(self, failures: int, asked: float) -> float:
        """Seconds until the next attempt, after so many failures in a row."""
        most: float = min(self._most_s, self._first_s * 2 ** min(failures - 1, 16))
        return max(asked, most * (1 - self._chance() / 2))

    def _start(self, body: Callable[[_Loop], None]) -> None:
        # daemons: a destination that does not answer cannot hold up the end of the process
        self._threads = [threading.Thread(target=body, args=(loop,), daemon=True) for loop in self._loops]
        for thread in self._threads:
            thread.start()

    def _end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=_STOP_S)
        if self._changed is not None:
            raise TrailChangedError(self._changed)

    def _serve(self, loop: _Loop) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._step(loop))

    def _drain(self, loop: _Loop) -> None:
        while not self._stop.is_set() and self._step(loop) == 0:
            pass

    def _step(self, loop: _Loop) -> float:
        """One attempt; returns the seconds until the next."""
        name = loop.destination.name
        try:
            reached = loop.destination.advance().seq
        except ChainError as fault:
            log("audit trail changed", what=f"{name}: {fault}", remedy="Keep the trail and investigate who changed it.")
            self._changed = fault
            self.stop()
            return 0
        except DeliveryError as error:
            return self._failed(loop, str(error), error.after)
        except Exception as fault:  # noqa: BLE001 - one destination's fault must not end the others
            return self._failed(loop, type(fault).__name__, 0.0)
        if loop.failures:
            log("delivery resumed", what=name)
        loop.failures = 0
        progressed, loop.reached = reached != loop.reached, reached
        return 0.0 if progressed else POLL_S

    def _failed(self, loop: _Loop, text: str, asked: float) -> float:
        loop.failures += 1
        seconds = self.delay(loop.failures, asked)
        log("delivery failed", what=f"{loop.destination.name}: {text}", retry_ms=int(seconds * 1000))
        return seconds

"""Heartbeats: how the processes of a worker notice that one of them is stopped.

    supervisor -> front      front -> supervisor
    zygote -> keyholder      zygote -> supervisor
    keyholder -> front       keyholder -> supervisor

A process sends a Beat from its main loop every half second. Two seconds without one withdraw readiness: the keyholder
follows the zygote, the front follows keyholder and supervisor. The supervisor ends a worker that has been silent for
longer, and systemd one whose supervisor is. Cells have no beat: the deadline of a job ends them.
"""

import time
from typing import Final

BEAT_S: Final = 0.5
STALE_S: Final = 2.0
"""Seconds of silence after which a process counts as stopped."""


class Pulse:
    """The last beat of one peer, on the clock of this process. Nothing is expected before the first."""

    __slots__ = ("_last", "_looked")

    def __init__(self) -> None:
        self._last, self._looked = float("inf"), time.monotonic()

    def beat(self) -> None:
        """A beat arrived."""
        self._last = time.monotonic()

    def silence(self) -> float:
        """Seconds since the last beat; look once a beat. Time in which this process stood still itself is left out."""
        now = time.monotonic()
        if now - self._looked > STALE_S:
            self._last = max(self._last, now)
        self._looked = now
        return now - self._last

    def stale(self) -> bool:
        """Whether the peer counts as stopped."""
        return self.silence() > STALE_S

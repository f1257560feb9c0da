"""Jobs that wait for a cell, and whose turn is next. Pure: times come in as arguments, in seconds of one clock.

Contract and invariants
* Cells are shared by time, not by jobs: the next job is the oldest of the submitter that used the least cell time. This
  is start-time fair queueing (Goyal, Vin and Cheng, IEEE/ACM Transactions on Networking 5(5), 1997) with the time used
  so far, running jobs included, in place of lengths, which are not known before.
* Work-conserving: while anything waits, `take` returns a job, so a submitter alone may use every cell.
* Nobody saves up: a submitter with nothing waiting continues at most two mean jobs below the level of the one that was
  served last. So neither idle time nor use of cells that nobody else wanted counts later, and one with few streams does
  not lose its turn in the moment between two of its jobs.
* A submitter may add a job while fewer of its own wait than places are free, as in `cji_worker.front.submitters`.
* Tables have an entry for each submitter of the policy at most.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from cji_core.errors import Reason, Refusal, Stage

CAPACITY: Final = 128
"""Maximum number of waiting jobs."""

_MEAN_OVER: Final = 16  # jobs
_LEAD: Final = 2  # mean jobs
_SHORTEST_S, _LONGEST_S = 0.2, 30.0

T = TypeVar("T")


@dataclass(slots=True)
class _Share(Generic[T]):
    """One submitter: cell seconds used by jobs that are over, running jobs, and the sum of their starts."""

    used: float = 0.0
    running: int = 0
    starts: float = 0.0
    waiting: deque[T] = field(default_factory=deque)

    def level(self, now: float) -> float:
        """Cell seconds used until now."""
        return self.used + self.running * now - self.starts


class FairQueue(Generic[T]):
    """Waiting jobs of type T by submitter, and the cell time that each submitter used."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._shares: dict[str, _Share[T]] = {}
        self._served = 0.0
        self._waiting = 0
        self._mean_s = 0.0

    def __len__(self) -> int:
        return self._waiting

    def pause(self, *, cells: int) -> float:
        """Seconds until those that wait now will probably have had their turn: when to try again."""
        return min(max(self._mean_s * (self._waiting + 1) / cells, _SHORTEST_S), _LONGEST_S)

    def add(self, submitter: str, job: T, *, now: float) -> None:
        """Queue a job. Raises OVERLOADED above the submitter's share of the places."""
        share = self._shares.get(submitter) or _Share[T]()
        if len(share.waiting) >= self._capacity - self._waiting:
            raise Refusal(Reason.OVERLOADED, stage=Stage.ADMIT)
        self._shares[submitter] = share
        if not share.waiting:
            self._lift(share, now)
        share.waiting.append(job)
        self._waiting += 1

    def take(self, *, now: float) -> T | None:
        """The next job; None if nothing waits."""
        ready = [(share.level(now), name) for name, share in self._shares.items() if share.waiting]
        if not ready:
            return None
        _, name = min(ready)
        self._waiting -= 1
        return self._shares[name].waiting.popleft()

    def waiting(self) -> list[T]:
        """All waiting jobs."""
        return [job for share in self._shares.values() for job in share.waiting]

    def remove(self, matches: Callable[[T], bool]) -> T | None:
        """Take out the first job that matches; None if there is none."""
        for share in self._shares.values():
            for job in share.waiting:
                if matches(job):
                    share.waiting.remove(job)
                    self._waiting -= 1
                    return job
        return None

    def started(self, submitter: str, *, now: float) -> None:
        """A job of this submitter got a cell, whether it waited or not."""
        share = self._shares.setdefault(submitter, _Share[T]())
        if not share.waiting:
            self._lift(share, now)
        self._served = max(self._served, share.level(now))
        share.running += 1
        share.starts += now

    def ended(self, submitter: str, *, started: float, now: float) -> None:
        """A job that got its cell at `started` is over."""
        share = self._shares[submitter]
        self._mean_s += (now - started - self._mean_s) / _MEAN_OVER
        share.used += now - started
        share.running -= 1
        share.starts -= started
        if not share.running:
            share.starts = 0.0  # sums of floats drift
            self._forget(now)

    def _lift(self, share: _Share[T], now: float) -> None:
        share.used += max(0.0, self._served - _LEAD * self._mean_s - share.level(now))

    def _forget(self, now: float) -> None:
        """Drop submitters without jobs that have used as little as a new one would count for."""
        for name, share in list(self._shares.items()):
            if not share.running and not share.waiting and share.level(now) <= self._served - _LEAD * self._mean_s:
                del self._shares[name]

"""A fleet in virtual time: each worker follows the `Schedule` of the keyholder, and nothing here decides when.

A heap of (time, worker) is the clock. A worker does one step at a time, as the custody thread does: attest, or ask for
the release of one key. Checks of the PCRs concern no other machine and are left out.
"""

import heapq
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.fleet_schedule.services import Service
from cji_worker.keyholder.schedule import Schedule, failure_of

__all__ = ["ATTEST", "TOKEN_AGE", "Fleet", "Worker"]

ATTEST: Final = (1.0, 3.0)
"""Seconds that evidence, verdict and token take, uniformly distributed."""
TOKEN_AGE: Final = 600.0
"""Maximum age of a token at a release, in seconds: `token_max_age`."""


@dataclass(kw_only=True)
class Worker:
    """One worker: its schedule, its keys with the end of their lives, and what happened to it."""

    schedule: Schedule
    services: Mapping[str, Service]
    """By id of the key version."""
    started: float
    until: dict[str, float] = field(default_factory=dict)
    """End of life of each key that it holds or held."""
    began: float = 0.0
    """Start of the latest attestation."""
    ready: float = math.inf
    """When it held every key for the first time."""
    calls_ready: int = 0
    """Requests for releases until then."""
    stopped: dict[str, float] = field(default_factory=dict)
    """When each key was denied for the first time."""
    gaps: dict[str, float] = field(default_factory=dict)
    """Seconds without each key between two releases of it."""
    renewals: list[float] = field(default_factory=list)
    """The rest of a key's life when it was replaced, in seconds; negative after its end."""
    calls: int = 0
    gone: bool = False

    def complete(self, now: float) -> bool:
        """Whether it may use every key."""
        return all(self.until.get(key, -math.inf) > now for key in self.services)

    def missing(self, since: float, now: float, *, but: str = "none") -> float:
        """Seconds without a key since the last `forget`, of all keys together but those whose id ends in `but`."""
        counted = [key for key in self.services if not key.endswith(but)]
        still = sum(max(0.0, now - max(since, self.until.get(key, since))) for key in counted)
        return still + sum(self.gaps.get(key, 0.0) for key in counted)

    def forget(self) -> None:
        """Begin to count gaps and renewals again."""
        self.gaps, self.renewals = {}, []


class Fleet:
    """The clock and the workers."""

    def __init__(self, *, seed: int, lifetime: float, expected: int) -> None:
        """`expected` is the number of workers in the configuration of each."""
        self._draw = random.Random(seed)  # noqa: S311 - a simulation
        self._lifetime, self._expected = lifetime, expected
        self._heap: list[tuple[float, int]] = []
        self._waiting = 0
        self.workers: list[Worker] = []
        self.now = 0.0

    def add(self, services: Mapping[str, Service], *, at: float) -> None:
        """Start a worker with these keys."""
        schedule = Schedule(
            services,
            lifetime=self._lifetime,
            check_every=math.inf,
            token_age=TOKEN_AGE,
            workers=self._expected,
            uniform=self._draw.uniform,
        )
        heapq.heappush(self._heap, (at, len(self.workers)))
        self.workers.append(Worker(schedule=schedule, services=services, started=at))
        self._waiting += 1

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until:
            self._advance()
        self.now = until

    def until_ready(self, most: float) -> None:
        """Let time pass until every worker has been ready once, to `most` at the latest."""
        while self._waiting and self._heap[0][0] <= most:
            self._advance()

    def stop(self, worker: Worker) -> None:
        """End a worker that was ready."""
        worker.gone = True

    def _advance(self) -> None:
        self.now, number = heapq.heappop(self._heap)
        worker = self.workers[number]
        if not worker.gone:
            done = self._step(worker)
            heapq.heappush(self._heap, (max(done, worker.schedule.next().at), number))

    def _step(self, worker: Worker) -> float:
        """Do what is due; return when it is done."""
        step = worker.schedule.next()
        if step.what == "release":
            return self._release(worker, step.kek_id)
        assert step.what == "attest", "checks are left out"
        worker.began = self.now
        done = self.now + self._draw.uniform(*ATTEST)
        worker.schedule.attested(done, began=self.now)
        return done

    def _release(self, worker: Worker, key: str) -> float:
        if self.now - worker.began > TOKEN_AGE:
            if not worker.schedule.attest_again(key):
                worker.schedule.not_released(key, self.now)
            return self.now
        worker.calls += 1
        answer = worker.services[key].release(key, self.now)
        done = self.now + answer.seconds
        if answer.fault is None:
            self._released(worker, key, done)
            return done
        how = failure_of(answer.fault)
        worker.schedule.not_released(key, done, how, retry_after=answer.retry_after)
        if how == "denied":
            worker.stopped.setdefault(key, done)
            worker.until[key] = min(worker.until.get(key, done), done)
        return done

    def _released(self, worker: Worker, key: str, now: float) -> None:
        until = worker.schedule.released(key)
        if key in worker.until:
            left = worker.until[key] - now
            worker.renewals.append(left)
            worker.gaps[key] = worker.gaps.get(key, 0.0) + max(0.0, -left)
        worker.until[key] = until
        if worker.ready == math.inf and worker.complete(now):
            worker.ready, worker.calls_ready = now, worker.calls
            self._waiting -= 1

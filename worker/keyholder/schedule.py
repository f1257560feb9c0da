"""When to attest, to release each key, and to check the PCRs. Times in, times out; no clock, no network.

* One step at a time. An attestation is made when a key is due and no current one may release it; throttled keys are
  requested again under the same attestation.
* All keys are due at the start and at each renewal, at a random time between 25 % and 45 % of the lifetime: a fleet
  that started together does not renew together, and there is time to repeat a renewal that fails.
* A step that failed waits as long as the service demands, then a random part of a window that doubles (full jitter:
  Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). Behind a throttle the first window is that of
  Key Vault's limit, 10 releases in 10 s and vault for HSM keys (Key Vault service limits): a throttled caller was one
  of many. After denials the window grows to minutes, or a fleet with one revoked key would use up that limit.
* "Attest again" is granted once per key. The second time in a row is a failure like any other, so nothing spins.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

_RENEW: Final = (0.25, 0.45)  # of the lifetime
_WINDOWS: Final = {"failed": (1.0, 60.0), "throttled": (10.0, 60.0), "denied": (10.0, 600.0)}  # seconds: first, longest

Failure = Literal["failed", "throttled", "denied"]
Uniform = Callable[[float, float], float]


class Backoff:
    """Backoff of one step. `at` is the time of the next attempt: at once, unless the last one failed."""

    __slots__ = ("_failures", "_uniform", "at")

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._failures = 0
        self.at = float("-inf")

    def failed(self, now: float, how: Failure = "failed", *, retry_after: float = 0.0) -> None:
        """Record a failure; `retry_after` is the service's demand in seconds."""
        first, longest = _WINDOWS[how]
        window = min(first * 2.0**self._failures, longest)
        self._failures = min(self._failures + 1, 16)
        self.at = now + retry_after + self._uniform(0.0, window)

    def reset(self) -> None:
        """Record a success."""
        self._failures = 0
        self.at = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that is due at `at`."""

    what: Literal["attest", "release", "check"]
    at: float
    kek_id: str = ""


class Schedule:
    """The next step, and the outcomes of earlier ones. `now` is in seconds of any monotonic clock."""

    def __init__(
        self,
        kek_ids: Iterable[str],
        *,
        lifetime: float,
        check_every: float,
        uniform: Uniform = random.uniform,
    ) -> None:
        """`lifetime` is the maximum age of a key, `check_every` the time between two checks of the PCRs; seconds."""
        self._kek_ids = tuple(kek_ids)
        self._lifetime, self._check_every, self._uniform = lifetime, check_every, uniform
        self._renew_at = self._check_at = float("-inf")
        self._attest = Backoff(uniform)
        self._watched = self._at_hand = False
        self._owed: dict[str, Backoff] = {}
        self._granted: set[str] = set()

    def next(self) -> Step:
        """The next step; among several that are due, releases come first."""
        attest_at = max(self._renew_at, self._attest.at)
        if not self._at_hand and self._owed:
            owed_at = max(min(o.at for o in self._owed.values()), self._attest.at)
            attest_at = min(attest_at, owed_at)
        steps = [Step(what="attest", at=attest_at)]
        if self._watched:
            steps = [Step(what="check", at=self._check_at), *steps]
        if self._at_hand:
            steps = [*(Step(what="release", at=o.at, kek_id=k) for k, o in self._owed.items()), *steps]
        return min(steps, key=lambda step: step.at)

    def attested(self, now: float) -> None:
        """Record a new attestation."""
        self._attest.reset()
        self._watched = self._at_hand = True
        self._check_at = now + self._check_every
        if now >= self._renew_at:
            for kek_id in self._kek_ids:
                self._owed.setdefault(kek_id, Backoff(self._uniform))
            low, high = _RENEW
            self._renew_at = now + self._lifetime * self._uniform(low, high)

    def not_attested(self, now: float, *, retry_after: float = 0.0) -> None:
        """Record a failed attestation; an earlier one stays in use."""
        self._attest.failed(now, retry_after=retry_after)

    def released(self, kek_id: str) -> None:
        """Record the release of a key."""
        self._owed.pop(kek_id, None)
        self._granted.discard(kek_id)

    def not_released(self, kek_id: str, now: float, how: Failure = "failed", *, retry_after: float = 0.0) -> None:
        """Record that a key was not released; it will be requested again."""
        self._owed[kek_id].failed(now, how, retry_after=retry_after)

    def attest_again(self, kek_id: str) -> bool:
        """Record that the attestation no longer releases this key; return whether a new one may be made at once."""
        self._at_hand = False
        if kek_id in self._granted:
            return False
        self._granted.add(kek_id)
        return True

    def checked(self, now: float) -> None:
        """Record a check of the PCRs, or its failure."""
        self._check_at = now + self._check_every

    def begin_again(self, now: float) -> None:
        """Discard the attestation: attest, and release every key again."""
        self._watched = self._at_hand = False
        self._renew_at = min(self._renew_at, now)

"""Rates by key: each key has a bucket of tokens that fills up again with time.

Keys are names of submitters, so the table is never larger than the policy.
"""

import time
from collections.abc import Callable


class TokenBuckets:
    """`burst` tokens at first and at most, one more every `seconds`; `clock` is a monotonic clock in seconds."""

    def __init__(self, *, burst: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._seconds, self._clock = burst, seconds, clock
        self._empty: dict[str, float] = {}  # the time at which the bucket, left alone, had been empty

    def wait(self, key: str) -> float:
        """Seconds until there is a token; 0.0 if there is one."""
        return max(0.0, self._empty.get(key, float("-inf")) + self._seconds - self._clock())

    def take(self, key: str) -> bool:
        """Take a token; False if there is none."""
        if self.wait(key):
            return False
        now = self._clock()
        full = now - self._burst * self._seconds
        self._empty[key] = max(self._empty.get(key, full), full) + self._seconds
        return True

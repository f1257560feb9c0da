"""Waits between requests to services that a whole fleet shares. Times in seconds, in and out; no clock.

A random part of a window ("full jitter": Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015) keeps
the workers of a fleet apart, after the wait that the service demands. The windows decide who gets the next release of a
vault that is asked for more than its limit, 10 releases of HSM keys in 10 seconds (Key Vault service limits):

* A worker without a key draws from windows that double from 10 seconds to two minutes. They are short again about the
  time at which a fleet that started together has all its keys, because few workers are left by then.
* A worker that renews a key has time. Its window is the square of the rest of the key's life, in lifetimes: it leaves
  the vault to others at first and insists near the end. The last tenth of the life is a reserve.
* A key that is denied is requested least often: a fleet with one revoked key must not use up the limit.
* A service that fails is asked again after 1, 4, 16 seconds, and then as seldom as the size of the fleet demands.

The constants were chosen by simulation: docs/fleet.md, `python -m benchmarks fleet-schedule`.
"""

from collections.abc import Callable
from typing import Final

VAULT_SECONDS: Final = 1.0
"""Time that a vault takes for one release of an HSM key, at its limit."""
_SHORTEST: Final = 10.0  # window after a throttle: the one over which a vault counts
_LONGEST: Final = 120.0  # window of a worker without a key
_RESERVE: Final = 0.1  # part of a key's life
_FAILED: Final = (1.0, 4.0, 60.0)  # first window, its growth, the longest window in a small fleet
_DENIED: Final = (10.0, 8.0, 600.0)
_MOST_COUNTED: Final = 16

Uniform = Callable[[float, float], float]


class Backoff:
    """Failures of one step in a row. `at` is the time of its next attempt: at once, unless the last one failed."""

    __slots__ = ("_first", "_growth", "_longest", "_uniform", "at", "count")

    def __init__(self, uniform: Uniform, windows: tuple[float, float, float] = _FAILED) -> None:
        self._uniform = uniform
        self._first, self._growth, self._longest = windows
        self.count, self.at = 0, float("-inf")

    def failed(self, now: float, *, retry_after: float = 0.0) -> None:
        """Record a failure; `retry_after` is the service's demand in seconds."""
        self.count = min(self.count + 1, _MOST_COUNTED)
        self.wait(now, retry_after=retry_after)

    def wait(self, now: float, *, retry_after: float = 0.0) -> None:
        """Wait in the window of the last failure, for another reason."""
        window = min(self._first * self._growth ** (self.count - 1), self._longest)
        self.at = now + retry_after + self._uniform(0.0, window)

    def reset(self) -> None:
        """Record a success."""
        self.count, self.at = 0, float("-inf")


class Pace:
    """How often a worker asks one vault. `at` is the time before which it asks for no key."""

    __slots__ = ("_fleet", "_lifetime", "_refusals", "_since", "_uniform", "at")

    def __init__(self, uniform: Uniform, *, releases: int, lifetime: float) -> None:
        """`releases` is the number of keys of this vault in the whole fleet, `lifetime` that of each in seconds."""
        self._uniform, self._lifetime = uniform, lifetime
        self._fleet = releases * VAULT_SECONDS
        self._since: float | None = None  # the first throttle since a key is missing
        self._refusals = 0
        self.at = float("-inf")

    def throttled(self, now: float, *, left: float, retry_after: float = 0.0) -> None:
        """Record a throttle; `left` is the rest of the most urgent key's life, negative if that key is missing."""
        window = self._renewing(left) if left > 0 else self._missing(now)
        self.at = now + max(VAULT_SECONDS, retry_after) + self._uniform(0.0, window)

    def hold(self, until: float) -> None:
        """Ask for no key before this time."""
        self.at = max(self.at, until)

    def complete(self) -> None:
        """Record that no key is missing."""
        self._since = None

    def failures(self) -> Backoff:
        """For one key, when the vault does not answer."""
        first, growth, longest = _FAILED
        return Backoff(self._uniform, (first, growth, max(longest, self._fleet / 4)))

    def denials(self) -> Backoff:
        """For one key, when the vault denies it."""
        first, growth, longest = _DENIED
        longest = max(longest, min(4 * self._fleet, self._lifetime))
        return Backoff(self._uniform, (max(first, self._fleet / 4), growth, longest))

    def _renewing(self, left: float) -> float:
        self._since = None
        return max(_SHORTEST, max(0.0, left - _RESERVE * self._lifetime) ** 2 / self._lifetime)

    def _missing(self, now: float) -> float:
        if self._since is None:
            self._since, self._refusals = now, 0
        from_complete = abs(now - self._since - self._fleet)
        window = min(_SHORTEST * 2.0**self._refusals, max(_SHORTEST, from_complete / 4), _LONGEST)
        self._refusals = min(self._refusals + 1, _MOST_COUNTED)
        return window

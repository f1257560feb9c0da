"""Models of the services that a fleet shares: a Premium vault, a Managed HSM and the attestation provider.

Limits as Microsoft documents them (Key Vault service limits, throttling guidance, Managed HSM scaling guidance; read in
November 2026):

* A vault allows 10 releases of HSM keys in 10 seconds. A subscription has five times the limit of a vault in a region.
* A refused request does not count towards the limit, as the throttling guidance says in one place. In another it says
  that all requests count: `refusals_count` is that vault.
* A Managed HSM does not throttle. No figure for releases is published: 10 a second is that of a backup, which wraps a
  key for export, too. Requests wait in one queue. A client leaves after its time limit, and the HSM works in vain.
* The attestation provider publishes no limit.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from cji_attestation import Fault

__all__ = ["LATENCY", "Answer", "ManagedHsm", "Service", "Vault"]

LATENCY: Final = 0.3
"""Seconds of one call without waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer after `seconds`: the key, or a `fault`. `retry_after` is the header, in whole seconds."""

    fault: Fault | None
    seconds: float = LATENCY
    retry_after: float = 0.0


class Service(Protocol):
    """A service that releases keys."""

    revoked: set[str]
    """Versions that are denied."""
    outages: tuple[tuple[float, float], ...]
    """Times from and until which it does not answer."""

    def release(self, key: str, now: float) -> Answer:
        """Answer a request for one key version at `now`; times never decrease."""
        ...


@dataclass(kw_only=True)
class Vault:
    """A vault with a limit over a sliding window."""

    limit: int = 10
    window: float = 10.0
    refusals_count: bool = False
    outages: tuple[tuple[float, float], ...] = ()
    revoked: set[str] = field(default_factory=set)
    _recent: deque[float] = field(default_factory=deque)

    def release(self, key: str, now: float) -> Answer:
        """Release the key, or refuse: outside of the limit first, as the limit protects what is behind it."""
        if any(start <= now < end for start, end in self.outages):
            return Answer(fault=Fault.RELEASE_UNAVAILABLE)
        while self._recent and now - self._recent[0] >= self.window:
            self._recent.popleft()
        full = len(self._recent) >= self.limit
        if self.refusals_count or not full:
            self._recent.append(now)
        if full:
            freed = (
                self._recent[-self.limit] + self.window
            )  # when fewer than `limit` are left, without further requests
            return Answer(fault=Fault.RELEASE_THROTTLED, retry_after=float(max(1, int(freed - now) + 1)))
        if key in self.revoked:
            return Answer(fault=Fault.RELEASE_DENIED)
        return Answer(fault=None)


@dataclass(kw_only=True)
class ManagedHsm:
    """One queue with `rate` releases a second; a client waits for `patience` seconds."""

    rate: float = 10.0
    patience: float = 20.0
    outages: tuple[tuple[float, float], ...] = ()
    revoked: set[str] = field(default_factory=set)
    _free_at: float = 0.0

    def release(self, key: str, now: float) -> Answer:
        """Release the key when its turn comes, or let the client's time run out."""
        if any(start <= now < end for start, end in self.outages):
            return Answer(fault=Fault.RELEASE_UNAVAILABLE)
        self._free_at = max(self._free_at, now) + 1 / self.rate
        waited = self._free_at - now
        if waited > self.patience:
            return Answer(fault=Fault.RELEASE_UNAVAILABLE, seconds=self.patience)
        if key in self.revoked:
            return Answer(fault=Fault.RELEASE_DENIED, seconds=LATENCY + waited)
        return Answer(fault=None, seconds=LATENCY + waited)

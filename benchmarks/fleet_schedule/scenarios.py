"""Events in the life of a fleet: each scenario is a function of its size and a seed, and returns figures.

Times are in seconds of the simulation. A scenario that needs a fleet in its steady state starts the workers one after
the other and waits for two lifetimes of a key.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.fleet_schedule.fleet import Fleet, Worker
from benchmarks.fleet_schedule.services import ManagedHsm, Service, Vault

__all__ = ["Setting", "Start", "Steady", "Stop", "outage", "region_loss", "restart", "revocation", "start", "steady"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A fleet and its services. `vaults` share the workers; `hsm` is a rate, in releases a second, of a Managed HSM."""

    workers: int
    versions: int = 1
    vaults: int = 1
    hsm: float = 0.0
    lifetime: float = 3600.0
    refusals_count: bool = False
    expected: int = 0
    """Number of workers of a vault in the configuration; 0: the right one."""

    def fleet(self, seed: int) -> Fleet:
        """A fleet without workers."""
        expected = self.expected or math.ceil(self.workers / self.vaults)
        return Fleet(seed=seed, lifetime=self.lifetime, expected=expected)

    def services(self) -> list[Service]:
        """Its vaults, or its HSM."""
        if self.hsm:
            return [ManagedHsm(rate=self.hsm)]
        return [Vault(refusals_count=self.refusals_count) for _ in range(self.vaults)]


def keys(service: Service, versions: int, vault: int = 0) -> dict[str, Service]:
    """Ids of key versions of one vault."""
    return {f"https://vault-{vault}.vault.azure.net/keys/cji-cmk/{version}": service for version in range(versions)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds from the start of a worker until it holds every key, median and longest, and `calls` to the vault."""

    median: float
    last: float
    calls: float
    times: tuple[float, ...]


def start(setting: Setting, *, every: float = 0.0, seed: int = 1) -> Start:
    """Start all workers, one `every` so many seconds, and let time pass until all are ready, or six lifetimes."""
    fleet, services = setting.fleet(seed), setting.services()
    for number in range(setting.workers):
        vault = number % len(services)
        fleet.add(keys(services[vault], setting.versions, vault), at=every * number)
    fleet.until_ready(6 * setting.lifetime)
    times = tuple(sorted(worker.ready - worker.started for worker in fleet.workers))
    calls = sum(worker.calls_ready for worker in fleet.workers) / setting.workers
    return Start(median=times[len(times) // 2], last=times[-1], calls=calls, times=times)


def settled(setting: Setting, *, seed: int) -> tuple[Fleet, list[Service]]:
    """A fleet in its steady state."""
    fleet, services = setting.fleet(seed), setting.services()
    draw = random.Random(seed)  # noqa: S311 - a simulation
    span = max(setting.lifetime, 2.0 * setting.workers * setting.versions / len(services))
    for number, at in enumerate(sorted(draw.uniform(0.0, span) for _ in range(setting.workers))):
        vault = number % len(services)
        fleet.add(keys(services[vault], setting.versions, vault), at=at)
    fleet.run(span + 2 * setting.lifetime)
    return fleet, services


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Steady state over four lifetimes.

    `missing` is the share of time in which a key was missing, `least` and `median` the rest of a key's life at its
    renewal, in lifetimes, negative after its end; `calls` to the vault a worker and lifetime.
    """

    missing: float
    least: float
    median: float
    calls: float


def steady(setting: Setting, *, seed: int = 1, lifetimes: int = 4) -> Steady:
    """Let a fleet in its steady state run on."""
    fleet, _ = settled(setting, seed=seed)
    since = fleet.now
    before = sum(worker.calls for worker in fleet.workers)
    for worker in fleet.workers:
        worker.forget()
    fleet.run(since + lifetimes * setting.lifetime)
    left = sorted(left for worker in fleet.workers for left in worker.renewals) or [math.nan]
    spent = lifetimes * setting.lifetime * setting.workers * setting.versions
    return Steady(
        missing=sum(worker.missing(since, fleet.now) for worker in fleet.workers) / spent,
        least=left[0] / setting.lifetime,
        median=left[len(left) // 2] / setting.lifetime,
        calls=(sum(worker.calls for worker in fleet.workers) - before) / setting.workers / lifetimes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Seconds from the revocation of a key until half of the workers, and the last one, no longer use it."""

    half: float
    last: float
    times: tuple[float, ...]
    others: float
    """Share of time in which another version of the key was missing, in the two lifetimes that follow."""


def revocation(setting: Setting, *, seed: int = 1) -> Stop:
    """Revoke version 0 of the key in every vault at once."""
    fleet, services = settled(setting, seed=seed)
    since, held = fleet.now, []
    for worker in fleet.workers:
        worker.forget()
        held += [(worker, key, until) for key, until in worker.until.items() if key.endswith("/0") and until > since]
    for _, key, _ in held:
        for service in services:
            service.revoked.add(key)
    fleet.run(since + 2 * setting.lifetime)
    times = tuple(sorted(min(worker.stopped.get(key, math.inf), until) - since for worker, key, until in held))
    rest = 2 * setting.lifetime * setting.workers * max(1, setting.versions - 1)
    others = sum(worker.missing(since, fleet.now, but="/0") for worker in fleet.workers) / rest
    return Stop(half=times[len(times) // 2], last=times[-1], times=times, others=others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Workers that lack a key after an event.

    `without` is their largest share at one time, `back` the seconds from the end of the event until it is 0, and
    `curve` the share by seconds since its start.
    """

    without: float
    back: float
    curve: tuple[tuple[float, float], ...]


def _watched(fleet: Fleet, workers: Sequence[Worker], *, since: float, over: float, most: float) -> Gap:
    """Look every 10 seconds, until nobody lacks a key after `over`, for at most `most` seconds."""
    curve, back = [], math.inf
    while fleet.now < since + most:
        fleet.run(fleet.now + 10.0)
        lacking = sum(not worker.complete(fleet.now) for worker in workers) / len(workers)
        curve.append((fleet.now - since, lacking))
        if fleet.now >= over and lacking == 0:
            back = fleet.now - over
            break
    return Gap(without=max(share for _, share in curve), back=back, curve=tuple(curve))


def outage(setting: Setting, *, seconds: float, seed: int = 1) -> Gap:
    """Let every vault fail for some time."""
    fleet, services = settled(setting, seed=seed)
    since = fleet.now
    for service in services:
        service.outages = ((since, since + seconds),)
    return _watched(fleet, fleet.workers, since=since, over=since + seconds, most=seconds + 4 * setting.lifetime)


def region_loss(setting: Setting, *, seed: int = 1) -> Gap:
    """Half of a fleet over two regions, each with a vault of its own, is lost and started at once in the other region.

    The vault that is left has `setting.workers` then.
    """
    half = Setting(workers=setting.workers // 2, versions=setting.versions, expected=setting.workers)
    fleet, services = settled(half, seed=seed)
    since = fleet.now
    for _ in range(half.workers):
        fleet.add(keys(services[0], setting.versions), at=since)
    return _watched(fleet, fleet.workers, since=since, over=since, most=4 * setting.lifetime)


def restart(setting: Setting, *, versions: int, batch: float, seed: int = 1) -> float:
    """Replace the workers in batches of a share of the fleet, the next one when all of the last are ready.

    The new workers have `versions` of the key. Returns the seconds that all takes.
    """
    fleet, services = settled(setting, seed=seed)
    since, old = fleet.now, list(fleet.workers)
    size = max(1, round(batch * setting.workers))
    for first in range(0, len(old), size):
        for worker in old[first : first + size]:
            fleet.stop(worker)
            fleet.add(keys(services[0], versions), at=fleet.now)
        fleet.until_ready(fleet.now + 6 * setting.lifetime)
    return fleet.now - since

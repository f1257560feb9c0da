"""`cji-simulator drill`: a fleet starts, is upgraded, has its key rotated and loses it by revocation.

Everything is real but Azure: each worker has its processes, its TLS door and a VM with a vTPM, attests, and has the key
released by the vault under its limits. A sealed job on every worker, with a verified receipt, shows each state.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from cji_client.errors import ClientError
from cji_core.trail import KeyDropped
from cji_core.trail.chain import read
from cji_core.trail.trail import lines
from cji_simulator.errors import SimulatorError
from cji_simulator.pool import Instance, Pool
from cji_simulator.releases import next_release
from cji_simulator.simulation import Cmk, Simulation
from cji_simulator.site import people

__all__ = ["DrillError", "Row", "run_drill"]

_ROWS: Final = 20
_CLIENTS: Final = 2
"""Submitters at the same time."""
_MARGIN_S: Final = 60.0
"""Over the lifetime of a released key, until every worker must refuse."""


class DrillError(SimulatorError):
    """A state was not reached."""

    code = "drill-failed"
    remedy = "Read the log of the step that the message names."


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured time, in seconds from the beginning of its step."""

    step: str
    what: str
    seconds: float


@dataclass(kw_only=True)
class _Clock:
    """The rows so far; `begin` starts a step."""

    show: Callable[[Row], None]
    rows: list[Row] = field(default_factory=list)
    step: str = ""
    _start: float = 0.0

    def begin(self, step: str) -> None:
        self.step, self._start = step, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def mark(self, what: str, seconds: float | None = None) -> None:
        row = Row(step=self.step, what=what, seconds=round(self.seconds if seconds is None else seconds, 2))
        self.rows.append(row)
        self.show(row)


def run_drill(
    folder: Path,
    *,
    workers: int,
    at_once: int = 2,
    key_lifetime_s: int = 120,
    show: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Run it in a new folder; returns the times. Raises DrillError, WorkerDied, SimulationError, ClientError."""
    clock = _Clock(show=show)
    clock.begin("services")
    with Simulation(folder / "azure") as azure:
        first = azure.create_cmk("cji-drill")
        clock.mark("attestation service, vault and metadata service answer")
        with Pool(
            folder=folder,
            simulation=azure,
            cmk=first,
            key_lifetime_s=key_lifetime_s,
            at_once=at_once,
            size=workers,
        ) as pool:
            _start(pool, workers, clock)
            _upgrade(pool, folder, clock)
            second = _rotate(pool, azure, first, clock)
            _revoke(pool, azure, second, clock)
    return clock.rows


def _start(pool: Pool, workers: int, clock: _Clock) -> None:
    clock.begin("start")
    ready: list[float] = []
    pool.scale(workers, started=lambda _: ready.append(clock.seconds))
    clock.mark("first worker ready", min(ready))
    clock.mark(f"last of {workers} workers ready", max(ready))
    _show_starts(pool, clock)
    _jobs(pool.instances)
    clock.mark("a job was opened on every worker")


def _show_starts(pool: Pool, clock: _Clock) -> None:
    """The durations of the last starts, boot to ready."""
    seconds = sorted(instance.seconds for instance in pool.instances)
    clock.mark("start of one worker, median", seconds[len(seconds) // 2])


def _upgrade(pool: Pool, folder: Path, clock: _Clock) -> None:
    """Drain, reboot and start every worker on another release, while the others run jobs."""
    before = {code for code, _ in _jobs(pool.instances)}
    clock.begin("upgrade")
    _roll(pool, clock, lambda: pool.roll(next_release(folder / "release-2", "2"), done=_first_of(clock, "upgraded")))
    after = {code for code, _ in _jobs(pool.instances)}
    if len(before) != 1 or len(after) != 1 or before == after:
        raise DrillError("the receipts do not show one release before the upgrade and another after it")
    clock.mark("every receipt names the new release")


def _first_of(clock: _Clock, word: str) -> Callable[[Instance], None]:
    """A callback that notes the first worker only."""
    seen: list[Instance] = []

    def note(instance: Instance) -> None:
        if not seen:
            clock.mark(f"first worker {word}")
        seen.append(instance)

    return note


def _roll(pool: Pool, clock: _Clock, roll: Callable[[], Sequence[Sequence[Instance]]]) -> None:
    """Roll, and count the jobs that a submitter runs meanwhile on workers that serve."""
    with ThreadPoolExecutor(1) as executor:
        rolling = executor.submit(roll)
        done = tried = 0
        while not rolling.done():
            serving = [each for each in pool.instances if each.worker is not None]
            for instance in serving[tried % max(len(serving), 1) :][:1]:
                tried += 1
                done += _answered(instance)
            time.sleep(0.5)
        batches = rolling.result()
    clock.mark(f"last worker, after {len(batches)} batches")
    clock.mark("start of one worker, longest", max(instance.seconds for instance in pool.instances))
    clock.mark(f"{done} of {tried} jobs answered meanwhile, by workers that were not being replaced")


def _rotate(pool: Pool, azure: Simulation, first: Cmk, clock: _Clock) -> Cmk:
    """A new version of the key beside the old one; then the old one is disabled."""
    clock.begin("rotate")
    second = azure.rotate_cmk("cji-drill")
    clock.mark("the vault has a new version")
    pool.use_keys([second, first])
    _roll(pool, clock, lambda: pool.roll(done=_first_of(clock, "with both versions")))
    pool.seal_to(second)
    if {kek for _, kek in _jobs(pool.instances)} != {second.kek_id}:
        raise DrillError("a worker did not open a job under the new version")
    clock.mark("a job under the new version was opened on every worker")
    azure.enable_cmk(first, enabled=False)
    disabled = _now()
    clock.mark("the old version is disabled")
    _until_dropped(pool, first, disabled)
    clock.mark("last worker dropped the old version, after it was disabled", _last_drop(pool, first, disabled))
    _jobs(pool.instances)
    clock.mark("the new version still opens jobs on every worker")
    return second


def _revoke(pool: Pool, azure: Simulation, key: Cmk, clock: _Clock) -> None:
    """Disable the only version that is left, and run jobs on every worker until none opens one."""
    clock.begin("revoke")
    azure.enable_cmk(key, enabled=False)
    disabled, opened = _now(), 0.0
    remaining, end = list(pool.instances), time.monotonic() + pool.key_lifetime_s + _MARGIN_S
    with ThreadPoolExecutor(_CLIENTS) as executor:
        while remaining:
            if time.monotonic() > end:
                raise DrillError(f"{len(remaining)} workers still open jobs after the lifetime of the key")
            answers = list(executor.map(_answered, remaining))
            if any(answers):
                opened = clock.seconds
            remaining = [each for each, answer in zip(remaining, answers, strict=True) if answer]
    clock.mark("last receipt for a job under the revoked key", opened)
    clock.mark("every worker refuses")
    _until_dropped(pool, key, disabled)
    clock.mark("last worker dropped the key", _last_drop(pool, key, disabled))
    clock.mark("upper bound, attestation.key_lifetime_s", pool.key_lifetime_s)


def _jobs(instances: Iterable[Instance]) -> list[tuple[str, str]]:
    """Run a sealed job on each; the code digest and the key of every verified receipt."""
    with ThreadPoolExecutor(_CLIENTS) as executor:
        return list(executor.map(_job, instances))


def _job(instance: Instance) -> tuple[str, str]:
    site = instance.site
    claims = site.run(people(_ROWS), deadline=30).receipt.claims
    return claims.code_sha384, site.cmk.kek_id


def _answered(instance: Instance) -> bool:
    """Whether a job was opened, and its receipt verified."""
    try:
        _job(instance)
    except (ClientError, ValueError):  # a worker that is being replaced does not run
        return False
    return True


def _now() -> datetime:
    return datetime.now(UTC)


def _drops(instance: Instance, key: Cmk, since: datetime) -> list[float]:
    """Seconds from `since` to each drop of the key in a worker's trail, except when the worker stopped."""
    found = []
    for line in lines(instance.files.audit):
        record = read(line)
        event, at = record.event, datetime.fromisoformat(record.time)
        if isinstance(event, KeyDropped) and event.kek_id == key.kek_id and event.cause != "stopped" and at > since:
            found.append((at - since).total_seconds())
    return found


def _until_dropped(pool: Pool, key: Cmk, since: datetime) -> None:
    end = time.monotonic() + pool.key_lifetime_s + _MARGIN_S
    while not all(_drops(instance, key, since) for instance in pool.instances):
        if time.monotonic() > end:
            raise DrillError("a worker held a disabled key longer than its lifetime")
        time.sleep(1)


def _last_drop(pool: Pool, key: Cmk, since: datetime) -> float:
    return max(_drops(instance, key, since)[0] for instance in pool.instances)

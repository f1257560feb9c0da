"""The operator's view of one worker, made from the latest reports; `cji_worker.ipc.status` has its form.

Times are UTC, ages in seconds. A report that has not come yet is null.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from cji_core.documents import convert
from cji_core.format.configuration.worker import Config
from cji_core.manifest import VERSION
from cji_worker.fronts import FRONT_NAMES
from cji_worker.host import CATALOGUE, HostReport
from cji_worker.ipc.messages import Condition, FrontReport, KeyholderReport, ProcessName, ReloadFault
from cji_worker.ipc.status import (
    Audit,
    CellCounts,
    Clients,
    FrontCounts,
    HostCondition,
    Process,
    Reload,
    Status,
    Until,
    UsableKey,
)

_ENCODER: Final = msgspec.json.Encoder()
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
"""The last second that can be written; authorities without an end have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One process: its id, seconds since its last beat, negative before the first, and whether it counts as stopped."""

    name: str
    pid: int
    age: float
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LastReload:
    """The end of the last reload."""

    ended: datetime
    fault: ReloadFault | None


@dataclass(slots=True, kw_only=True)
class Reports:
    """The latest reports."""

    started: datetime
    count: int
    """Of fronts."""
    cores: float | None = None
    """From which `auto` took their number."""
    fronts: dict[str, FrontReport] = field(default_factory=dict)
    keyholder: KeyholderReport | None = None
    reload: LastReload | None = None
    draining: bool = False


def _silent(processes: Sequence[ProcessStatus]) -> bool:
    return any(p.name in FRONT_NAMES and p.silent for p in processes)


def snapshot(
    config: Config,
    reports: Reports,
    host: HostReport,
    processes: Sequence[ProcessStatus],
    *,
    reloading: bool,
    now: datetime,
) -> bytes:
    """The document."""
    fronts, keyholder = reports.fronts, reports.keyholder
    silent, serve = _silent(processes), sum(front.serving for front in fronts.values())
    serving = serve == reports.count and not silent
    status = Status(
        version=VERSION,
        worker=config.worker.id,
        time=_utc(now.timestamp()),
        started=_utc(reports.started.timestamp()),
        state="draining" if reports.draining else "serving" if serving else "not serving",
        reason=keyholder.reason if keyholder else None,
        condition="front-silent" if silent else _condition(reports),
        host=_host(host, keyholder),
        keys=tuple(UsableKey(kek_id=key.kek_id, until=_utc(key.until)) for key in keyholder.keys)
        if keyholder
        else None,
        keys_missing=keyholder.keys_missing if keyholder else None,
        keys_configured=len(config.keys),
        until=_until(keyholder),
        early_advisories=keyholder.early if keyholder else None,
        fronts=FrontCounts(serving=serve, count=reports.count, cores=reports.cores),
        cells=_cells(keyholder, config.worker.cells),
        keys_opened=keyholder.keys_opened if keyholder else None,
        jobs_waiting=keyholder.jobs_waiting if keyholder else None,
        jobs=keyholder.jobs if keyholder else None,
        processes=tuple(
            Process(
                name=convert(p.name, ProcessName),
                pid=p.pid,
                beat_age_s=round(p.age, 2) if p.age >= 0 else None,
            )
            for p in processes
        ),
        audit=_audit(keyholder),
        clients=_clients(fronts.values()),
        policy_sha384=keyholder.policy_sha384.hex() if keyholder else None,
        bundle=keyholder.bundle if keyholder else None,
        config_sha384=config.sha384,
        reload=_reload(reports.reload, reloading=reloading),
    )
    return _ENCODER.encode(status)


def _host(host: HostReport, keyholder: KeyholderReport | None) -> tuple[HostCondition, ...]:
    not_held = {*host.not_held, *(("tpm-clock",) if keyholder and not keyholder.tpm_clock else ())}
    unmet = keyholder.unmet if keyholder else ()
    return tuple(
        HostCondition(condition=name, held=name not in not_held, withdraws_readiness=name in unmet)
        for name in CATALOGUE
    )


def _cells(keyholder: KeyholderReport | None, configured: int) -> CellCounts | None:
    if keyholder is None:
        return None
    return CellCounts(warm=keyholder.cells_warm, busy=keyholder.cells_busy, configured=configured)


def _until(keyholder: KeyholderReport | None) -> Until | None:
    if keyholder is None:
        return None
    ends = keyholder.ends
    return Until(
        evidence=_utc_or_none(ends.evidence),
        token=_utc_or_none(ends.token),
        advisories=_utc_or_none(ends.advisories),
        acceptance=_utc_or_none(ends.acceptance),
        policy=_utc_or_none(ends.policy),
    )


def _audit(keyholder: KeyholderReport | None) -> Audit | None:
    if keyholder is None:
        return None
    return Audit(
        writable=keyholder.audit_writable,
        line=keyholder.audit_line,
        hash=keyholder.audit_hash.hex(),
        anchor=keyholder.audit_anchor,
        deliveries=keyholder.deliveries,
    )


def _condition(reports: Reports) -> Condition | None:
    """The condition of the first front that has one; None if all serve."""
    if len(reports.fronts) < reports.count:
        return "starting"
    return next((front.condition for front in reports.fronts.values() if front.condition is not None), None)


def _clients(fronts: Collection[FrontReport]) -> Clients | None:
    """The state of accepted clients: the same in each front, but for the moment of a reload."""
    if not fronts:
        return None
    front = min(fronts, key=lambda each: each.authorities_until)
    return Clients(
        authorities_until=_utc(front.authorities_until),
        crl_until=_utc_or_none(front.crl_until),
        revoked=front.revoked,
    )


def _reload(last: LastReload | None, *, reloading: bool) -> Reload:
    return Reload(
        running=reloading,
        ended=_utc(last.ended.timestamp()) if last else None,
        fault=last.fault if last else None,
    )


def _utc_or_none(seconds: int | None) -> str | None:
    return None if seconds is None else _utc(seconds)


def _utc(seconds: float) -> str:
    moment = datetime.fromtimestamp(min(seconds, _LAST), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

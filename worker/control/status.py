"""The operator's view of one worker: a JSON document of the latest reports. docs/operation.md describes its members.

It names keys, conditions and processes, never a submitter or a job. Times are UTC, ages
in seconds. A report that has not come yet is null.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from worker.config import Config
from worker.host import CATALOGUE, HostReport
from worker.ipc.messages import FrontReport, KeyholderReport, ReloadFault
from worker.manifest import VERSION

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One process: its id, and seconds since its last beat, negative before the first."""

    name: str
    pid: int
    silence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LastReload:
    """The end of the last reload."""

    ended: datetime
    fault: ReloadFault | None


@dataclass(slots=True, kw_only=True)
class Reports:
    """The latest reports."""

    started: datetime
    front: FrontReport | None = None
    keyholder: KeyholderReport | None = None
    reload: LastReload | None = None
    draining: bool = False


def snapshot(
    config: Config, reports: Reports, host: HostReport, processes: Sequence[ProcessStatus], *, reloading: bool
) -> bytes:
    """The document."""
    front, keyholder = reports.front, reports.keyholder
    serving = front is not None and front.serving
    state = "draining" if reports.draining else "serving" if serving else "not serving"
    return _ENCODER.encode(
        {
            "version": VERSION,
            "worker": config.worker.id,
            "time": _utc(datetime.now(UTC).timestamp()),
            "started": _utc(reports.started.timestamp()),
            "state": state,
            "reason": keyholder.reason if keyholder else None,
            "host": _host(host, keyholder),
            "keys": [{"kek_id": key.kek_id, "until": _utc(key.until)} for key in keyholder.keys] if keyholder else None,
            "keys_configured": len(config.keys),
            "cells": {"warm": keyholder.cells_warm, "busy": keyholder.cells_busy, "configured": config.worker.cells}
            if keyholder
            else None,
            "keys_opened": keyholder.keys_opened if keyholder else None,
            "jobs_waiting": keyholder.jobs_waiting if keyholder else None,
            "processes": [
                {"name": p.name, "pid": p.pid, "beat_age_s": round(p.silence, 2) if p.silence >= 0 else None}
                for p in processes
            ],
            "audit": _audit(keyholder),
            "clients": _clients(front),
            "policy_sha384": keyholder.policy_sha384.hex() if keyholder else None,
            "config_sha384": config.sha384,
            "reload": _reload(reports.reload, reloading=reloading),
        }
    )


def _host(host: HostReport, keyholder: KeyholderReport | None) -> list[dict[str, Any]]:
    not_held = {*host.not_held, *(("tpm-clock",) if keyholder and not keyholder.tpm_clock else ())}
    unmet = keyholder.unmet if keyholder else ()
    return [
        {"condition": name, "held": name not in not_held, "withdraws_readiness": name in unmet} for name in CATALOGUE
    ]


def _audit(keyholder: KeyholderReport | None) -> dict[str, Any] | None:
    if keyholder is None:
        return None
    return {
        "writable": keyholder.audit_writable,
        "line": keyholder.audit_line,
        "hash": keyholder.audit_hash.hex(),
        "anchor": keyholder.audit_anchor,
        "deliveries": [
            {"destination": d.destination, "line": d.line, "waits_s": d.waits_s, "overdue": d.overdue}
            for d in keyholder.deliveries
        ],
    }


def _clients(front: FrontReport | None) -> dict[str, Any] | None:
    if front is None:
        return None
    return {
        "crl_until": None if front.crl_until is None else _utc(front.crl_until),
        "revoked": front.revoked,
    }


def _reload(last: LastReload | None, *, reloading: bool) -> dict[str, Any]:
    return {
        "running": reloading,
        "ended": _utc(last.ended.timestamp()) if last else None,
        "fault": last.fault if last else None,
    }


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"

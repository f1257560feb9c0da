"""Audit events for one submitter's jobs, and the trail that they are written to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cji_core.errors import Reason, Stage
from cji_core.suites import Suite
from cji_core.trail import AttemptSuperseded, Attributed, JobAdmitted, JobCompleted, JobEnded, TaskAdmitted, Volumes
from cji_worker.trail.file import AuditFile

__all__ = ["NOT_AFTER", "TIME", "admitted", "completed", "ended", "ledger_of", "opened", "superseded", "task_admitted"]

TIME: Final = datetime(2026, 11, 24, 15, 0, 0, 129_999, tzinfo=UTC)
NOT_AFTER: Final = "2026-11-24T16:00:00.00Z"
_VOLUMES: Final = Volumes(rows_in=1, rows_out=1, bytes_in=1000, bytes_out=900, chri_rows_out=0, subjects_out=1)
_WHO: Final[dict[str, Any]] = {"submitter": "metro-pd", "requesting_ori": "WI0130000", "purpose_code": "C"}


def opened(path: Path) -> AuditFile:
    """The trail at `path`, whose clock stands at `TIME`."""
    return AuditFile(path, worker="worker-1", clock=lambda: TIME)


def ledger_of(path: Path) -> Path:
    """The ledger of the trail at `path`."""
    return path.with_name(f"{path.name}.ledger")


def admitted(job_id: bytes, header_sha384: bytes, *, not_after: str = NOT_AFTER) -> JobAdmitted:
    """A job begins."""
    return JobAdmitted(
        job_id=job_id.hex(),
        header_sha384=header_sha384.hex(),
        not_after=not_after,
        source="ipv4:127.0.0.1:50000",
        originating_ori="WI0130000",
        attribution=Attributed(operator_id="op-17", requestor="Det. Muñoz", secondary_recipient=""),
        suite=Suite.CLASSICAL_1,
        operations=("deidentify",),
        recipients=("A" * 43,),
        kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        policy_sha384="09" * 48,
        **_WHO,
    )


def task_admitted(job_id: bytes, header_sha384: bytes, *, not_after: str = NOT_AFTER) -> TaskAdmitted:
    """A task of the job that `admitted` admits."""
    job = admitted(job_id, header_sha384, not_after=not_after)
    shared = {name: getattr(job, name) for name in TaskAdmitted.__struct_fields__ if hasattr(job, name)}
    place = {"plan_sha384": "0" * 96, "stage_name": "count", "task": 0, "attempt": "ab" * 16}
    return TaskAdmitted(**{**shared, **place})


def completed(job_id: bytes, header_sha384: bytes, *, receipt: str = "head.receipt.sig") -> JobCompleted:
    """It has a result and a receipt."""
    return JobCompleted(
        job_id=job_id.hex(),
        header_sha384=header_sha384.hex(),
        duration_ms=1250,
        volumes=_VOLUMES,
        receipt=receipt,
        **_WHO,
    )


def ended(job_id: bytes, header_sha384: bytes) -> JobEnded:
    """It ended without a result."""
    return JobEnded(
        job_id=job_id.hex(),
        header_sha384=header_sha384.hex(),
        duration_ms=10,
        stage=Stage.COMPUTE,
        reason=Reason.CELL_FAILED,
        correlation_id="c0ffee",
        submitter="metro-pd",
        requesting_ori="WI0130000",
        purpose_code="C",
    )


def superseded(job_id: bytes, header_sha384: bytes) -> AttemptSuperseded:
    """Its receipt is not the published one."""
    return AttemptSuperseded(
        job_id=job_id.hex(),
        header_sha384=header_sha384.hex(),
        submitter="metro-pd",
        requesting_ori="WI0130000",
        receipt_sha384="ab" * 48,
    )

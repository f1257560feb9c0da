"""The audit events of tasks, each built from what it is about."""

from collections.abc import Iterable
from typing import Any

from cji_core.errors import Refusal
from cji_core.trail import (
    StatedPart,
    StatedStream,
    StatementsRefused,
    TaskAdmitted,
    TaskCompleted,
    TaskEnded,
    receipt_sha384,
    utc_hundredths,
)
from cji_core.trail.used_column_keys import used_column_keys
from cji_worker.keyholder.admitted_job import AdmittedJob, Attempt
from cji_worker.keyholder.events import attempt, attributed, denied_by, duration_ms
from cji_worker.keyholder.gathering import StatementsRefusedError
from cji_worker.keyholder.tasks import AgreedTask


def task_admitted(job: AdmittedJob) -> TaskAdmitted:
    """The admission of a task."""
    header, grant = job.admission.header, job.admission.grant
    return TaskAdmitted(
        **_task(job),
        not_after=utc_hundredths(header.not_after),
        originating_ori=header.originating_ori,
        attribution=attributed(job.opened),
        suite=header.suite,
        operations=header.operation_names,
        recipients=tuple(r.key_id for r in header.recipients),
        kek_id=header.kek_id,
        policy_sha384=grant.policy_sha384.hex(),
        column_keys=used_column_keys(header),
    )


def task_completed(job: AdmittedJob, agreed: AgreedTask, statement: str) -> TaskCompleted:
    """The end of a task with its statement."""
    return TaskCompleted(
        **_task(job),
        duration_ms=duration_ms(job),
        rows_in=agreed.rows_in,
        bytes_in=_bytes(agreed.parts_in, agreed.streams_in),
        bytes_out=_bytes(agreed.parts_out, agreed.streams_out),
        statement_sha384=receipt_sha384(statement),
    )


def task_ended(job: AdmittedJob, refusal: Refusal) -> TaskEnded:
    """The end of a task without a statement."""
    return TaskEnded(
        **_task(job),
        duration_ms=duration_ms(job),
        stage=refusal.stage,
        reason=refusal.reason,
        correlation_id=job.correlation_id,
        denied_by=denied_by(refusal),
    )


def _task(job: AdmittedJob) -> dict[str, Any]:
    """The members of every event about a task."""
    header, task = job.admission.header, job.admission.task
    assert task is not None  # noqa: S101 - for the type checker
    return {
        "job_id": header.job_id.hex(),
        "header_sha384": header.sha384.hex(),
        "plan_sha384": task.plan_sha384.hex(),
        "stage_name": task.stage.name,
        "task": task.number,
        "attempt": attempt(job.request) or "",
        "submitter": job.admission.grant.submitter,
        "requesting_ori": header.requesting_ori,
        "purpose_code": header.purpose_code,
    }


def statements_refused(job: Attempt, fault: StatementsRefusedError) -> StatementsRefused:
    """Statements that do not make their job."""
    header = job.admission.header
    return StatementsRefused(
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        submitter=job.admission.grant.submitter,
        about=fault.about,
        stage_name=fault.stage,
        task=fault.task,
        correlation_id=job.correlation_id,
    )


def _bytes(*counted: Iterable[StatedPart | StatedStream]) -> int:
    return sum(each.bytes for some in counted for each in some)

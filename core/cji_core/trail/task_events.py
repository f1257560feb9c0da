"""The events of jobs in parts: one attempt at one task on this worker, and statements that do not make a job.

A job in parts has `job_admitted` and `job_completed` on the worker that finishes it, and only there. A task without an
end before the next `worker_started` ended with its process.
"""

from typing import Annotated

from msgspec import Meta

from cji_core.digests import Hex32, Hex96
from cji_core.errors import DeniedBy, Reason, Stage
from cji_core.suites import Suite
from cji_core.trail.fields import (
    Attributed,
    Code,
    Count,
    EventBase,
    KeyId,
    Ori,
    StatementFault,
    Token,
    Url,
    UsedColumnKeys,
    Utc,
)
from cji_core.trail.meaning import Activity, Severity, finding, job

StageName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
Number = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]


class TaskEvent(EventBase, frozen=True, kw_only=True):
    """The task: its job, its place in it, and the attempt. `plan_sha384` is 96 zeros before the plan."""

    job_id: Hex32
    header_sha384: Hex96
    plan_sha384: Hex96
    stage_name: StageName
    task: Number
    attempt: Hex32
    submitter: Token
    requesting_ori: Ori
    purpose_code: Code


class TaskAdmitted(TaskEvent, frozen=True, kw_only=True, tag="task_admitted"):
    """All checks that need no key passed; the cell gets its keys once this is durable.

    The first task of a job on a worker counts as a job of its submitter and agency on this day. `column_keys` are as in
    `job_admitted`.
    """

    meaning = job(Activity.CREATE, Severity.INFORMATIONAL, "Success", "Task of a job admitted")
    is_normal = True

    not_after: Utc
    originating_ori: Ori
    attribution: Attributed | None
    suite: Suite
    operations: Annotated[tuple[Token, ...], Meta(min_length=1)]
    recipients: Annotated[tuple[KeyId, ...], Meta(min_length=1)]
    kek_id: Url
    policy_sha384: Hex96
    column_keys: tuple[UsedColumnKeys, ...] = ()


class TaskCompleted(TaskEvent, frozen=True, kw_only=True, tag="task_completed"):
    """All its input was verified. `statement_sha384` is of the signed part of its statement."""

    meaning = job(Activity.COMPLETE, Severity.INFORMATIONAL, "Success", "Task of a job completed")
    is_normal = True

    duration_ms: Count
    rows_in: Count
    bytes_in: Count
    bytes_out: Count
    statement_sha384: Hex96


class TaskEnded(TaskEvent, frozen=True, kw_only=True, tag="task_ended"):
    """An admitted task ended without a statement; it may run again, here or elsewhere."""

    meaning = job(Activity.END, Severity.LOW, "Failure", "Task ended without a statement", asim="Terminate")
    is_normal = True

    duration_ms: Count
    stage: Stage
    reason: Reason
    correlation_id: Token
    denied_by: DeniedBy | None = None


class StatementsRefused(EventBase, frozen=True, kw_only=True, tag="statements_refused"):
    """The statements do not make this job. Its end without a receipt follows. `stage_name` and `task` are the first's.

    form       not a statement, or not signed with the key in it
    proof      made without the job's data key, or altered
    job        of another job, another plan, or no task of it
    order      not in the order of stages and tasks, or an attempt twice, or too many attempts
    streams    other streams than its task has, or one read that no producer wrote
    parts      other bytes of a part of the job than others read
    missing    a task has no statement
    rows       counts that contradict each other, the header or the bytes
    simulated  of a simulated machine, on one that is not
    """

    meaning = finding(Severity.HIGH, "Statements of tasks do not make their job", noun="job", object="@job_id")

    job_id: Hex32
    header_sha384: Hex96
    submitter: Token
    about: StatementFault
    stage_name: StageName | None
    task: Number | None
    correlation_id: Token

"""A job in parts as its header and plan define it: its stages, and where the streams of each task lie in Blob Storage.

Everything is derived, nothing is taken from the caller: the stages and their streams by
`cji_core.operations.stages.streams`, as in the cells. Only names, numbers and digests are used; this process has no key
that would open anything.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from cji_core.errors import Reason, Refusal
from cji_core.errors import Stage as Where
from cji_core.format.job import Header, parse
from cji_core.format.job.job_plan import JobPlan, parse_plan
from cji_core.operations.registry import plan as operations_plan
from cji_core.operations.stages.stage import Stage
from cji_core.operations.stages.streams import EdgeStream, TaskStreams
from cji_core.pool import names
from cji_core.pool.documents import SUBMISSION_BYTES, DocumentError, decode_submission
from cji_core.pool.errors import BlobAbsentError
from cji_core.pool.store import Blobs
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.fleet.tasks.messages import NO_PLAN, Request
from cji_worker.fleet.tasks.published import PublishedAttempt, PublishedPlan, read_plan

NAME_DIGITS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskJob:
    """A job in parts. `streams` are under the plan, if the request named one."""

    name: str
    submission: pb.Submission
    header: Header
    streams: TaskStreams
    plan: JobPlan | None = None
    planned_by: PublishedAttempt | None = None
    plan_statement: str = ""

    @property
    def plan_bytes(self) -> bytes:
        """The plan for `RunTask`: empty before there is one."""
        return b"" if self.plan is None else self.plan.data

    @property
    def plan_name(self) -> str:
        """The plan's name in names of blobs."""
        return NO_PLAN if self.plan is None else plan_name(self.plan)

    @property
    def stages(self) -> dict[str, int]:
        """Stages in their order with their tasks, as far as known: those up to the one that plans, before the plan."""
        known = self.streams.stages.in_order
        last = len(known) if self.plan is not None else self.streams.planning + 1
        return {stage.name: self.streams.tasks[stage.name] for stage in known[:last]}

    def stage(self, name: str, task: int) -> Stage:
        """The stage of this task. Raises BAD_PARAMETERS at ADMIT if there is no such task under this plan."""
        stage = self.streams.stage(name)
        if stage is None or self.streams.is_planned(stage) != (self.plan is not None):
            raise Refusal(Reason.BAD_PARAMETERS, stage=Where.ADMIT)
        if task >= self.streams.tasks[name]:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Where.ADMIT)
        return stage

    def folder(self, stage: Stage) -> str:
        """The plan's name in names of this stage's blobs."""
        return self.plan_name if self.streams.is_planned(stage) else NO_PLAN

    def producer(self, stream: EdgeStream) -> tuple[Stage, list[EdgeStream]]:
        """(the stage that writes a stream, all shuffle streams of that task, in order)."""
        edge = self.streams.stages.edges[stream.edge]
        stage = next(one for one in self.streams.stages.in_order if edge in one.writes)
        written = self.streams.written_by(stage, stream.producer)
        return stage, [one for one in written if isinstance(one, EdgeStream)]


def plan_name(plan: JobPlan) -> str:
    """The first 32 hexadecimal digits of the plan's SHA-384."""
    return plan.sha384.hex()[:NAME_DIGITS]


def load(request: Request, *, jobs: Blobs, shuffle: Blobs) -> TaskJob:
    """The job of a request, as its submission in Blob Storage has it.

    Raises StoreError; Refusal: MALFORMED_HEADER for a job that has no submission, REPLAYED for one with another header,
    and BAD_PARAMETERS for one that cannot run in parts, or has not this plan.
    """
    try:
        submission = decode_submission(jobs.read(names.header(request.job), most=SUBMISSION_BYTES))
    except (BlobAbsentError, DocumentError) as error:
        raise Refusal(Reason.MALFORMED_HEADER, stage=Where.OPEN) from error
    if hashlib.sha384(submission.header).hexdigest() != request.header_sha384:
        raise Refusal(Reason.REPLAYED, stage=Where.ADMIT)
    header = parse(submission.header)
    if header.job_id.hex() != request.job:
        raise Refusal(Reason.REPLAYED, stage=Where.ADMIT)
    streams = TaskStreams.of_job(operations_plan(header.operations, header.input_schemas), header)
    job = TaskJob(name=request.job, submission=submission, header=header, streams=streams)
    return job if request.plan == NO_PLAN else _under_plan(job, request, shuffle)


def _under_plan(job: TaskJob, request: Request, shuffle: Blobs) -> TaskJob:
    try:
        published = read_plan(shuffle, request.job)
    except DocumentError:
        published = None
    if published is None:
        raise Refusal(Reason.BAD_PARAMETERS, stage=Where.ADMIT)
    found = with_plan(job, published)
    if found.plan_name != request.plan:
        raise Refusal(Reason.BAD_PARAMETERS, stage=Where.ADMIT)
    return found


def with_plan(job: TaskJob, published: PublishedPlan) -> TaskJob:
    """The job under its plan. Raises BAD_PARAMETERS at ADMIT for the plan of another job, or of other stages."""
    plan = parse_plan(published.plan)
    try:
        streams = job.streams.under({name: plan.tasks[name] for name in job.streams.to_plan})
    except (KeyError, ValueError) as error:
        raise Refusal(Reason.BAD_PARAMETERS, stage=Where.ADMIT) from error
    if dict(streams.tasks) != dict(plan.tasks) or plan.header_sha384 != job.header.sha384:
        raise Refusal(Reason.BAD_PARAMETERS, stage=Where.ADMIT)
    return replace(job, streams=streams, plan=plan, planned_by=published.by, plan_statement=published.statement)

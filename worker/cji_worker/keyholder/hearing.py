"""The statements of the two witnesses of a job, as they arrive: those about a task come in several messages."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from cji_core.errors import Denied, Reason, Refusal, Stage
from cji_core.log import log
from cji_worker.ipc import ChannelClosed
from cji_worker.ipc.messages import CellFailed, CellFaulted, CountedPart, CountedStreams, SealedPart, Summary, Witnessed
from cji_worker.keyholder.admitted_job import AdmittedJob
from cji_worker.keyholder.lifecycle import Failed

Part = TypeVar("Part", CountedPart, SealedPart)
Statement = TypeVar("Statement", Summary, Witnessed)


async def hear(job: AdmittedJob) -> Failed | Summary:
    """The whole statement of a job's cell, or why there is none."""
    try:
        message, _ = await job.cell.control.receive_async()
        while isinstance(message, CountedStreams):
            if not extend(job, job.cell_streams, message.inputs, message.outputs):
                raise ChannelClosed
            message, _ = await job.cell.control.receive_async()
    except ChannelClosed:
        return Failed(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))
    match message:
        case CellFaulted(fault=fault):
            log("cell fault", correlation_id=job.correlation_id, cell=job.cell.number, error=fault.value)
            return Failed(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))
        case CellFailed(reason=reason, stage=stage, denied_by=limit):
            return Failed(Denied(limit, stage=stage) if limit else Refusal(reason, stage=stage))
        case Summary():
            return completed(message, job.cell_streams)
    return Failed(Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE))


def extend(
    job: AdmittedJob, streams: tuple[list[Part], list[Part]], inputs: Sequence[Part], outputs: Sequence[Part]
) -> bool:
    """Add the next streams of a statement; whether the task has so many. A whole job has none, and no piece is empty.

    So a peer can send no more pieces than the task has streams.
    """
    task = job.admission.task
    if task is None or not (inputs or outputs):
        return False
    for known, more, most in zip(streams, (inputs, outputs), (task.inputs, task.outputs), strict=True):
        if len(known) + len(more) > len(most):
            return False
        known.extend(more)
    return True


def completed(statement: Statement, streams: tuple[Sequence[object], Sequence[object]]) -> Statement:
    """The statement with the streams that came before it."""
    return msgspec.structs.replace(
        statement, inputs=(*streams[0], *statement.inputs), outputs=(*streams[1], *statement.outputs)
    )

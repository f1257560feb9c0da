"""The calls Run and RunTask: the first message, the keyholder's decision, and the end of either.

A task of a job in parts is served as a job is, with streams in place of parts, and a statement for a receipt. The
caller's time is limited three times: for the first message, before the call gets a number; for every message that the
job waits for and every one that the caller has to read (`job_stream`); and for the whole job, which ends with its
deadline or after `max_job_seconds`, whichever comes first.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.configuration.worker import LimitsSection
from cji_core.format.job import LIMITS
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.guard import Call
from cji_worker.front.job_stream import JobStream
from cji_worker.front.keyholder_client import KeyholderClient, PendingCall
from cji_worker.front.patience import TimeLimit
from cji_worker.ipc import ChannelClosed
from cji_worker.ipc.messages import MAX_JWK, MAX_PLAN, Abort, AdmissionProof, Admit, Admitted, FinishOrder, TaskOrder

_DEADLINE_SKEW_S: Final = 0.2
"""The caller's clock may cancel the call this much earlier than ours."""

MAX_SUBMITTER: Final = 512
"""Characters of the submitter's URI."""
ATTEMPT_BYTES: Final = 16
_SHORT_BYTES: Final = 32
"""Of a nonce, and of a thumbprint."""
MAX_STAGE_NAME: Final = 32


async def run(call: Call, keyholder: KeyholderClient, limits: LimitsSection) -> None:
    """Serve one Run call to its end."""
    if call.context.time_remaining() is None:
        raise Refusal(Reason.DEADLINE, stage=Stage.OPEN)
    first = await call.read()
    if not isinstance(first, pb.RunRequest) or first.WhichOneof("message") != "open":
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    opening = first.open
    if not fits_door(opening.submitter, opening.attempt, by_reference=call.by_reference) or (
        call.by_reference and opening.HasField("admission")
    ):
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    await _run(call, keyholder, limits, partial(order, call, opening, attempt=opening.attempt))


async def run_task(call: Call, keyholder: KeyholderClient, limits: LimitsSection) -> None:
    """Serve one RunTask call to its end: as Run, but for one task of a job that came by reference."""
    if call.context.time_remaining() is None:
        raise Refusal(Reason.DEADLINE, stage=Stage.OPEN)
    first = await call.read()
    if not isinstance(first, pb.RunTaskRequest) or first.WhichOneof("message") != "open":
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    opening = first.open
    if not fits_door(opening.submitter, opening.attempt, by_reference=call.by_reference):
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    task = TaskOrder(
        plan=opening.plan[: MAX_PLAN + 1],
        stage=opening.stage[: MAX_STAGE_NAME + 1],
        task=opening.task,
        streams=opening.streams,
    )
    await _run(call, keyholder, limits, partial(order, call, opening, attempt=opening.attempt, task=task))


async def _run(call: Call, keyholder: KeyholderClient, limits: LimitsSection, admit: Callable[[int], Admit]) -> None:
    with keyholder.pending_call() as pending:
        try:
            await _admitted(call, keyholder, pending, admit(pending.number), limits)
        except ChannelClosed:
            raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE) from None


def order(
    call: Call,
    opening: pb.Open | pb.OpenTask | pb.OpenFinish,
    number: int,
    *,
    attempt: bytes,
    task: TaskOrder | None = None,
    finish: FinishOrder | None = None,
) -> Admit:
    """The request of this call to the keyholder."""
    peer = call.peer
    # one byte too many is enough for the keyholder to refuse the job and to audit the refusal
    return Admit(
        call=number,
        submitter=opening.submitter if call.by_reference else peer.identity,
        source=peer.source,
        transport=peer.transport,
        presented=peer.presented,
        correlation_id=call.correlation_id,
        header=opening.header[: LIMITS.header_bytes + 1],
        signature=opening.signature[: LIMITS.signature_bytes + 1],
        attempt=attempt if call.by_reference else None,
        admission=_proof(opening) if isinstance(opening, pb.Open) else None,
        task=task,
        finish=finish,
    )


def _proof(opening: pb.Open) -> AdmissionProof | None:
    if not opening.HasField("admission"):
        return None
    given = opening.admission
    return AdmissionProof(
        nonce=given.nonce[: _SHORT_BYTES + 1],
        receipt_key=given.receipt_key[: _SHORT_BYTES + 1],
        attempt=given.attempt,
        signature=given.signature[: LIMITS.signature_bytes + 1],
        send_jwk=given.send_jwk[: MAX_JWK + 1],
    )


def fits_door(submitter: str, attempt: bytes, *, by_reference: bool) -> bool:
    """Whether submitter and attempt are named by the fleet process, and by nobody else."""
    if not by_reference:
        return not submitter and not attempt
    return 0 < len(submitter) <= MAX_SUBMITTER and len(attempt) == ATTEMPT_BYTES


async def _admitted(
    call: Call, keyholder: KeyholderClient, pending: PendingCall, admit: Admit, limits: LimitsSection
) -> None:
    over = False
    call.keyholder_records = True
    keyholder.send(admit)
    why = Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
    job: JobStream | None = None
    try:
        async with TimeLimit(limits.max_job_seconds, Reason.DEADLINE, Stage.COMPUTE):
            admitted, fds = await pending.answer()
            assert isinstance(admitted, Admitted)  # noqa: S101 - the first answer to Admit, where it is not a refusal
            job = JobStream(
                call.context,
                keyholder,
                pending,
                admitted,
                fds,
                header_sha384=hashlib.sha384(admit.header).digest(),
                idle_seconds=limits.idle_seconds,
            )
            await job.serve()
            over = True
    except Refusal as refusal:
        why = refusal
        raise
    finally:
        if not over:
            why = call.lifetime.refusal or why
            # gRPC cancels the call or ends its messages when the deadline passes and when the caller goes away
            left = call.context.time_remaining()
            if why.reason is Reason.INCOMPLETE and left is not None and left <= _DEADLINE_SKEW_S:
                why = Refusal(Reason.DEADLINE, stage=Stage.COMPUTE)
            keyholder.send(Abort(call=pending.number, reason=why.reason, stage=why.stage))
        if job is not None:
            job.close()

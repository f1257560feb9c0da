"""The calls of the fleet process of this machine: evidence, `Run`, tasks, and the ends of jobs.

Its socket is in a folder that only the fleet's group may enter, and has no TLS. Nothing that comes by it is believed:
the submitter that it names is established by the header's signature alone, in the keyholder.
"""

from typing import Any, Final, get_args

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.finish import read_finish_request
from cji_worker.front.frames import read_request, read_task_request
from cji_worker.front.guard import Call, Guard
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.peer import FLEET
from cji_worker.front.run import ATTEMPT_BYTES, MAX_SUBMITTER
from cji_worker.front.service import Service
from cji_worker.front.submitters import Kind
from cji_worker.ipc.messages import (
    FetchedReceipt,
    FetchReceipt,
    GivenUp,
    GiveUp,
    NoHeader,
    Settle,
    Settled,
)

_JOB_ID_BYTES: Final = 16
_SHA384_BYTES: Final = 48
_LATEST: Final = 1 << 36
"""Seconds: any date of this millennium."""
_FAULTS: Final[dict[str, NoHeader]] = {each: each for each in get_args(NoHeader)}


class FleetDoor:
    """The calls at the second socket. `service` runs jobs, for both."""

    def __init__(self, service: Service, keyholder: KeyholderClient) -> None:
        self._service, self._keyholder = service, keyholder

    def handlers(self, guard: Guard) -> dict[str, Any]:
        """The calls by name."""
        return {
            "Run": guard.stream(Kind.RUN, self._service.run, parse=read_request),
            "RunTask": guard.stream(Kind.RUN, self._service.run_task, parse=read_task_request),
            "FinishTasks": guard.stream(Kind.RUN, self._service.finish_tasks, parse=read_finish_request),
            "Attest": guard.unary(Kind.ATTEST, pb.AttestRequest, self._service.attest),
            "GetReceipt": guard.unary(Kind.ASK, pb.GetReceiptRequest, self._get_receipt),
            "Settle": guard.unary(Kind.ASK, pb.SettleRequest, self._settle),
            "GetFailure": guard.unary(Kind.ASK, pb.GetFailureRequest, self._get_failure),
        }

    async def _get_receipt(self, call: Call, request: pb.GetReceiptRequest) -> pb.GetReceiptResponse:
        """The stored receipt of a job that came by reference, without its signature."""
        _require(len(request.job_id) == _JOB_ID_BYTES)
        with self._keyholder.pending_call() as pending:
            self._keyholder.send(
                FetchReceipt(
                    call=pending.number,
                    submitter=FLEET.identity,
                    source=call.peer.source,
                    job_id=request.job_id,
                    by_reference=True,
                )
            )
            message, _ = await pending.answer()
            assert isinstance(message, FetchedReceipt)  # noqa: S101 - the only answer to FetchReceipt
        return pb.GetReceiptResponse(receipt=message.receipt, release=message.release)

    async def _settle(self, call: Call, request: pb.SettleRequest) -> pb.SettleResponse:  # noqa: ARG002 - all are alike
        _require(len(request.job_id) == _JOB_ID_BYTES and len(request.header_sha384) == _SHA384_BYTES)
        _require(len(request.whole) in {0, ATTEMPT_BYTES})
        with self._keyholder.pending_call() as pending:
            self._keyholder.send(
                Settle(
                    call=pending.number,
                    job_id=request.job_id,
                    header_sha384=request.header_sha384,
                    whole=request.whole or None,
                )
            )
            message, _ = await pending.answer()
            assert isinstance(message, Settled)  # noqa: S101 - the only answer to Settle
        return pb.SettleResponse(receipt=message.receipt, attempt=message.attempt, failure=message.failure)

    async def _get_failure(self, call: Call, request: pb.GetFailureRequest) -> pb.GetFailureResponse:  # noqa: ARG002 - all are alike
        submission = request.submission if request.HasField("submission") else None
        _require(len(request.job_id) in {0, _JOB_ID_BYTES})
        _require((submission is None) is (request.fault in _FAULTS) and (submission is None or not request.fault))
        try:
            reason = Reason(pb.Reason.Name(request.reason)) if submission else Reason.INCOMPLETE
            stage = Stage(request.stage) if submission else Stage.OPEN
        except ValueError:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN) from None
        with self._keyholder.pending_call() as pending:
            self._keyholder.send(
                GiveUp(
                    call=pending.number,
                    job_id=request.job_id,
                    queued=min(request.queued, _LATEST),
                    fault=None if submission else _FAULTS[request.fault],
                    header=submission.header[: LIMITS.header_bytes + 1] if submission else b"",
                    signature=submission.signature[: LIMITS.signature_bytes + 1] if submission else b"",
                    submitter=submission.submitter[: MAX_SUBMITTER + 1] if submission else "",
                    reason=reason,
                    stage=stage,
                )
            )
            message, _ = await pending.answer()
            assert isinstance(message, GivenUp)  # noqa: S101 - the only answer to GiveUp
        return pb.GetFailureResponse(failure=message.failure)


def _require(holds: bool) -> None:
    if not holds:
        raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)

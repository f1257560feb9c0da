"""The end of a job in parts: its tasks' statements go to the keyholder, and its receipt to the caller.

The front reads no statement. It bounds each, and all of them together, and passes them on in pieces.
"""

import asyncio
import secrets
from typing import Any, Final

from google.protobuf.message import DecodeError

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.configuration.worker import LimitsSection
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.guard import EOF, Call
from cji_worker.front.job_stream import MAX_STATED
from cji_worker.front.keyholder_client import KeyholderClient, PendingCall
from cji_worker.front.patience import TimeLimit
from cji_worker.front.run import ATTEMPT_BYTES, fits_door, order
from cji_worker.ipc import ChannelClosed
from cji_worker.ipc.messages import (
    MAX_PLAN,
    STATEMENT_CHUNK,
    Abort,
    Completed,
    FinishOrder,
    StatementData,
    StatementsDone,
    StatementsWanted,
)

MAX_STATEMENTS: Final = 1 << 16


def read_finish_request(raw: bytes) -> pb.FinishTasksRequest:
    """Parse a request; bytes that are not protobuf are read as an empty message."""
    try:
        return pb.FinishTasksRequest.FromString(raw)
    except DecodeError:
        return pb.FinishTasksRequest()


async def finish_tasks(call: Call, keyholder: KeyholderClient, limits: LimitsSection) -> None:
    """Serve one FinishTasks call to its end."""
    if call.context.time_remaining() is None:
        raise Refusal(Reason.DEADLINE, stage=Stage.OPEN)
    first = await call.read()
    if not isinstance(first, pb.FinishTasksRequest) or first.WhichOneof("message") != "open":
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    attempt = secrets.token_bytes(ATTEMPT_BYTES) if call.by_reference else b""
    if not fits_door(first.open.submitter, attempt, by_reference=call.by_reference):
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    finish = FinishOrder(plan=first.open.plan[: MAX_PLAN + 1])
    with keyholder.pending_call() as pending:
        call.keyholder_records = True
        keyholder.send(order(call, first.open, pending.number, attempt=attempt, finish=finish))
        over, why = False, Refusal(Reason.INCOMPLETE, stage=Stage.COMMIT)
        try:
            async with TimeLimit(limits.max_job_seconds, Reason.DEADLINE, Stage.COMMIT):
                receipt = await _receipt(call, keyholder, pending, limits)
            over = True
        except ChannelClosed:
            raise Refusal(Reason.CELL_FAILED, stage=Stage.COMMIT) from None
        except Refusal as refusal:
            why = refusal
            raise
        finally:
            if not over:
                keyholder.send(Abort(call=pending.number, reason=why.reason, stage=why.stage))
        await call.context.write(pb.FinishTasksResponse(receipt=receipt).SerializeToString())


async def _receipt(call: Call, keyholder: KeyholderClient, pending: PendingCall, limits: LimitsSection) -> str:
    """Pass the statements on until the keyholder has answered; a refusal comes at any time.

    Admission may wait for the pool ledger, and the keyholder keeps nothing of a call that it has not admitted.
    """
    wanted, _ = await pending.answer()
    assert isinstance(wanted, StatementsWanted)  # noqa: S101 - Ended was raised by `answer`
    verdict = asyncio.create_task(pending.answer())
    upstream = asyncio.create_task(_statements(call, keyholder, pending.number, limits))
    tasks: set[asyncio.Task[Any]] = {verdict, upstream}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if verdict not in done:
            upstream.result()
        message, _ = await verdict
        assert isinstance(message, Completed)  # noqa: S101 - Ended was raised by `answer`
        return message.receipt
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _statements(call: Call, keyholder: KeyholderClient, number: int, limits: LimitsSection) -> None:
    for _ in range(MAX_STATEMENTS):
        async with TimeLimit(limits.idle_seconds, Reason.INCOMPLETE, Stage.COMMIT):
            request = await call.context.read()
        match None if request is EOF else request.WhichOneof("message"):
            case "statement":
                _pass_on(keyholder, number, request.statement.encode())
                await asyncio.sleep(0)  # other calls have their turn
            case "finish":
                keyholder.send(StatementsDone(call=number))
                return
            case _:
                raise Refusal(Reason.INCOMPLETE, stage=Stage.COMMIT)
    raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMMIT)


def _pass_on(keyholder: KeyholderClient, number: int, statement: bytes) -> None:
    if not statement:
        raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.COMMIT)
    if len(statement) > MAX_STATED:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMMIT)
    for first in range(0, len(statement), STATEMENT_CHUNK):
        end = first + STATEMENT_CHUNK
        keyholder.send(StatementData(call=number, data=statement[first:end], last=end >= len(statement)))

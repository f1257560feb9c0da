"""One job in the front: three tasks at once, and the first that fails ends the job.

    upstream      gRPC -> input slots       waits while all slots are full: slows the caller down
    downstream    output slots -> gRPC      waits while the caller does not read: slows the cell down
    keyholder     admitted, then completed or ended

The ring is the window of a job; nothing else is buffered. The keyholder alone reads the header and decides whether the
job may run.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc

from worker.errors import Reason, Refusal, Stage
from worker.front.frames import SegmentFrame, segment_response
from worker.front.guard import Call
from worker.front.keyholder_client import KeyholderClient, PendingCall
from worker.ipc import Channel, ChannelClosed, Ring
from worker.ipc.limits import SLOTS
from worker.ipc.messages import (
    Abort,
    Admit,
    Admitted,
    CellFromFront,
    Completed,
    Finish,
    FrontFromCell,
    InputFreed,
    InputReady,
    Opened,
    OutputFreed,
    OutputReady,
    OutputsDone,
    ProgressMade,
)
from worker.job import LIMITS, Empty, HalfClose, Open, RunState, Segment, advance
from worker.job import Finish as Finished
from worker.wire.v1 import worker_pb2 as pb

_DEADLINE_SKEW_S: Final = 0.2
"""The caller's clock may cancel the call this much earlier than ours."""

_EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs forgot it
Data = Channel[FrontFromCell, CellFromFront]
Context = grpc.aio.ServicerContext[Any, Any]


async def run(call: Call, keyholder: KeyholderClient) -> None:
    """Serve one Run call to its end."""
    remaining = call.context.time_remaining()
    if remaining is None:
        raise Refusal(Reason.DEADLINE, stage=Stage.OPEN)
    with keyholder.pending_call() as pending:
        try:
            await _admitted(call, keyholder, pending)
        except ChannelClosed:
            raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE) from None


async def _admitted(call: Call, keyholder: KeyholderClient, pending: PendingCall) -> None:
    first = await call.context.read()
    if not isinstance(first, pb.RunRequest) or first.WhichOneof("message") != "open":
        raise Refusal(Reason.MALFORMED_HEADER, stage=Stage.OPEN)
    over = False
    # one byte too many is enough for the keyholder to refuse the job and to audit the refusal
    keyholder.send(
        Admit(
            call=pending.number,
            submitter=call.submitter,
            source=call.source,
            correlation_id=call.correlation_id,
            header=first.open.header[: LIMITS.header_bytes + 1],
            signature=first.open.signature[: LIMITS.signature_bytes + 1],
        )
    )
    why = Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
    try:
        admitted, fds = await pending.answer()
        assert isinstance(admitted, Admitted)  # noqa: S101 - the first answer to Admit, where it is not a refusal
        job = JobStream(call.context, pending, fds, steps=admitted.steps)
        try:
            await job.serve(parts=admitted.parts)
            over = True
        finally:
            job.close()
    except Refusal as refusal:
        why = refusal
        raise
    finally:
        if not over:
            # gRPC cancels the call or ends its messages when the deadline passes and when the caller goes away
            left = call.context.time_remaining()
            if why.reason is Reason.INCOMPLETE and left is not None and left <= _DEADLINE_SKEW_S:
                why = Refusal(Reason.DEADLINE, stage=Stage.COMPUTE)
            keyholder.send(Abort(call=pending.number, reason=why.reason, stage=why.stage))


class JobStream:
    """An admitted job: its call, and the data channel and ring of its cell."""

    def __init__(self, context: Context, pending: PendingCall, fds: list[int], *, steps: Sequence[str]) -> None:
        data, ring = fds
        self._context, self._pending, self._steps = context, pending, steps
        self._data: Data = Channel(socket.socket(fileno=data), FrontFromCell)
        self._ring = Ring(ring)
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(SLOTS):
            self._free.put_nowait(slot)
        self._full: set[int] = set()

    def close(self) -> None:
        """Close the channel and the ring."""
        self._data.close()
        self._ring.close()

    async def serve(self, *, parts: int) -> None:
        """Serve until the outputs and then the receipt are sent; the first failure ends everything."""
        # by itself, so that no write that carries it can be cancelled: grpc.aio would send it again with the status of
        # a refusal, which gRPC does not allow, and the caller would wait for its deadline
        await self._context.send_initial_metadata(())
        upstream = asyncio.create_task(self._upstream(advance(RunState(), Open(parts=parts))))
        downstream = asyncio.create_task(self._downstream())
        verdict = asyncio.create_task(self._pending.answer())
        tasks: set[asyncio.Task[Any]] = {upstream, downstream, verdict}
        try:
            pending = tasks
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if any(isinstance(t.exception(), ChannelClosed) for t in done):
                    # the cell is gone; the keyholder has the reason
                    await asyncio.wait({verdict})
                    verdict.result()
                for task in done:
                    task.result()
            message, _ = verdict.result()
            assert isinstance(message, Completed)  # noqa: S101 - Ended was raised by `answer`
            last = pb.RunResponse(done=pb.Done(receipt=message.receipt))
            await self._context.write(last.SerializeToString())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _upstream(self, state: RunState) -> None:
        while (request := await self._context.read()) is not _EOF:
            if isinstance(request, SegmentFrame):
                size = len(request.data)
                state = advance(state, Segment(part=request.part, index=request.index, size=size))
                slot = await self._free.get()
                self._full.add(slot)
                self._ring.input(slot)[:size] = request.data
                self._data.send(InputReady(slot=slot, part=request.part, length=size))
                continue
            match request.WhichOneof("message"):
                case "finish":
                    state = advance(state, Finished())
                    self._data.send(Finish())
                case "open":
                    advance(state, Open(parts=state.parts))
                case _:
                    advance(state, Empty())
        advance(state, HalfClose())

    async def _downstream(self) -> None:
        write: Callable[[bytes], Awaitable[None]] = self._context.write
        while True:
            message, _ = await self._data.receive_async()
            match message:
                case InputFreed(slot=slot):
                    if slot not in self._full:
                        raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)
                    self._full.remove(slot)
                    self._free.put_nowait(slot)
                case OutputReady(slot=slot, part=part, index=index, length=length):
                    frame = segment_response(part=part, index=index, data=self._ring.output(slot)[:length])
                    with contextlib.suppress(ChannelClosed):  # a cell that sent its last segment does not wait
                        self._data.send(OutputFreed(slot=slot))
                    await write(frame)
                case Opened(result_header=header):
                    await write(pb.RunResponse(accepted=pb.Accepted(result_header=header)).SerializeToString())
                case ProgressMade(step=step, per_cent=per_cent):
                    if step >= len(self._steps):
                        raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)
                    progress = pb.Progress(stage=self._steps[step], per_cent=per_cent)
                    await write(pb.RunResponse(progress=progress).SerializeToString())
                case OutputsDone():
                    return

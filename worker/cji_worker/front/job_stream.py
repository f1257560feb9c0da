"""One job in the front: three tasks at once, and the first that fails ends the job.

    upstream      gRPC -> input slots       waits while all slots are full: slows the caller down
    downstream    output slots -> gRPC      waits while the caller does not read: slows the cell down
    keyholder     admitted, then completed or ended

The front is a witness of all that passes (`witness`). It holds back the last segment of every output until the
keyholder has the receipt on disk, whatever the cell does: until then no output is complete. The result header comes
from the keyholder, with the receipt, and is sent last: who hangs up before it has nothing that opens what was sent.
Nothing else of a job is buffered outside the ring. The keyholder alone reads the header and decides whether the job may
run.
"""

import asyncio
import contextlib
import socket
from typing import Any, Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS, Empty, HalfClose, Open, RunState, Segment, advance
from cji_core.format.job import Finish as Finished
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.evidence import evidence_of_job
from cji_worker.front.frames import SegmentFrame, segment_response
from cji_worker.front.guard import EOF, Context
from cji_worker.front.keyholder_client import Answer, KeyholderClient, PendingCall
from cji_worker.front.patience import TimeLimit
from cji_worker.front.witness import Witness
from cji_worker.ipc import Channel, ChannelClosed, Ring, take_over
from cji_worker.ipc.messages import (
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
    Stated,
)
from cji_worker.ipc.ring import SLOTS

MAX_STATED: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
"""Bytes of the answer to a task, which is one message."""

Data = Channel[FrontFromCell, CellFromFront]


class JobStream:
    """An admitted job: its call, and the data channel and ring of its cell."""

    def __init__(
        self,
        context: Context,
        keyholder: KeyholderClient,
        pending: PendingCall,
        admitted: Admitted,
        fds: list[int],
        *,
        header_sha384: bytes,
        idle_seconds: float,
    ) -> None:
        data, ring = fds
        self._header_sha384 = header_sha384
        self._idle_seconds = idle_seconds
        self._context, self._keyholder, self._pending, self._admitted = context, keyholder, pending, admitted
        self._data: Data = Channel(socket.socket(fileno=data), FrontFromCell)
        self._ring = Ring(ring)
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(SLOTS):
            self._free.put_nowait(slot)
        self._lent = set[int]()
        """Input slots that the cell reads."""
        self._witness = Witness(inputs=admitted.inputs, outputs=admitted.outputs, small_outputs=admitted.small_outputs)
        self._held: list[bytes] = []
        """The last segment of each output. A shuffle stream's is not held: without its statement nobody counts it."""

    def close(self) -> None:
        """Close the channel and the ring."""
        self._data.close()
        self._ring.close()

    async def serve(self) -> None:
        """Serve until the outputs and then the receipt are sent; the first failure ends everything."""
        # by itself, so that no write that carries it can be cancelled: grpc.aio would send it again with the status of
        # a refusal, which gRPC does not allow, and the caller would wait for its deadline
        await self._context.send_initial_metadata(())
        opened = Open(parts=self._admitted.inputs, small_from=self._admitted.small_inputs)
        upstream = asyncio.create_task(self._upstream(advance(RunState(), opened)))
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
            last = await self._last(*verdict.result())
            for frame in (*self._held, last):
                await self._write(frame)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _last(self, message: Answer, fds: list[int]) -> bytes:
        """The last message to the caller: receipt and result header, or what the keyholder made of a task.

        The evidence that the receipt names goes with it if the caller has seen an earlier one: when the caller could
        ask for it, this worker may have renewed its token again, or be gone.
        """
        if isinstance(message, Stated):
            return take_over(fds[0], most=MAX_STATED)
        assert isinstance(message, Completed)  # noqa: S101 - Ended was raised by `answer`
        if not self._witness.is_result_header(message.result_header):
            raise Refusal(Reason.INTERNAL, stage=Stage.COMMIT)
        evidence = await evidence_of_job(self._keyholder, self._header_sha384) if message.renewed else None
        done = pb.Done(receipt=message.receipt, result_header=message.result_header, evidence=evidence)
        return pb.RunResponse(done=done).SerializeToString()

    def _patience(self) -> TimeLimit:
        """The limit of one wait for the caller, either way."""
        return TimeLimit(self._idle_seconds, Reason.INCOMPLETE, Stage.UNSEAL)

    async def _read(self) -> Any:
        async with self._patience():
            return await self._context.read()

    async def _write(self, message: bytes) -> None:
        async with self._patience():
            await self._context.write(message)

    async def _upstream(self, state: RunState) -> None:
        while (request := await self._read()) is not EOF:
            if isinstance(request, SegmentFrame):
                size = len(request.data)
                state = advance(state, Segment(part=request.part, index=request.index, size=size))
                slot = await self._free.get()
                self._ring.input(slot)[:size] = request.data
                self._lent.add(slot)
                self._data.send(InputReady(slot=slot, part=request.part, length=size))
                self._witness.received(request.part, request.data)  # while the cell unseals it
                continue
            match request.WhichOneof("message"):
                case "finish":
                    state = advance(state, Finished())
                    self._witness.finished = True
                    self._data.send(Finish())
                case "open":
                    advance(state, Open(parts=state.parts))
                case _:
                    advance(state, Empty())
        advance(state, HalfClose())

    async def _downstream(self) -> None:
        write = self._write
        while True:
            message, _ = await self._data.receive_async()
            match message:
                case InputFreed(slot=slot):
                    self._take_back(slot)
                case OutputReady():
                    frame, last = self._take_output(message)
                    if last and not self._witness.is_small(message.part):
                        self._held.append(frame)
                    else:
                        await write(frame)
                case Opened(result_header_sha384=digest):
                    self._witness.opened(digest)
                    await write(pb.RunResponse(accepted=pb.Accepted()).SerializeToString())
                case ProgressMade(step=step, per_cent=per_cent):
                    if step >= len(self._admitted.steps):
                        raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)
                    progress = pb.Progress(stage=self._admitted.steps[step], per_cent=per_cent)
                    await write(pb.RunResponse(progress=progress).SerializeToString())
                case OutputsDone():
                    number = self._pending.number
                    for streams in self._witness.streams(number):
                        self._keyholder.send(streams)
                    self._keyholder.send(self._witness.statement(number))
                    return

    def _take_back(self, slot: int) -> None:
        if slot not in self._lent:
            raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)
        self._lent.remove(slot)
        self._free.put_nowait(slot)

    def _take_output(self, ready: OutputReady) -> tuple[bytes, bool]:
        """(response message, whether its segment is the last of its part)."""
        with self._ring.output(ready.slot)[: ready.length] as shared:  # a ring with open views cannot be closed
            frame = segment_response(part=ready.part, index=ready.index, data=shared)
        with contextlib.suppress(ChannelClosed):  # a cell that has ended does not wait
            self._data.send(OutputFreed(slot=ready.slot))
        # our own copy, which the cell cannot change any more
        return frame, self._witness.sent(ready.part, ready.index, memoryview(frame)[len(frame) - ready.length :])

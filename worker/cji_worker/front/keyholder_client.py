"""The front's end of the channel to the keyholder: requests by call number, each answer delivered to its call."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_worker.front.guard import Relayed
from cji_worker.front.submitters import Submitters
from cji_worker.fronts import call_numbers
from cji_worker.ipc import Channel, ChannelClosed
from cji_worker.ipc.messages import (
    Admitted,
    Attested,
    Completed,
    Ended,
    FetchedReceipt,
    FrontFromKeyholder,
    GivenUp,
    Identities,
    KeyholderFromFront,
    NotReady,
    Ready,
    Settled,
    Stated,
    StatementsWanted,
)

_MAX_ANSWERS: Final = 2
"""Answers that a call can have: the cell, then the receipt or the end."""

Answer = Admitted | Ended | Completed | Stated | StatementsWanted | Attested | FetchedReceipt | Settled | GivenUp


@dataclass(slots=True, kw_only=True)
class PendingCall:
    """One call that waits for answers: its number, and the answers that arrived for it, with their descriptors."""

    number: int
    _answers: asyncio.Queue[tuple[Answer, list[int]]] = field(default_factory=lambda: asyncio.Queue(_MAX_ANSWERS + 1))

    async def answer(self) -> tuple[Answer, list[int]]:
        """Wait for the next answer; raises a refusal."""
        message, fds = await self._answers.get()
        if isinstance(message, Ended):
            raise Relayed(
                message.reason,
                stage=message.stage,
                after_ms=message.retry_after_ms,
                column=message.column,
                limit=message.limit,
            )
        return message, fds

    def put(self, message: Answer, fds: list[int]) -> None:
        """Deliver an answer to this call. Raises ChannelClosed for one more than any call has."""
        if self._answers.qsize() >= _MAX_ANSWERS:
            for fd in fds:
                os.close(fd)
            raise ChannelClosed
        self._answers.put_nowait((message, fds))

    def lose(self) -> None:
        """The keyholder is gone: the last answer to this call."""
        self._answers.put_nowait((Ended(call=self.number, reason=Reason.CELL_FAILED, stage=Stage.ADMIT), []))

    def close(self) -> None:
        """Close descriptors that arrived too late."""
        while not self._answers.empty():
            for fd in self._answers.get_nowait()[1]:
                os.close(fd)


class KeyholderClient:
    """Sends to the keyholder and hands its answers out. `ready` is the latest report of its readiness.

    The pools of `submitters` bound the calls that wait. The channel blocks when it is full; answers to as many calls
    never fill it.
    """

    def __init__(
        self, channel: Channel[FrontFromKeyholder, KeyholderFromFront], submitters: Submitters, *, front: int = 0
    ) -> None:
        """`front` is the number of this front."""
        self._channel, self._submitters = channel, submitters
        self._numbers = call_numbers(front)
        self._pending: dict[int, PendingCall] = {}
        self.ready: Ready | NotReady = NotReady(reason=Reason.NOT_READY, condition="starting")
        self.changed = asyncio.Event()

    def offer(self) -> Ready:
        """The worker's current capabilities; a refusal if it is not ready."""
        if isinstance(self.ready, NotReady):
            raise Refusal(self.ready.reason, stage=Stage.OPEN)
        return self.ready

    @contextmanager
    def pending_call(self) -> Iterator[PendingCall]:
        """A call number under which answers arrive."""
        pending = PendingCall(number=next(self._numbers))
        self._pending[pending.number] = pending
        try:
            yield pending
        finally:
            del self._pending[pending.number]
            pending.close()

    def send(self, message: KeyholderFromFront) -> None:
        """Send a request to the keyholder."""
        self._channel.send(message)

    async def serve(self) -> None:
        """Hand out answers until the keyholder is gone; then every open call is refused."""
        try:
            while True:
                message, fds = await self._channel.receive_async()
                match message:
                    case Ready() | NotReady():
                        self.ready = message
                        self.changed.set()
                    case Identities(sha256=identities):
                        self._submitters.replace(identities)
                    case _:
                        self._deliver(message, fds)
        except ChannelClosed:
            for pending in self._pending.values():
                pending.lose()
            raise

    def _deliver(self, message: Answer, fds: list[int]) -> None:
        pending = self._pending.get(message.call)
        if pending is not None:
            pending.put(message, fds)
            return
        for fd in fds:
            os.close(fd)

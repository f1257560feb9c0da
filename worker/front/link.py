"""The front's end of the channel to the keyholder: questions by call number, answers to whoever asked."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from worker.errors import Reason, Refusal, Stage
from worker.front.guard import RetryLater
from worker.ipc import Channel, ChannelClosed
from worker.ipc.messages import (
    Admitted,
    Attested,
    Completed,
    Ended,
    FetchedReceipt,
    FrontFromKeyholder,
    KeyholderFromFront,
    NotReady,
    Ready,
)

__all__ = ["MAX_TICKETS", "Link", "Ticket"]

MAX_TICKETS: Final = 128
"""Calls at the same time. Both ends of the channel block when it is full; so few answers never fill it."""

_RETRY_MS: Final = 500

Answer = Admitted | Ended | Completed | Attested | FetchedReceipt


@dataclass(slots=True, kw_only=True)
class Ticket:
    """One call's place in the link: its number and the answers that came for it, with their descriptors."""

    number: int
    _answers: asyncio.Queue[tuple[Answer, list[int]]] = field(default_factory=asyncio.Queue)

    async def answer(self) -> tuple[Answer, list[int]]:
        """The next answer; a refusal is raised."""
        message, fds = await self._answers.get()
        if isinstance(message, Ended):
            raise RetryLater(message.reason, stage=message.stage, after_ms=message.retry_after_ms)
        return message, fds

    def put(self, message: Answer, fds: list[int]) -> None:
        """An answer for this call arrived."""
        self._answers.put_nowait((message, fds))

    def close(self) -> None:
        """Nobody waits any more; descriptors that came too late are closed."""
        while not self._answers.empty():
            for fd in self._answers.get_nowait()[1]:
                os.close(fd)


class Link:
    """Sends to the keyholder, and hands out what comes back. `ready` is the latest word on readiness."""

    def __init__(self, channel: Channel[FrontFromKeyholder, KeyholderFromFront]) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._tickets: dict[int, Ticket] = {}
        self.ready: Ready | NotReady = NotReady(reason=Reason.NOT_READY)
        self.changed = asyncio.Event()

    def offer(self) -> Ready:
        """What the worker can do now; a refusal when it is not ready."""
        if isinstance(self.ready, NotReady):
            raise Refusal(self.ready.reason, stage=Stage.OPEN)
        return self.ready

    @contextmanager
    def ticket(self) -> Iterator[Ticket]:
        """A number under which answers come back; OVERLOADED when there are too many."""
        if len(self._tickets) >= MAX_TICKETS:
            raise RetryLater(Reason.OVERLOADED, stage=Stage.OPEN, after_ms=_RETRY_MS)
        ticket = Ticket(number=next(self._numbers))
        self._tickets[ticket.number] = ticket
        try:
            yield ticket
        finally:
            del self._tickets[ticket.number]
            ticket.close()

    def send(self, message: KeyholderFromFront) -> None:
        """Ask the keyholder."""
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
                    case _:
                        self._deliver(message, fds)
        except ChannelClosed:
            for ticket in self._tickets.values():
                ticket.put(Ended(call=ticket.number, reason=Reason.CELL_FAILED, stage=Stage.ADMIT), [])
            raise

    def _deliver(self, message: Answer, fds: list[int]) -> None:
        ticket = self._tickets.get(message.call)
        if ticket is not None:
            ticket.put(message, fds)
            return
        for fd in fds:
            os.close(fd)

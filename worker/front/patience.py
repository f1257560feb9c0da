"""How long the front waits for a caller: a block of code with a time limit, whose end is a Refusal."""

import asyncio
from types import TracebackType
from typing import Self

from worker.errors import Reason, Refusal, Stage


class TimeLimit:
    """`async with TimeLimit(seconds, reason, stage):` raises this Refusal if the block takes longer."""

    __slots__ = ("_reason", "_stage", "_timeout")

    def __init__(self, seconds: float, reason: Reason, stage: Stage) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._reason, self._stage = reason, stage

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise Refusal(self._reason, stage=self._stage) from None

"""The ends of a block of code that the front sets: a time limit, or an end from outside. Each is a Refusal."""

import asyncio
from types import TracebackType
from typing import Self

from cji_core.errors import Reason, Refusal, Stage


class TimeLimit:
    """`async with TimeLimit(seconds, reason, stage):` raises this Refusal if the block takes longer."""

    __slots__ = ("_refusal", "_timeout")

    def __init__(self, seconds: float, reason: Reason, stage: Stage) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._refusal = Refusal(reason, stage=stage)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._refusal from None


class Lifetime:
    """`async with lifetime:` raises the Refusal with which `end` is called meanwhile; it may be entered once."""

    __slots__ = ("_over", "_timeout", "refusal")

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._over = False
        self.refusal: Refusal | None = None
        """Of the end, if there was one."""

    def end(self, refusal: Refusal) -> None:
        """End the block. The first call counts, and none once the block is over."""
        if self.refusal is None and not self._over:
            self.refusal = refusal
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            assert self.refusal is not None  # noqa: S101 - nothing else sets a time
            raise self.refusal from None

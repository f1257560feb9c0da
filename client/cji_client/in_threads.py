"""The calls of a synchronous client as coroutines, each in a thread: the part that asynchronous clients share."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from cji_attestation.attested import AttestedWorker
from cji_client.cancellation import Cancellation
from cji_client.description import Description

T = TypeVar("T")


class Calls(Protocol):
    """The calls that `Connection` and `SyncClient` both have."""

    def close(self) -> None:
        """Close the channel."""

    def describe(self) -> Description:
        """The description that the worker gives of itself."""

    def attest(self) -> AttestedWorker:
        """Appraised evidence."""

    def get_receipt(self, job_id: bytes) -> str:
        """A stored receipt."""


S = TypeVar("S", bound=Calls)


class InThreads(Generic[S]):
    """`sync` with coroutines. Use as an async context manager; calls may run concurrently."""

    def __init__(self, sync: S) -> None:
        self.sync = sync

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await asyncio.to_thread(self.sync.close)

    async def describe(self) -> Description:
        """The worker's description of itself; nothing in it is trusted."""
        return await asyncio.to_thread(self.sync.describe)

    async def attest(self) -> AttestedWorker:
        """Evidence of the worker for a fresh nonce, appraised; Unverified names the failed check."""
        return await asyncio.to_thread(self.sync.attest)

    async def get_receipt(self, job_id: bytes) -> str:
        """The stored receipt of a finished job of this submitter; not verified here."""
        return await asyncio.to_thread(self.sync.get_receipt, job_id)


async def cancellable(call: Callable[..., T], *args: Any, **options: Any) -> T:
    """The result of `call` in a thread. To cancel the coroutine ends the call, by its argument `cancellation`."""
    cancellation = Cancellation()
    try:
        return await asyncio.to_thread(call, *args, cancellation=cancellation, **options)
    except asyncio.CancelledError:
        cancellation.cancel()
        raise

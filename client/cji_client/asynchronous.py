"""The clients with coroutines, for programs with an event loop: each call of a synchronous client runs in a thread."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

from cji_attestation import AZURE_US, AZURE_USGOV, Trust
from cji_client.connection import Connection, connect
from cji_client.in_threads import Asynchronous, cancellable, in_thread
from cji_client.job import Job
from cji_client.job_state import JobStatus
from cji_client.profile import ClientProfile
from cji_client.result import OpenedResult
from cji_client.retry import RetryPolicy
from cji_client.signers import Decrypter, Signer
from cji_client.tokens import TokenSource
from cji_client.transport import SyncClient
from cji_core.format.passphrases import Passphrase
from cji_core.format.paths import FileName

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class _Closable(Protocol):
    def close(self) -> None:
        """Close the channel."""


P = ParamSpec("P")
S = TypeVar("S", bound=_Closable)


class _Channel(Generic[S]):
    """`sync` with coroutines. Use as an async context manager; calls may run concurrently."""

    def __init__(self, sync: S) -> None:
        self.sync = sync

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.sync.close)


class Client(_Channel[SyncClient]):
    """`SyncClient` with coroutines."""

    close = in_thread(SyncClient.close)
    describe = in_thread(SyncClient.describe)
    attest = in_thread(SyncClient.attest)
    get_receipt = in_thread(SyncClient.get_receipt)
    release = in_thread(SyncClient.release)
    run = cancellable(SyncClient.run)


class AsyncJob:
    """`Job` with coroutines. To cancel the coroutine of a wait ends the wait and not the job; it holds no thread."""

    def __init__(self, sync: Job) -> None:
        self.sync = sync

    @property
    def id(self) -> str:
        """See Job."""
        return self.sync.id

    async def status(self) -> JobStatus:
        """See Job."""
        return await asyncio.to_thread(self.sync.status)

    async def wait(self, timeout: float | None = None) -> JobStatus:
        """See Job."""
        return await self.sync.awaited(timeout)

    async def result(self, timeout: float | None = None) -> OpenedResult:
        """See Job."""
        await self.wait(timeout)
        return await asyncio.to_thread(self.sync.result)

    async def cancel(self) -> None:
        """See Job."""
        await asyncio.to_thread(self.sync.cancel)


def _as_job(
    call: Callable[Concatenate[S, P], Job],
) -> Callable[Concatenate[Asynchronous[S], P], Coroutine[Any, Any, AsyncJob]]:
    """The same call as a coroutine, with an AsyncJob."""
    coroutine = in_thread(call)

    @wraps(call)
    async def submit(self: Asynchronous[S], /, *args: P.args, **options: P.kwargs) -> AsyncJob:
        return AsyncJob(await coroutine(self, *args, **options))

    return submit


class AsyncConnection(_Channel[Connection]):
    """`Connection` with coroutines. Made by `connect_async`."""

    close = in_thread(Connection.close)
    describe = in_thread(Connection.describe)
    attest = in_thread(Connection.attest)
    get_receipt = in_thread(Connection.get_receipt)
    release = in_thread(Connection.release)
    run = cancellable(Connection.run)
    send = cancellable(Connection.send)
    submit = _as_job(Connection.submit)
    job = _as_job(Connection.job)

    async def jobs(self, folder: FileName) -> list[AsyncJob]:
        """See Connection."""
        return [AsyncJob(job) for job in await asyncio.to_thread(self.sync.jobs, folder)]


def connect_async(
    profile: FileName | ClientProfile,
    *,
    trusts: Iterable[Trust] = (AZURE_US, AZURE_USGOV),
    signer: Signer | None = None,
    decrypter: Decrypter | None = None,
    passphrase: Passphrase | None = None,
    token: TokenSource | None = None,
    credential: "TokenCredential | None" = None,
    retry: RetryPolicy | None = None,
) -> AsyncConnection:
    """The same as `connect` for programs with an event loop; use it with `async with`."""
    return AsyncConnection(
        connect(
            profile,
            trusts=trusts,
            signer=signer,
            decrypter=decrypter,
            passphrase=passphrase,
            token=token,
            credential=credential,
            retry=retry,
        )
    )

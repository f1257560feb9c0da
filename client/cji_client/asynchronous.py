"""The clients with coroutines, for programs with an event loop: each call of a synchronous client runs in a thread."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from cji_attestation import AZURE_US, AZURE_USGOV, Trust
from cji_client.connection import Connection, connect
from cji_client.in_threads import cancellable, in_thread
from cji_client.profile import ClientProfile
from cji_client.signers import Decrypter, Signer
from cji_client.tokens import TokenSource
from cji_client.transport import SyncClient
from cji_core.format.passphrases import Passphrase
from cji_core.format.paths import FileName


class _Closable(Protocol):
    def close(self) -> None:
        """Close the channel."""


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


class AsyncConnection(_Channel[Connection]):
    """`Connection` with coroutines. Made by `connect_async`."""

    close = in_thread(Connection.close)
    describe = in_thread(Connection.describe)
    attest = in_thread(Connection.attest)
    get_receipt = in_thread(Connection.get_receipt)
    release = in_thread(Connection.release)
    run = cancellable(Connection.run)
    send = cancellable(Connection.send)


def connect_async(
    profile: FileName | ClientProfile,
    *,
    trusts: Iterable[Trust] = (AZURE_US, AZURE_USGOV),
    signer: Signer | None = None,
    decrypter: Decrypter | None = None,
    passphrase: Passphrase | None = None,
    token: TokenSource | None = None,
) -> AsyncConnection:
    """The same as `connect` for programs with an event loop; use it with `async with`."""
    return AsyncConnection(
        connect(profile, trusts=trusts, signer=signer, decrypter=decrypter, passphrase=passphrase, token=token)
    )

"""`connect` with coroutines: each call runs in a thread, and cancelling the coroutine ends it."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from attestation import AZURE_US, AZURE_USGOV, Trust
from worker.client.attested import AttestedWorker
from worker.client.cancellation import Cancellation
from worker.client.connection import Connection, Spec, connect
from worker.client.description import Description
from worker.client.keys import ProjectKey
from worker.client.opened import Result
from worker.client.passphrases import Passphrase
from worker.client.paths import FileName
from worker.client.prepared import Records
from worker.client.profile import ClientProfile
from worker.client.progress import ProgressCallback
from worker.client.saved import SavedJob
from worker.client.signers import Decrypter, Signer
from worker.client.tokens import TokenSource


class AsyncConnection:
    """`Connection` with coroutines, for programs with an event loop. Made by `connect_async`."""

    def __init__(self, connection: Connection) -> None:
        self.sync = connection

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
        """As `Connection.describe`."""
        return await asyncio.to_thread(self.sync.describe)

    async def attest(self) -> AttestedWorker:
        """As `Connection.attest`."""
        return await asyncio.to_thread(self.sync.attest)

    async def get_receipt(self, job_id: bytes) -> str:
        """As `Connection.get_receipt`."""
        return await asyncio.to_thread(self.sync.get_receipt, job_id)

    async def run(
        self,
        records: Records,
        spec: Spec,
        *,
        sides: Mapping[str, Records] | None = None,
        project_key: ProjectKey | None = None,
        deadline: float | None = None,
        progress: ProgressCallback | None = None,
    ) -> Result:
        """As `Connection.run`; cancelling the coroutine ends the call."""
        cancellation = Cancellation()
        try:
            return await asyncio.to_thread(
                self.sync.run,
                records,
                spec,
                sides=sides,
                project_key=project_key,
                deadline=deadline,
                progress=progress,
                cancellation=cancellation,
            )
        except asyncio.CancelledError:
            cancellation.cancel()
            raise

    async def send(self, job: SavedJob, *, deadline: float, progress: ProgressCallback | None = None) -> Result:
        """As `Connection.send`; cancelling the coroutine ends the call."""
        cancellation = Cancellation()
        try:
            return await asyncio.to_thread(
                self.sync.send, job, deadline=deadline, progress=progress, cancellation=cancellation
            )
        except asyncio.CancelledError:
            cancellation.cancel()
            raise


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

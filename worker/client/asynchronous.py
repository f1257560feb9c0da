"""The asynchronous client: the calls of `SyncClient` in threads, for programs with an event loop."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from attestation import Trust
from attestation.appraisal import ReferenceValues
from worker.client.attested import AttestedWorker
from worker.client.cancellation import Cancellation
from worker.client.description import Description
from worker.client.profile import ClientTls
from worker.client.progress import ProgressCallback
from worker.client.seal import SealedJob
from worker.client.sealed_result import SealedResult
from worker.client.sources import Source
from worker.client.tokens import TokenSource
from worker.client.transport import SyncClient


class Client:
    """`SyncClient` with coroutines. Use as an async context manager; calls may run concurrently."""

    def __init__(
        self,
        target: str,
        *,
        tls: ClientTls,
        trust: Trust,
        reference: ReferenceValues,
        maa_url: str,
        server_name: str | None = None,
        token: TokenSource | None = None,
    ) -> None:
        self._client = SyncClient(
            target, tls=tls, trust=trust, reference=reference, maa_url=maa_url, server_name=server_name, token=token
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await asyncio.to_thread(self._client.close)

    async def describe(self) -> Description:
        """As `SyncClient.describe`."""
        return await asyncio.to_thread(self._client.describe)

    async def attest(self) -> AttestedWorker:
        """As `SyncClient.attest`."""
        return await asyncio.to_thread(self._client.attest)

    async def get_receipt(self, job_id: bytes) -> str:
        """As `SyncClient.get_receipt`."""
        return await asyncio.to_thread(self._client.get_receipt, job_id)

    async def run(
        self,
        job: SealedJob,
        inputs: Mapping[str, Source],
        *,
        attested: AttestedWorker,
        deadline: float,
        progress: ProgressCallback | None = None,
    ) -> SealedResult:
        """As `SyncClient.run`; cancelling the coroutine ends the call."""
        cancellation = Cancellation()
        try:
            return await asyncio.to_thread(
                self._client.run,
                job,
                inputs,
                attested=attested,
                deadline=deadline,
                progress=progress,
                cancellation=cancellation,
            )
        except asyncio.CancelledError:
            cancellation.cancel()
            raise

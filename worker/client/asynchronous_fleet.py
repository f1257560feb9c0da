"""The asynchronous client of a pool: the calls of `SyncFleetClient` in threads, for programs with an event loop."""

import asyncio
import threading
from typing import TYPE_CHECKING

from attestation import Trust
from attestation.appraisal import ReferenceValues
from worker.client.by_reference import SyncFleetClient
from worker.client.job_state import JobStatus
from worker.client.profile import ClientStorage
from worker.client.result import Progress
from worker.client.saved import SavedJob
from worker.client.sealed_result import SealedResult

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class FleetClient:
    """`SyncFleetClient` with coroutines; calls may run concurrently."""

    def __init__(
        self,
        storage: ClientStorage,
        *,
        trust: Trust,
        reference: ReferenceValues,
        maa_url: str,
        credential: "TokenCredential | None" = None,
    ) -> None:
        self._client = SyncFleetClient(
            storage, trust=trust, reference=reference, maa_url=maa_url, credential=credential
        )

    async def submit(self, job: SavedJob, *, in_parts: bool = False, progress: Progress | None = None) -> None:
        """As `SyncFleetClient.submit`."""
        await asyncio.to_thread(self._client.submit, job, in_parts=in_parts, progress=progress)

    async def status(self, job_id: bytes) -> JobStatus:
        """As `SyncFleetClient.status`."""
        return await asyncio.to_thread(self._client.status, job_id)

    async def wait(self, job_id: bytes, *, deadline: float, progress: Progress | None = None) -> JobStatus:
        """As `SyncFleetClient.wait`; cancelling the coroutine ends the wait, not the job."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._client.wait, job_id, deadline=deadline, progress=progress, stop=stop)
        except asyncio.CancelledError:
            stop.set()
            raise

    async def cancel(self, job_id: bytes) -> None:
        """As `SyncFleetClient.cancel`."""
        await asyncio.to_thread(self._client.cancel, job_id)

    async def fetch(self, job: SavedJob, *, progress: Progress | None = None) -> SealedResult:
        """As `SyncFleetClient.fetch`."""
        return await asyncio.to_thread(self._client.fetch, job, progress=progress)

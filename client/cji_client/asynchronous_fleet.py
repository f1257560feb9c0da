"""The asynchronous client of a pool: the calls of `SyncFleetClient` in threads, for programs with an event loop."""

import asyncio
import random
import time
from typing import TYPE_CHECKING

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_client.by_reference import FIRST_WAIT, LONGEST_WAIT, SyncFleetClient
from cji_client.errors import NotFinished
from cji_client.job_folder import JobFolder
from cji_client.job_state import JobStatus
from cji_client.profile import ClientStorage
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.result import Result

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class FleetClient:
    """`SyncFleetClient` with coroutines; calls may run concurrently. A wait takes a thread only while it looks."""

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

    async def submit(self, job: JobFolder, *, in_parts: bool = False, progress: ProgressCallback | None = None) -> None:
        """As `SyncFleetClient.submit`."""
        await asyncio.to_thread(self._client.submit, job, in_parts=in_parts, progress=progress)

    async def status(self, job_id: bytes) -> JobStatus:
        """As `SyncFleetClient.status`."""
        return await asyncio.to_thread(self._client.status, job_id)

    async def wait(self, job_id: bytes, *, deadline: float, progress: ProgressCallback | None = None) -> JobStatus:
        """As `SyncFleetClient.wait`; cancelling the coroutine ends the wait, not the job."""
        until, pause = time.monotonic() + deadline, FIRST_WAIT
        while not (status := await self.status(job_id)).state.final:
            if progress is not None and status.stage is not None and status.per_cent is not None:
                progress(Progress(phase=Phase.WORKING, stage=status.stage, per_cent=status.per_cent))
            left = until - time.monotonic()
            if left <= 0:
                raise NotFinished(status.state)
            await asyncio.sleep(min(left, random.uniform(pause / 2, pause)))  # noqa: S311 - jitter
            pause = min(1.5 * pause, LONGEST_WAIT)
        return status

    async def cancel(self, job_id: bytes) -> None:
        """As `SyncFleetClient.cancel`."""
        await asyncio.to_thread(self._client.cancel, job_id)

    async def fetch(self, job: JobFolder, *, progress: ProgressCallback | None = None) -> Result:
        """As `SyncFleetClient.fetch`."""
        return await asyncio.to_thread(self._client.fetch, job, progress=progress)

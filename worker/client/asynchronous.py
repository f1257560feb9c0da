"""The asynchronous client: the calls of `SyncClient` in threads, for programs with an event loop."""

from collections.abc import Mapping

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker
from worker.client.in_threads import InThreads, cancellable
from worker.client.profile import ClientTls
from worker.client.progress import ProgressCallback
from worker.client.seal import SealedJob
from worker.client.sealed_result import SealedResult
from worker.client.sources import Source
from worker.client.tokens import TokenSource
from worker.client.transport import SyncClient


class Client(InThreads[SyncClient]):
    """`SyncClient` with coroutines."""

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
        super().__init__(
            SyncClient(
                target, tls=tls, trust=trust, reference=reference, maa_url=maa_url, server_name=server_name, token=token
            )
        )

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
        return await cancellable(self.sync.run, job, inputs, attested=attested, deadline=deadline, progress=progress)

"""The asynchronous client: the calls of `SyncClient` in threads, for programs with an event loop."""

from collections.abc import Mapping

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker
from cji_client.in_threads import InThreads, cancellable
from cji_client.profile import ClientTls
from cji_client.progress import ProgressCallback
from cji_client.result import Result
from cji_client.seal import SealedJob
from cji_client.sources import Source
from cji_client.tokens import TokenSource
from cji_client.transport import SyncClient


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
    ) -> Result:
        """As `SyncClient.run`; cancelling the coroutine ends the call."""
        return await cancellable(self.sync.run, job, inputs, attested=attested, deadline=deadline, progress=progress)

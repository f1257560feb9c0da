"""`connect` with coroutines: each call runs in a thread, and cancelling the coroutine ends it."""

from collections.abc import Iterable, Mapping

from cji_attestation import AZURE_US, AZURE_USGOV, Trust
from cji_client.connection import Connection, Spec, connect
from cji_client.in_threads import InThreads, cancellable
from cji_client.job_folder import JobFolder
from cji_client.prepared import Records
from cji_client.profile import ClientProfile
from cji_client.progress import ProgressCallback
from cji_client.result import OpenedResult
from cji_client.signers import Decrypter, Signer
from cji_client.tokens import TokenSource
from cji_core.format.keys import ProjectKey
from cji_core.format.passphrases import Passphrase
from cji_core.format.paths import FileName


class AsyncConnection(InThreads[Connection]):
    """`Connection` with coroutines. Made by `connect_async`."""

    async def run(
        self,
        records: Records,
        spec: Spec,
        *,
        sides: Mapping[str, Records] | None = None,
        project_key: ProjectKey | None = None,
        deadline: float | None = None,
        progress: ProgressCallback | None = None,
    ) -> OpenedResult:
        """As `Connection.run`; cancelling the coroutine ends the call."""
        return await cancellable(
            self.sync.run,
            records,
            spec,
            sides=sides,
            project_key=project_key,
            deadline=deadline,
            progress=progress,
        )

    async def send(self, job: JobFolder, *, deadline: float, progress: ProgressCallback | None = None) -> OpenedResult:
        """As `Connection.send`; cancelling the coroutine ends the call."""
        return await cancellable(self.sync.send, job, deadline=deadline, progress=progress)


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

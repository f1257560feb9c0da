"""The client of cji-worker: the names that most programs need. The code is `cji_client`.

    from cji_client import connect

    with connect("client.toml") as worker:
        with worker.run("people.csv", "job.toml") as result:
            frame = result.pandas()

`cji_client.operations` has the parameters of the operations, `cji_client.keys` keys and what makes and loads them,
`cji_client.errors` every error, `cji_client.trusts` the clouds. Each name, and with it numpy, pyarrow and gRPC, is
imported when it is first used.
"""

from typing import TYPE_CHECKING

from cji_core.lazy import lazy

if TYPE_CHECKING:
    from cji_client.asynchronous import AsyncConnection, connect_async
    from cji_client.cancellation import Cancellation
    from cji_client.connection import Connection, connect
    from cji_client.errors import ClientError, SpecError, Unverified, WorkerRefused
    from cji_client.job_folder import JobFolder, load_job, save_job
    from cji_client.profile import ClientProfile, load_profile
    from cji_client.progress import Phase, Progress, ProgressCallback
    from cji_client.result import OpenedResult, Result
    from cji_client.result_folder import load_result
    from cji_client.signers import Decrypter, Signer
    from cji_client.spec import JobSpec, load_spec
    from cji_core.operations.deidentify import Transform
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "AsyncConnection",
    "Cancellation",
    "ClientError",
    "ClientProfile",
    "Connection",
    "Decrypter",
    "JobFolder",
    "JobSpec",
    "OpenedResult",
    "Phase",
    "Progress",
    "ProgressCallback",
    "Result",
    "Signer",
    "SpecError",
    "Transform",
    "Unverified",
    "WorkerRefused",
    "connect",
    "connect_async",
    "load_job",
    "load_profile",
    "load_result",
    "load_spec",
    "save_job",
]

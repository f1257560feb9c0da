"""The client of cji-worker: the names that most programs need. The code is `worker.client`.

    from cji_client import connect

    with connect("client.toml") as worker:
        with worker.run("people.csv", "job.toml") as result:
            frame = result.pandas()

`cji_client.operations` has the parameters of the operations, `cji_client.keys` keys and what makes and loads them,
`cji_client.errors` every error, `cji_client.trusts` the clouds.
"""

from cji_operations.deidentify import Transform
from worker.client.asynchronous_connection import AsyncConnection, connect_async
from worker.client.cancellation import Cancellation
from worker.client.connection import Connection, connect
from worker.client.errors import ClientError, SpecError, Unverified, WorkerRefused
from worker.client.opened import Result
from worker.client.profile import ClientProfile, load_profile
from worker.client.progress import Phase, Progress, ProgressCallback
from worker.client.saved import SavedJob, load_job, save_job
from worker.client.saved_result import open_saved
from worker.client.sealed_result import SealedResult
from worker.client.signers import Decrypter, Signer
from worker.client.spec import JobSpec, load_spec

__all__ = [
    "AsyncConnection",
    "Cancellation",
    "ClientError",
    "ClientProfile",
    "Connection",
    "Decrypter",
    "JobSpec",
    "Phase",
    "Progress",
    "ProgressCallback",
    "Result",
    "SavedJob",
    "SealedResult",
    "Signer",
    "SpecError",
    "Transform",
    "Unverified",
    "WorkerRefused",
    "connect",
    "connect_async",
    "load_job",
    "load_profile",
    "load_spec",
    "open_saved",
    "save_job",
]

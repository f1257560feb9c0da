"""The client of cji-worker: the names that most programs need. The code is `worker.client`.

    from cji_client import connect

    with connect("client.toml") as worker:
        with worker.run("people.csv", "job.toml") as result:
            frame = result.pandas()

`cji_client.operations` has the parameters of the operations, `cji_client.keys` keys and what makes and loads them,
`cji_client.errors` every error, `cji_client.trusts` the clouds.
"""

from worker.client import (
    AsyncConnection,
    Cancellation,
    ClientError,
    ClientProfile,
    Connection,
    Decrypter,
    JobSpec,
    Phase,
    Progress,
    ProgressCallback,
    Result,
    SavedJob,
    SealedResult,
    Signer,
    SpecError,
    Transform,
    Unverified,
    WorkerRefused,
    connect,
    connect_async,
    load_job,
    load_profile,
    load_spec,
    open_saved,
    save_job,
)

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

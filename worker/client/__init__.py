"""The SDK of upstream apps: seal records, run them on an attested worker, verify the receipt, open the result.

    with connect("client.toml") as worker:
        with worker.run("people.csv", "job.toml") as result:
            frame = result.pandas()

Each step refuses on any doubt: evidence that fails a check, a key other than the pinned one, a receipt that does not
match the exact bytes sent and received. All errors are `ClientError`s and carry a remedy.

`cji_client`, in the distribution of that name, has the names that most programs need. `Client` and `SyncClient` are the
calls below `connect`, for programs that hold their keys and specs otherwise. The parameters of an operation are in
`worker.compute.operations.NAME`, everything else in the module that its name suggests: `keys`, `sources`, `verify`.
"""

from worker.client.asynchronous import Client
from worker.client.asynchronous_connection import AsyncConnection, connect_async
from worker.client.cancellation import Cancellation
from worker.client.connection import Connection, connect
from worker.client.errors import (
    ClientError,
    ColumnError,
    ColumnTypeError,
    LimitExceeded,
    MissingRule,
    SpecError,
    Unreachable,
    Unverified,
    WorkerRefused,
)
from worker.client.files import read_file
from worker.client.keys import load_project_key, load_recipient_key, load_signing_key
from worker.client.opened import Result
from worker.client.prepared import Prepared, prepare
from worker.client.profile import ClientProfile, load_profile
from worker.client.progress import Phase, Progress, ProgressCallback
from worker.client.saved import SavedJob, load_job, save_job
from worker.client.saved_result import open_saved
from worker.client.seal import INPUT_NAME, SealedJob, seal
from worker.client.sealed_result import SealedResult, open_result
from worker.client.signers import Decrypter, KeyDecrypter, KeySigner, Signer
from worker.client.spec import JobSpec, load_spec
from worker.client.transport import SyncClient
from worker.compute.operations.deidentify import Transform

__all__ = [
    "INPUT_NAME",
    "AsyncConnection",
    "Cancellation",
    "Client",
    "ClientError",
    "ClientProfile",
    "ColumnError",
    "ColumnTypeError",
    "Connection",
    "Decrypter",
    "JobSpec",
    "KeyDecrypter",
    "KeySigner",
    "LimitExceeded",
    "MissingRule",
    "Phase",
    "Prepared",
    "Progress",
    "ProgressCallback",
    "Result",
    "SavedJob",
    "SealedJob",
    "SealedResult",
    "Signer",
    "SpecError",
    "SyncClient",
    "Transform",
    "Unreachable",
    "Unverified",
    "WorkerRefused",
    "connect",
    "connect_async",
    "load_job",
    "load_profile",
    "load_project_key",
    "load_recipient_key",
    "load_signing_key",
    "load_spec",
    "open_result",
    "open_saved",
    "prepare",
    "read_file",
    "save_job",
    "seal",
]

"""The SDK of upstream apps: seal records, run them on an attested worker, verify the receipt, open the result.

    async with Client(target, tls=..., trust=AZURE_US, reference=..., maa_url=...) as client:
        description, attested = await client.describe(), await client.attest()
        kek = description.pin_for(spec)
        job = seal(spec, kek=kek, signing_key=signing_key, project_key=project_key)
        with await client.run(job, {INPUT_NAME: table}, attested=attested, deadline=600) as result:
            tables = open_result(result, recipient_key)

Each step refuses on any doubt: evidence that fails a check, a key other than the pinned one, a receipt that does not
match the exact bytes sent and received. All errors are `ClientError`s and carry a remedy.

These are the names that most programs need. The parameters of an operation are in `worker.compute.operations.NAME`,
everything else in the module that its name suggests: `keys`, `sources`, `verify`, `errors`.
"""

from worker.client.asynchronous import Client
from worker.client.errors import ClientError, Unverified, WorkerRefused
from worker.client.files import read_file
from worker.client.keys import load_project_key, load_recipient_key, load_signing_key
from worker.client.profile import ClientProfile, load_profile
from worker.client.seal import INPUT_NAME, SealedJob, seal
from worker.client.sealed_result import SealedResult, open_result
from worker.client.spec import JobSpec, load_spec
from worker.client.transport import SyncClient

__all__ = [
    "INPUT_NAME",
    "Client",
    "ClientError",
    "ClientProfile",
    "JobSpec",
    "SealedJob",
    "SealedResult",
    "SyncClient",
    "Unverified",
    "WorkerRefused",
    "load_profile",
    "load_project_key",
    "load_recipient_key",
    "load_signing_key",
    "load_spec",
    "open_result",
    "read_file",
    "seal",
]

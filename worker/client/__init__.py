"""The SDK of upstream apps: seal records, run them on an attested worker, verify the receipt, open the result.

    async with Client(target, tls=..., trust=AZURE_US, reference=..., maa_url=...) as client:
        description, attested = await client.describe(), await client.attest()
        kek = description.pin(spec.kek_id, thumbprint=spec.kek_thumbprint)
        job = seal(spec, kek=kek, signing_key=signing_key, project_key=project_key)
        with await client.run(job, {"records": table}, attested=attested, deadline=600) as result:
            tables = open_result(result, recipient_key)

Every step refuses rather than guesses: a worker whose evidence does not pass, a key that is not the pinned one, a
receipt that does not vouch for exactly the bytes sent and received. All errors are `ClientError`s with a remedy.
"""

from worker.client.asynchronous import Client
from worker.client.attested import AttestedWorker, evidence_cloud, read_evidence, verify_attestation
from worker.client.description import Description
from worker.client.errors import ClientError, SpecError, Unreachable, Unverified, WorkerRefused
from worker.client.keys import (
    PinnedKey,
    ProjectKey,
    load_project_key,
    load_recipient_key,
    load_signing_key,
    new_project_key,
    new_recipient_key,
    new_signing_key,
    public_jwk,
    save_private_key,
    save_project_key,
    thumbprint,
)
from worker.client.operations import Aggregate, Disseminate, Link, Screen, Validate
from worker.client.profile import ClientProfile, ClientTls, load_profile
from worker.client.seal import INPUT_NAME, SealedJob, seal
from worker.client.sealed_result import SealedResult, open_result, read_output
from worker.client.sources import FORMATS, LINES, Batches, Source, open_source, read_file
from worker.client.spec import InputSpec, JobSpec, SideSpec, decode_spec, load_spec
from worker.client.transforms import (
    AesToken,
    AgeBand,
    DateShift,
    DateTo,
    Deidentify,
    Ff1,
    HmacToken,
    Mask,
    SmallClasses,
    ZipPrefix,
)
from worker.client.transport import SyncClient
from worker.client.verify import verify_result, verify_stored

__all__ = [
    "FORMATS",
    "INPUT_NAME",
    "LINES",
    "AesToken",
    "AgeBand",
    "Aggregate",
    "AttestedWorker",
    "Batches",
    "Client",
    "ClientError",
    "ClientProfile",
    "ClientTls",
    "DateShift",
    "DateTo",
    "Deidentify",
    "Description",
    "Disseminate",
    "Ff1",
    "HmacToken",
    "InputSpec",
    "JobSpec",
    "Link",
    "Mask",
    "PinnedKey",
    "ProjectKey",
    "Screen",
    "SealedJob",
    "SealedResult",
    "SideSpec",
    "SmallClasses",
    "Source",
    "SpecError",
    "SyncClient",
    "Unreachable",
    "Unverified",
    "Validate",
    "WorkerRefused",
    "ZipPrefix",
    "decode_spec",
    "evidence_cloud",
    "load_profile",
    "load_project_key",
    "load_recipient_key",
    "load_signing_key",
    "load_spec",
    "new_project_key",
    "new_recipient_key",
    "new_signing_key",
    "open_result",
    "open_source",
    "public_jwk",
    "read_evidence",
    "read_file",
    "read_output",
    "save_private_key",
    "save_project_key",
    "seal",
    "thumbprint",
    "verify_attestation",
    "verify_result",
    "verify_stored",
]

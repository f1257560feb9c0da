"""A submitter at a pool of one reference worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_client.by_reference import SyncFleetClient
from cji_client.job_folder import JobFolder, save_job
from cji_client.profile import ClientStorage
from cji_client.retry import RetryPolicy
from cji_client.seal import seal
from cji_client.spec import InputSpec, JobSpec
from cji_core.format.keys import PinnedKey, new_project_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.deidentify import Deidentify, HmacToken
from cji_core.operations.parameters import Parameters
from cji_core.pool.ticket import Ticket
from cji_simulator import Simulation
from tests.support.azurite import StorageCredential
from tests.support.fleet_storage import Storage
from tests.support.reference_pool import ReferencePool
from tests.support.sdk_server import KEK_ID

SUBMITTER = "spiffe://cji.example/agency/test"
PROJECT = new_project_key("study-17")
TOKENS = Deidentify(project="study-17", columns={"record_id": "keep", "last": HmacToken(domain="name"), "DOB": "keep"})
PEOPLE = pa.table({"record_id": ["007", "008"], "last": ["neumann", "painter"], "DOB": ["19151111", None]})


@dataclass(kw_only=True)
class Desk:
    """A submitter at a pool."""

    folder: Path
    storage: Storage
    pool: ReferencePool
    simulation: Simulation
    signing: ec.EllipticCurvePrivateKey
    recipient: rsa.RSAPrivateKey

    def settings(self, **changes: Any) -> ClientStorage:
        azurite = self.storage.azurite
        found = ClientStorage(blob_url=azurite.blob_url, queue_url=azurite.queue_url, ca_file=str(azurite.ca_file))
        return msgspec.structs.replace(found, **changes)

    def client(self, *, retry: RetryPolicy | None = None, **changes: Any) -> SyncFleetClient:
        return SyncFleetClient(self.settings(**changes), credential=StorageCredential(), retry=retry, **self.trust())

    def trust(self) -> dict[str, Any]:
        found = self.simulation
        return {"trust": found.trust, "reference": found.reference, "maa_url": found.maa_url}

    def save(
        self,
        name: str = "job",
        table: pa.Table = PEOPLE,
        *,
        shards: int = 1,
        operations: Sequence[Parameters] = (TOKENS,),
        **changes: Any,
    ) -> JobFolder:
        cmk = self.pool.worker.cmk.public_key()
        spec = JobSpec(
            audience="pool",
            originating_ori="CA0190000",
            requesting_ori="CA0190000",
            operator_id="jdoe",
            requestor="Jane Doe",
            reason="research extract",
            purpose_code="C",
            kek_id=KEK_ID,
            kek_thumbprint=key_id(cmk),
            recipients=(public_jwk(self.recipient.public_key()),),
            input=InputSpec(schema="person/1"),
            shards=shards,
            operations=tuple(operations),
        )
        kek = PinnedKey.check(KEK_ID, public_jwk(cmk), expected=key_id(cmk))
        job = seal(spec, kek=kek, signing_key=self.signing, project_key=PROJECT, **changes)
        return save_job(job, {"records": table}, self.folder / name, submitter=SUBMITTER)

    def submit(self, **changes: Any) -> tuple[JobFolder, Ticket]:
        job = self.save(**changes)
        self.client().submit(job)
        ticket = self.pool.ticket()
        assert ticket is not None
        return job, ticket

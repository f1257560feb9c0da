"""A pool's storage with jobs in it, and the desk of who deletes them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.retention.chain import Log
from cji_audit.retention.desk import Account, Desk, Maker
from cji_audit.retention.identity import principal_of
from cji_audit.retention.log import RetentionLog, local_documents
from cji_audit.retention.records import record_unverified
from cji_audit.retention.rules import Keep
from cji_audit.retention.store import SealedBlobs
from cji_core.format.job import JobId
from cji_core.jose import key_id
from cji_core.pool import names
from cji_core.pool.documents import Published, encode
from cji_core.pool.store import Blobs
from cji_core.trail.fields import utc_hundredths
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support import job_headers
from tests.support.azurite import StorageCredential
from tests.support.receipts import signed_receipt

ENDED: Final = datetime(2027, 12, 31, 12, 0, 0, tzinfo=UTC)
"""The next year is a leap year."""
KEEP: Final = Keep(input_days=7, result_days=60, proof_days=400)
CANARY: Final = b"KANARIENVOGEL-4711"
ATTEMPT: Final = "ab" * 16


class Put(Protocol):
    """How a blob gets into the storage."""

    def __call__(self, container: str, name: str, data: bytes, *, at: datetime | None = None) -> object: ...


def job_id(number: int) -> str:
    """The id of a job."""
    return f"{number:032x}"


def put_job(put: Put, number: int, *, ended: datetime = ENDED, receipt: bool = True) -> str:
    """A job by reference in the storage: two parts, a result, and its receipt. All parts are ciphertext."""
    job, began = job_id(number), ended - timedelta(minutes=5)
    header = job_headers.make(job_id=JobId(bytes.fromhex(job)), created=began, not_after=began + timedelta(hours=1))
    submission = pb.Submission(header=header, signature=b"s" * 96, submitter="metro-pd")
    put("jobs", names.header(job), submission.SerializeToString(), at=began)
    for part in range(2):
        put("jobs", names.part(job, part), CANARY + b"\x00" * 100, at=began)
    put("results", names.output(job, ATTEMPT, 0), CANARY + b"\x01" * 50, at=ended)
    if receipt:
        text = signed_receipt(job_id=job, ended=utc_hundredths(ended))
        put("results", names.receipt(job), encode(Published(attempt=ATTEMPT, receipt=text)), at=ended)
    return job


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Of one storage, for any number of desks, one after another."""

    account: Account
    records: Blobs

    @classmethod
    def of(cls, url: str, ca_file: Path) -> Self:
        options: dict[str, Any] = {"credential": StorageCredential(), "ca_file": str(ca_file)}
        account = Account(
            url=url,
            inputs=SealedBlobs(url, "jobs", **options),
            results=SealedBlobs(url, "results", **options),
            input_documents=Blobs(url, "jobs", **options),
            result_documents=Blobs(url, "results", **options),
        )
        return cls(account=account, records=Blobs(url, "retention", **options))


@dataclass(kw_only=True)
class Bench:
    """One or several desks on one storage."""

    clients: Clients
    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    clock: Callable[[], datetime] = lambda: datetime.max.replace(tzinfo=UTC)

    @property
    def keys(self) -> dict[str, Any]:
        return {key_id(self.key.public_key()): self.key.public_key()}

    def log(self, copy: str = "log") -> RetentionLog:
        return RetentionLog(self.clients.records, self.folder / copy, self.keys)

    def desk(self, copy: str = "log", *, keep: Keep = KEEP) -> Desk:
        maker = Maker(
            key=self.key, principal=principal_of(StorageCredential()), operator="jdoe", explanation="schedule 7"
        )
        return Desk(self.clients.account, self.log(copy), keep, maker, clock=self.clock)

    def state(self) -> Log:
        return self.log("reader").load()

    def text(self) -> str:
        """All records, readable."""
        found = self.log("text")
        found.load()
        records = [record_unverified(each) for each in local_documents(self.folder / "text")]
        return json.dumps(msgspec.to_builtins(records))

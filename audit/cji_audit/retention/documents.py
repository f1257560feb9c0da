"""The documents in a pool's storage that state how a job ended, as far as its retention needs them.

None of them is trusted: they name the job in the record of a deletion, and can only lengthen its time (`rules`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET, UnsetType

from cji_audit.errors import AuditError
from cji_audit.retention.rules import End
from cji_core.errors import Refusal
from cji_core.format.job import parse
from cji_core.pool import names
from cji_core.pool.documents import (
    RECEIPT_BYTES,
    SUBMISSION_BYTES,
    DocumentError,
    Failure,
    Published,
    decode,
    decode_submission,
)
from cji_core.pool.errors import BlobAbsentError, BlobTooLargeError
from cji_core.pool.store import Blobs
from cji_core.trail import ReceiptError, claims_unverified
from cji_core.trail.failures import failure_unverified
from cji_core.trail.receipts import receipt_sha384


class UnreadableError(AuditError):
    """A document of the job is not what its name says."""

    code = "job-document-unreadable"
    remedy = "Look at the blob. The account's lifecycle rule deletes it at its end, without a record."


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Their statements; UNSET and None without one."""

    end: End | None = None
    not_after: datetime | None = None
    header_sha384: str | UnsetType = UNSET
    receipt_sha384: str | UnsetType = UNSET
    failure_sha384: str | UnsetType = UNSET
    kek_id: str | UnsetType = UNSET


def read_documents(job: str, inputs: Blobs, results: Blobs) -> Documents:
    """Those of one job. Raises UnreadableError, StoreError."""
    try:
        header = _header(_blob(inputs, names.header(job), SUBMISSION_BYTES), job)
        failure = _failure(_blob(results, names.failure(job), RECEIPT_BYTES), job)
        receipt = _receipt(_blob(results, names.receipt(job), RECEIPT_BYTES), job)
    except (DocumentError, ReceiptError, Refusal, BlobTooLargeError, ValueError) as error:
        raise UnreadableError(f"a document of job {job} cannot be read") from error
    ends = [each.end for each in (receipt, failure) if each.end is not None]
    stated = (receipt, failure, header)
    return Documents(
        end=max(ends, key=lambda each: each.at, default=None),
        not_after=header.not_after,
        header_sha384=_first(each.header_sha384 for each in stated),
        receipt_sha384=receipt.receipt_sha384,
        failure_sha384=failure.failure_sha384,
        kek_id=_first(each.kek_id for each in stated),
    )


def _receipt(data: bytes | None, job: str) -> Documents:
    if data is None:
        return Documents()
    text = decode(data, Published).receipt
    claims = claims_unverified(text)
    _require(claims.job_id == job)
    return Documents(
        end=End(at=datetime.fromisoformat(claims.ended), by="receipt"),
        header_sha384=claims.header_sha384,
        receipt_sha384=receipt_sha384(text),
        kek_id=claims.kek_id,
    )


def _failure(data: bytes | None, job: str) -> Documents:
    if data is None:
        return Documents()
    text = decode(data, Failure).failure
    claims = failure_unverified(text)
    _require(claims.job_id == job)
    return Documents(
        end=End(at=datetime.fromisoformat(claims.failed), by="failure"),
        header_sha384=claims.header_sha384,
        failure_sha384=receipt_sha384(text),
    )


def _header(data: bytes | None, job: str) -> Documents:
    if data is None:
        return Documents()
    header = parse(decode_submission(data).header)
    _require(header.job_id.hex() == job)
    return Documents(not_after=header.not_after, header_sha384=header.sha384.hex(), kek_id=header.kek_id)


def _blob(blobs: Blobs, name: str, most: int) -> bytes | None:
    try:
        return blobs.read(name, most=most)
    except BlobAbsentError:
        return None


def _require(of_this_job: bool) -> None:
    if not of_this_job:
        raise DocumentError("it is of another job")


def _first(values: Iterable[str | UnsetType]) -> str | UnsetType:
    return next((each for each in values if each is not UNSET), UNSET)

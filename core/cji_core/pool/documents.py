"""The contents of the small blobs of a job: the submission as protobuf, the others as JSON.

Contract: each `decode` takes what the matching `encode` wrote, within its bound, and raises DocumentError for anything
else. What a document claims is established elsewhere: the header by its signature, receipts by theirs.
"""

import hashlib
from typing import Annotated, Final, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Meta

from cji_core import documents
from cji_core.digests import Hex32
from cji_core.errors import CoreError
from cji_core.format.job import LIMITS
from cji_core.strict import StrictError
from cji_core.wire.v1 import worker_pb2 as pb

SUBMITTER_CHARACTERS: Final = 512
SUBMISSION_BYTES: Final = LIMITS.header_bytes + LIMITS.signature_bytes + 4 * SUBMITTER_CHARACTERS + 64
RECEIPT_BYTES: Final = 80 << 10
PROGRESS_BYTES: Final = 1024
SOURCES_BYTES: Final = 1 << 20
EVIDENCE_BYTES: Final = 1 << 20
_EVIDENCE: Final = b"cji-reference/1\0"

Attempt = Hex32
_Jws = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z", max_length=64 << 10)]
T = TypeVar("T")


class DocumentError(CoreError):
    """A blob that is not what its name says."""

    code = "document-invalid"
    remedy = "Remove the blob, or restore it."


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far an attempt came; `at` in UTC, as in the audit trail."""

    attempt: Attempt
    stage: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
    per_cent: Annotated[int, Meta(ge=0, le=100)]
    at: Annotated[str, Meta(pattern=r"^[0-9TZ:.-]{20,32}\Z")]


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The receipt of a job, and the attempt under whose name its outputs are."""

    attempt: Attempt
    receipt: _Jws


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signed failure receipt of a job."""

    failure: _Jws


class Sources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The attempt under whose name each output part of a job in parts is, in the order of parts."""

    attempts: tuple[Attempt, ...]


def encode(document: Progress | Published | Failure | Sources) -> bytes:
    """The bytes of a JSON document."""
    return msgspec.json.encode(document)


def decode(data: bytes, kind: type[T]) -> T:
    """The document of this kind in `data`, which its reader has bounded. Raises DocumentError."""
    try:
        return documents.decode(data, kind, limit=len(data))
    except StrictError as error:
        raise DocumentError from error


def evidence_nonce(header_sha384: bytes) -> bytes:
    """The nonce (32 bytes) that the evidence beside a job's results answers.

    The header has a random job id, so evidence for its digest was made after the job was sealed.
    """
    return hashlib.sha256(_EVIDENCE + header_sha384).digest()


def decode_submission(data: bytes) -> pb.Submission:
    """The submission, within the limits of its members. Raises DocumentError."""
    try:
        found = pb.Submission.FromString(data)
    except DecodeError as error:
        raise DocumentError from error
    if not (
        0 < len(found.header) <= LIMITS.header_bytes
        and 0 < len(found.signature) <= LIMITS.signature_bytes
        and 0 < len(found.submitter) <= SUBMITTER_CHARACTERS
    ):
        raise DocumentError
    return found

"""The small blobs of a job in parts: which attempts of a task are published, its plan, the sources of its outputs.

A task may run several times, because machines die and streams get lost. Every attempt that ended well may be read, and
readers take the newest. Two nodes that publish at the same time do not lose one another: a list is replaced in the
version that was read.
"""

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.digests import Hex64
from cji_core.format.job import LIMITS
from cji_core.pool import names
from cji_core.pool.documents import Attempt, DocumentError, decode
from cji_core.pool.errors import BlobAbsentError, BlobChangedError
from cji_core.pool.store import Blobs, Version

MAX_ATTEMPTS: Final = 4  # those of which the keyholder takes statements
_ATTEMPTS_BYTES: Final = MAX_ATTEMPTS * 512
STATEMENT_BYTES: Final = LIMITS.segment_bytes
"""Of a statement, which the front takes in one message. One of a task with all possible streams is shorter."""
PLAN_BYTES: Final = STATEMENT_BYTES + (LIMITS.header_bytes << 2)
_READ_BYTES: Final = LIMITS.segment_bytes

_Digest = Hex64
_Count = Annotated[int, Meta(ge=0, le=2**62)]


class PublishedAttempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attempt whose streams and statement are in Blob Storage. Bytes are ciphertext."""

    attempt: Attempt
    statement_sha256: _Digest
    bytes_in: _Count
    bytes_out: _Count
    seconds: Annotated[float, Meta(ge=0)]


class Attempts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The attempts of a task, the newest first."""

    attempts: Annotated[tuple[PublishedAttempt, ...], Meta(min_length=1, max_length=MAX_ATTEMPTS)]


class PublishedPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan, the attempt that made it, and how many plans of the job there have been."""

    number: Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)]
    plan: Annotated[bytes, Meta(max_length=LIMITS.header_bytes << 1)]
    by: PublishedAttempt
    statement: Annotated[str, Meta(max_length=STATEMENT_BYTES)]


def attempts(blobs: Blobs, name: str) -> tuple[PublishedAttempt, ...]:
    """The published attempts of a task, the newest first; none if there are none. Raises StoreError, DocumentError."""
    try:
        return _read(blobs, name)[0]
    except BlobAbsentError:
        return ()


def publish(blobs: Blobs, name: str, new: PublishedAttempt, *, again: bool) -> PublishedAttempt:
    """Publish an attempt; returns the one that readers take, which is another if one was there and not `again`.

    Raises StoreError, DocumentError.
    """
    while not blobs.create(name, _encoded((new,))):
        found, version = _read(blobs, name)
        if new in found or not again or len(found) == MAX_ATTEMPTS:  # in: the answer to its own write was lost
            return found[0]
        if blobs.replace(name, version, _encoded((new, *found))):
            break
    return new


def _read(blobs: Blobs, name: str) -> tuple[tuple[PublishedAttempt, ...], Version]:
    """The attempts, in the version that was read. A list changes MAX_ATTEMPTS times at most, so this ends."""
    for _ in range(MAX_ATTEMPTS + 1):
        version = blobs.version(name)
        try:
            data = blobs.read_range(name, version, offset=0, length=min(version.size, _ATTEMPTS_BYTES))
        except BlobChangedError:
            continue
        return decode(data, Attempts).attempts, version
    raise DocumentError


def read_long(blobs: Blobs, name: str, *, most: int) -> bytes:
    """A whole blob of up to `most` bytes, in several ranges. Raises StoreError, DocumentError."""
    version = blobs.version(name)
    if version.size > most:
        raise DocumentError
    starts = range(0, version.size, _READ_BYTES)
    return b"".join(
        blobs.read_range(name, version, offset=at, length=min(_READ_BYTES, version.size - at)) for at in starts
    )


def read_plan(blobs: Blobs, job: str) -> PublishedPlan | None:
    """The plan of a job; None before there is one. Raises StoreError, DocumentError."""
    try:
        return decode(read_long(blobs, names.plan(job), most=PLAN_BYTES), PublishedPlan)
    except BlobAbsentError:
        return None


def digest(statement: str) -> str:
    """SHA-256 of a statement or receipt, as answers to the engine have it."""
    return hashlib.sha256(statement.encode("ascii")).hexdigest()


def _encoded(found: tuple[PublishedAttempt, ...]) -> bytes:
    return msgspec.json.encode(Attempts(attempts=found))

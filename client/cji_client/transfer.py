"""Bytes of a job between this machine and Blob Storage, in blocks and ranges; nothing here looks into them."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from cji_client.errors import SpecError, StorageRefused, Unreachable, Unverified
from cji_client.job_folder import JobFolder
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_core.format.envelope import FLOE_HEADER_BYTES, SEGMENT_BYTES
from cji_core.pool import names
from cji_core.pool.documents import RECEIPT_BYTES, DocumentError, decode
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError, StoreError
from cji_core.pool.store import Blobs

_MIB: Final = 1 << 20
_BLOCK: Final = 4 * _MIB
_MAX_BLOCKS: Final = 50_000
T = TypeVar("T")


def upload(
    blobs: Blobs,
    job: JobFolder,
    number: int,
    *,
    begin: Callable[[], None],
    progress: ProgressCallback | None,
    before: int,
) -> None:
    """Upload one part unless it is there; blocks of an earlier attempt are kept. Raises StoreError, SpecError, OSError.

    Nothing is committed unless the file has the digest that the part had when it was sealed.

    `before` bytes of the job were sent before this part. `begin` is called before its first byte is sent, or once the
    part is found.
    """
    name, path, size = names.part(job.header.job_id.hex(), number), job.part(number), job.sent[number].bytes
    there = _there(blobs, name, size)
    staged = {} if there else blobs.staged(name)
    begin()
    if not there:
        block, digest = block_bytes(size), hashlib.sha256()
        with path.open("rb") as file:
            for index, start in enumerate(range(0, size, block)):
                data = file.read(min(block, size - start))
                digest.update(data)
                if staged.get(index) != len(data):
                    blobs.stage(name, index, data)
                if progress is not None:
                    progress(Progress(phase=Phase.SENDING, bytes=before + start + len(data)))
        if digest.hexdigest() != job.sent[number].sha256:
            raise SpecError(f"{path} has changed", remedy="Seal the records again, into a new folder.")
        try:
            blobs.commit(name, -(-size // block), size=size)
        except BlobChangedError:  # it is there: the answer to an earlier call was lost
            if not _there(blobs, name, size):
                raise
    if progress is not None:
        progress(Progress(phase=Phase.SENDING, bytes=before + size))


def block_bytes(size: int) -> int:
    """The length of the blocks of a blob of this length: 4 MiB, or as many whole MiB as 50 000 blocks need."""
    return max(_BLOCK, -(-size // (_MAX_BLOCKS * _MIB)) * _MIB)


def segments(blobs: Blobs, name: str, most: int) -> Iterator[bytes]:
    """The segments of a stream of `most` bytes at most, the FLOE header before the first.

    Raises StoreError, Unverified.
    """
    try:
        version = blobs.version(name)
        if version.size > most:
            raise Unverified("outputs", "an output is longer than the receipt states")
        size, start, length = version.size, 0, FLOE_HEADER_BYTES + SEGMENT_BYTES
        while start < size:
            length = min(length, size - start)
            yield blobs.read_range(name, version, offset=start, length=length)
            start, length = start + length, SEGMENT_BYTES
    except (BlobAbsentError, BlobChangedError):
        raise Unverified("outputs", "an output is not there, or changed while it was read") from None


def read_blob(blobs: Blobs, name: str, most: int) -> bytes:
    """A small blob that belongs to a receipt. Raises StoreError; Unverified if it is missing or too long."""
    try:
        return blobs.read(name, most=most)
    except (BlobAbsentError, BlobChangedError, BlobTooLargeError):
        kind = name.rpartition("/")[2] if "/evidence/" not in name else "evidence"
        raise Unverified(kind, "it is not beside the receipt, or is too long") from None


def document(blobs: Blobs, name: str, kind: type[T], *, most: int = RECEIPT_BYTES) -> T | None:
    """A document beside the results, None if there is none. Raises StoreError, Unverified."""
    try:
        return decode(blobs.read(name, most=most), kind)
    except BlobAbsentError:
        return None
    except (DocumentError, BlobChangedError, BlobTooLargeError):
        raise Unverified(name.rpartition("/")[2], "the document beside the results cannot be read") from None


def explained(error: StoreError) -> StorageRefused | Unreachable:
    """The error with a remedy for the submitter."""
    match error.status:
        case 401:
            remedy = "Sign in with an identity of Microsoft Entra, or set the variables of a service principal."
        case 403:
            remedy = (
                "Ask the pool's operator for the roles of a submitter, and reach the account over its private endpoint."
            )
        case 404:
            remedy = "Compare [storage] in the profile with the account's containers and queues."
        case _:
            return Unreachable(
                f"Azure Storage: {error}", remedy="Check the network and the addresses in [storage], then try again."
            )
    return StorageRefused(f"Azure Storage: {error}", status=error.status, remedy=remedy)


def _there(blobs: Blobs, name: str, size: int) -> bool:
    """Whether the part is there. SpecError if it is another one."""
    try:
        found = blobs.version(name).size
    except BlobAbsentError:
        return False
    if found != size:
        raise SpecError("another job has this id", remedy="Seal the records again, into a new folder.")
    return True

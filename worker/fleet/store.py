"""Blob and Queue Storage behind typed functions, by Microsoft's clients.

Contract and invariants
* Account, containers and queues come from the configuration; a name in a container from `names`.
* Every exchange has an end and every answer a bound. A service that is away is tried three times, then StoreAwayError.
* A blob is read by ranges of one version: one that changes meanwhile is BlobChangedError.
* `create` is create-if-absent: of many callers exactly one gets True. A caller whose answer was lost may get False for
  its own blob, so it reads what is there.

An object serves one thread. Sources: REST API of Azure Storage, Put Blob, Get Blob, Put Block List, Get Messages.
"""

import base64
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, ContainerClient
from azure.storage.queue import QueueClient

from worker.azure_client import AudienceCredential, client_options
from worker.errors import StartupError
from worker.fleet.errors import (
    BlobAbsentError,
    BlobChangedError,
    BlobTooLargeError,
    LeaseLostError,
    StoreAwayError,
    StoreError,
)
from worker.https import SYSTEM_ROOTS
from worker.job import LIMITS

__all__ = [
    "AUDIENCE",
    "BlobAbsentError",
    "BlobChangedError",
    "BlobTooLargeError",
    "Blobs",
    "LeaseLostError",
    "Message",
    "Queue",
    "QueueState",
    "StoreAwayError",
    "StoreError",
    "Version",
]

AUDIENCE: Final = "https://storage.azure.com"
EXCHANGE_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
_TRIES: Final = 3
_PAUSE_S: Final = 0.2
_CLIENT_ERRORS: Final = range(400, 500)
_BUSY: Final = frozenset({408, 429})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a blob: its length in bytes, and its entity tag."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A leased message; `tries` counts the leases of this message until now, this one included.

    `sent` is when it was sent, in Unix seconds.
    """

    id: str
    pop_receipt: str
    text: str
    tries: int
    sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """About how many messages there are, and the age of the oldest visible one in seconds, 0 if there is none."""

    length: int
    oldest_seconds: int


class _Service:
    def __init__(self, ca_file: str | None, *, seconds: float) -> None:
        try:
            self.options = client_options(ca_file or SYSTEM_ROOTS, seconds=seconds, limit=MAX_ANSWER_BYTES)
        except OSError as error:
            raise StartupError(
                "The authorities of Azure Storage cannot be read", "Name a readable PEM file as ca_file."
            ) from error


class Blobs:
    """The blobs of one container."""

    def __init__(
        self,
        account_url: str,
        container: str,
        *,
        credential: TokenCredential,
        ca_file: str | None = None,
        seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """`credential` makes tokens for Azure Storage; no other audience is asked of it. Raises StartupError."""
        options = _Service(ca_file, seconds=seconds).options
        pinned = AudienceCredential(credential, AUDIENCE)
        self._container = ContainerClient(account_url, container, credential=pinned, **options)

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def version(self, name: str) -> Version:
        """The newest version. Raises BlobAbsentError, StoreAwayError."""
        found = _tried("blob", lambda: self._container.get_blob_client(name).get_blob_properties())
        return Version(int(found.size), str(found.etag))

    def exists(self, name: str) -> bool:
        """Whether there is such a blob. Raises StoreAwayError."""
        try:
            self.version(name)
        except BlobAbsentError:
            return False
        return True

    def read(self, name: str, *, most: int) -> bytes:
        """A whole small blob. Raises BlobAbsentError, BlobTooLargeError, BlobChangedError, StoreAwayError."""
        version = self.version(name)
        if version.size > most:
            raise BlobTooLargeError(f"a blob has {version.size} bytes")
        return self.read_range(name, version, offset=0, length=version.size)

    def read_range(self, name: str, version: Version, *, offset: int, length: int) -> bytes:
        """These bytes of this version. Raises BlobAbsentError, BlobChangedError, StoreAwayError."""
        if not length:
            return b""

        def download() -> bytes:
            stream = self._container.get_blob_client(name).download_blob(
                offset=offset,
                length=length,
                etag=version.etag,
                match_condition=MatchConditions.IfNotModified,
                max_concurrency=1,
            )
            return bytes(stream.readall())

        data = _tried("blob", download)
        if len(data) != length:
            raise BlobChangedError("a blob is shorter than before")
        return data

    def create(self, name: str, data: bytes) -> bool:
        """Create a small blob if there is none of this name; whether it was created. Raises StoreAwayError."""
        try:
            _tried("blob", lambda: self._container.get_blob_client(name).upload_blob(data, overwrite=False))
        except BlobChangedError:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a small blob. Raises StoreAwayError."""
        _tried("blob", lambda: self._container.get_blob_client(name).upload_blob(data, overwrite=True))

    def stage(self, name: str, number: int, data: bytes | memoryview) -> None:
        """Add block `number` of a blob that `commit` will create. Raises StoreAwayError."""
        blob = self._container.get_blob_client(name)
        _tried("blob", lambda: blob.stage_block(_block(number), bytes(data), length=len(data)))

    def replace(self, name: str, version: Version, data: bytes) -> bool:
        """Replace a small blob in this version; whether it was still that. Raises StoreAwayError."""
        blob = self._container.get_blob_client(name)
        try:
            _tried(
                "blob",
                lambda: blob.upload_blob(
                    data, overwrite=True, etag=version.etag, match_condition=MatchConditions.IfNotModified
                ),
            )
        except BlobChangedError:
            return False
        return True

    def staged(self, name: str) -> dict[int, int]:
        """The lengths of the blocks that were added and not committed, by number. Raises StoreAwayError."""
        try:
            found = _tried("blob", lambda: self._container.get_blob_client(name).get_block_list("uncommitted")[1])
        except BlobAbsentError:
            return {}
        return {int(base64.b64decode(block.id)): int(block.size) for block in found}

    def commit(self, name: str, count: int) -> None:
        """Create a blob of the blocks 0 to `count` - 1. Raises BlobChangedError if it is there, StoreAwayError."""
        self.commit_in_order(name, range(count))

    def commit_in_order(self, name: str, numbers: Iterable[int]) -> None:
        """Create a blob of these blocks, in this order. Raises BlobChangedError if it is there, StoreAwayError."""
        blocks = [BlobBlock(_block(number)) for number in numbers]
        blob = self._container.get_blob_client(name)
        _tried("blob", lambda: blob.commit_block_list(blocks, if_none_match="*"))


class Queue:
    """One queue."""

    def __init__(
        self,
        account_url: str,
        name: str,
        *,
        credential: TokenCredential,
        ca_file: str | None = None,
        seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """`credential` makes tokens for Azure Storage; no other audience is asked of it. Raises StartupError."""
        options = _Service(ca_file, seconds=seconds).options
        self._queue = QueueClient(account_url, name, credential=AudienceCredential(credential, AUDIENCE), **options)

    def close(self) -> None:
        """Close the connections."""
        self._queue.close()

    def send(self, text: str, *, delay: float = 0.0) -> None:
        """Add a message that is visible after `delay` seconds, for ever. Raises StoreAwayError."""
        _tried("queue", lambda: self._queue.send_message(text, visibility_timeout=int(delay), time_to_live=-1))

    def receive(self, *, lease: int) -> Message | None:
        """Lease the next message for `lease` seconds; None if none is visible. Raises StoreAwayError."""
        found = _tried("queue", lambda: self._queue.receive_message(visibility_timeout=lease))
        return None if found is None else _message(found)

    def renew(self, message: Message, *, lease: float) -> Message:
        """Lease it for `lease` seconds from now; 0 gives it back. Raises LeaseLostError, StoreAwayError."""
        receipt = message.pop_receipt
        found = _tried("ticket", lambda: self._queue.update_message(message.id, receipt, visibility_timeout=int(lease)))
        return replace(message, pop_receipt=str(found.pop_receipt))

    def delete(self, message: Message) -> None:
        """Remove a message that this object leased last. Raises LeaseLostError, StoreAwayError."""
        _tried("ticket", lambda: self._queue.delete_message(message.id, message.pop_receipt))

    def state(self) -> QueueState:
        """Length and age. Raises StoreAwayError."""
        found = _tried("queue", self._queue.get_queue_properties)
        oldest = _tried("queue", lambda: self._queue.peek_messages(max_messages=1))
        age = 0.0
        if oldest and isinstance(since := oldest[0].inserted_on, datetime):
            age = (datetime.now(UTC) - since).total_seconds()
        return QueueState(length=int(found.approximate_message_count or 0), oldest_seconds=max(0, int(age)))


def _message(found: Any) -> Message:
    text = found.content if isinstance(found.content, str) else ""
    sent = int(found.inserted_on.timestamp()) if isinstance(found.inserted_on, datetime) else 0
    tries = int(found.dequeue_count or 1)
    return Message(id=str(found.id), pop_receipt=str(found.pop_receipt), text=text, tries=tries, sent=sent)


def _block(number: int) -> str:
    """All ids of one blob have the same length."""
    return base64.b64encode(b"%08d" % number).decode()


def _tried(what: str, ask: Callable[[], T]) -> T:
    """The answer; asked again while the service is away. `what` is a blob, a queue or a leased ticket."""
    for number in range(1, _TRIES + 1):
        try:
            return ask()
        except AzureError as error:
            found = _error(what, error)
            if not isinstance(found, StoreAwayError) or _is_final(error) or number == _TRIES:
                raise found from error
        time.sleep(_PAUSE_S * 2 ** (number - 1))
    raise AssertionError  # the loop returns or raises


def _is_final(error: AzureError) -> bool:
    """Whether asking again at once is of no use."""
    status = getattr(error, "status_code", None) or 0
    return status in _CLIENT_ERRORS and status not in _BUSY


def _error(what: str, error: AzureError) -> StoreError:
    status = int(error.status_code or 0) if isinstance(error, HttpResponseError) else 0
    if what == "ticket" and status in {400, 404}:  # PopReceiptMismatch, MessageNotFound
        return LeaseLostError(f"{what}: its lease is lost (HTTP {status})")
    if what == "blob" and isinstance(error, ResourceNotFoundError) and _code(error) != "ContainerNotFound":
        return BlobAbsentError("blob: it is not there")
    if what == "blob" and (isinstance(error, ResourceModifiedError | ResourceExistsError) or status == 416):
        return BlobChangedError(f"blob: it is another one (HTTP {status})")
    if status:
        return StoreAwayError(f"{what}: the service refuses or fails (HTTP {status})", status=status)
    if isinstance(error, ClientAuthenticationError):
        return StoreAwayError(f"{what}: no token", status=401)
    return StoreAwayError(f"{what}: the service does not answer ({type(error).__name__})")


def _code(error: HttpResponseError) -> str:
    return str(getattr(error, "error_code", "") or "")

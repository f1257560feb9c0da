"""Blobs behind typed functions, by Microsoft's client.

Contract and invariants
* Account and container come from the configuration; a name in a container from `names`.
* Every exchange has an end and every answer a bound. A service that is away is tried three times, then StoreAwayError.
* A blob is read by ranges of one version: one that changes meanwhile is BlobChangedError.
* `create` is create-if-absent: of many callers exactly one gets True. A caller whose answer was lost may get False for
  its own blob, so it reads what is there.

An object serves one thread. Sources: REST API of Azure Storage, Put Blob, Get Blob, Put Block List.
"""

import base64
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.storage.blob import BlobBlock, ContainerClient

from cji_core.audiences import STORAGE
from cji_core.azure_client import AudienceCredential
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, BlobTooLargeError, StoreAwayError
from cji_core.pool.exchange import EXCHANGE_SECONDS, bounded, tried
from cji_core.strict import b64_decode

MAX_BLOCKS: Final = 50_000
"""Of one blob: Put Block List."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a blob: its length in bytes, and its entity tag."""

    size: int
    etag: str


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
        options = bounded(ca_file, seconds=seconds)
        pinned = AudienceCredential(credential, STORAGE)
        self.date: datetime | None = None
        """The time of the service's last answer, by its own clock."""
        self._container = ContainerClient(
            account_url, container, credential=pinned, raw_response_hook=self._note_date, **options
        )

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def _note_date(self, response: Any) -> None:
        self.date = None
        with contextlib.suppress(KeyError, ValueError, TypeError):
            self.date = parsedate_to_datetime(response.http_response.headers["Date"]).astimezone(UTC)

    def version(self, name: str) -> Version:
        """The newest version. Raises BlobAbsentError, StoreAwayError."""
        found = tried("blob", lambda: self._container.get_blob_client(name).get_blob_properties())
        if found.size is None:
            raise StoreAwayError("blob: the service does not state its size")
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

        data = tried("blob", download)
        if len(data) != length:
            raise BlobChangedError("a blob is shorter than before")
        return data

    def create(self, name: str, data: bytes) -> bool:
        """Create a small blob if there is none of this name; whether it was created. Raises StoreAwayError."""
        try:
            tried("blob", lambda: self._container.get_blob_client(name).upload_blob(data, overwrite=False))
        except BlobChangedError:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """Create or replace a small blob. Raises StoreAwayError."""
        tried("blob", lambda: self._container.get_blob_client(name).upload_blob(data, overwrite=True))

    def stage(self, name: str, number: int, data: bytes | memoryview) -> None:
        """Add block `number` of a blob that `commit` will create. Raises StoreAwayError."""
        blob = self._container.get_blob_client(name)
        tried("blob", lambda: blob.stage_block(_block(number), bytes(data), length=len(data)))

    def replace(self, name: str, version: Version, data: bytes) -> bool:
        """Replace a small blob in this version; whether it was still that. Raises StoreAwayError."""
        blob = self._container.get_blob_client(name)
        try:
            tried(
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
            found = tried("blob", lambda: self._container.get_blob_client(name).get_block_list("uncommitted")[1])
        except BlobAbsentError:
            return {}
        return {int(b64_decode(block.id)): int(block.size) for block in found}

    def commit(self, name: str, count: int, *, size: int) -> None:
        """Create a blob of the blocks 0 to `count` - 1, as `commit_in_order`."""
        self.commit_in_order(name, range(count), size=size)

    def commit_in_order(self, name: str, numbers: Iterable[int], *, size: int) -> None:
        """Create a blob of these blocks, in this order; they have `size` bytes. The name must be the caller's alone.

        So a blob of this size that is there is the caller's, and the answer was lost. Raises BlobChangedError if it is
        of another size, StoreAwayError.
        """
        blocks = [BlobBlock(_block(number)) for number in numbers]
        blob = self._container.get_blob_client(name)
        try:
            tried("blob", lambda: blob.commit_block_list(blocks, if_none_match="*"))
        except BlobChangedError:
            if self.version(name).size != size:
                raise


def _block(number: int) -> str:
    """All ids of one blob have the same length."""
    return base64.b64encode(b"%08d" % number).decode()

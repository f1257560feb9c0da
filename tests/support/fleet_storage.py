"""Azurite as a pool has it: the containers and queues of a configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from tests.support.azurite import Azurite, StorageCredential, azurite

CONTAINERS: Final = ("jobs", "results", "ledger", "floors", "shuffle")
QUEUES: Final = ("jobs", "jobs-poison")


@dataclass(frozen=True, slots=True)
class Storage:
    """A running emulator with all containers and queues."""

    azurite: Azurite

    def blobs(self, container: str) -> Blobs:
        """One container."""
        return Blobs(
            self.azurite.blob_url, container, credential=StorageCredential(), ca_file=str(self.azurite.ca_file)
        )

    def queue(self, name: str = "jobs") -> Queue:
        """One queue."""
        return Queue(self.azurite.queue_url, name, credential=StorageCredential(), ca_file=str(self.azurite.ca_file))

    def all(self, container: str, *, under: str = "") -> dict[str, bytes]:
        """Every blob of a container whose name begins so, by name."""
        with self._blobs() as blobs:
            found = blobs.get_container_client(container)
            return {each: found.download_blob(each).readall() for each in found.list_blob_names(name_starts_with=under)}

    def delete(self, container: str, name: str) -> None:
        """Delete a blob, as the submitter may."""
        with self._blobs() as blobs:
            blobs.get_blob_client(container, name).delete_blob()

    def clear(self) -> None:
        """Remove every message; blobs of other jobs do not matter."""
        for name in QUEUES:
            self._queues().get_queue_client(name).clear_messages()

    def _queues(self) -> QueueServiceClient:
        return QueueServiceClient(
            self.azurite.queue_url, credential=StorageCredential(), connection_verify=str(self.azurite.ca_file)
        )

    def _blobs(self) -> BlobServiceClient:
        return BlobServiceClient(
            self.azurite.blob_url, credential=StorageCredential(), connection_verify=str(self.azurite.ca_file)
        )

    def create(self) -> None:
        """Make containers and queues."""
        with self._blobs() as blobs, self._queues() as queues:
            for name in CONTAINERS:
                blobs.create_container(name)
            for name in QUEUES:
                queues.create_queue(name)


@contextmanager
def pool_storage(folder: Path) -> Iterator[Storage]:
    """A new emulator; `folder` gets its certificate and log."""
    with azurite(folder) as running:
        storage = Storage(running)
        storage.create()
        yield storage

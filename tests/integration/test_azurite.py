"""The emulator that tests of the fleet use: TLS, tokens, and a blob that is created once."""

from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.support.azurite import StorageCredential, azurite


def test_a_blob_is_created_once_and_a_ticket_handed_out(tmp_path: Path) -> None:
    """What the ledger and the tickets need of Azure Storage."""
    with azurite(tmp_path) as server:
        options: dict[str, Any] = {"credential": StorageCredential(), "connection_verify": str(server.ca_file)}
        with BlobServiceClient(server.blob_url, **options) as blobs:
            blobs.create_container("ledger").upload_blob("a", b"1")
            with pytest.raises(ResourceExistsError):
                blobs.get_blob_client("ledger", "a").upload_blob(b"2")
        with QueueServiceClient(server.queue_url, **options) as queues:
            queue = queues.create_queue("jobs")
            queue.send_message("ticket")
            received = queue.receive_message()
            assert received is not None
            assert received.content == "ticket"
        options["credential"] = None
        with BlobServiceClient(server.blob_url, **options) as nobody, pytest.raises(HttpResponseError):
            nobody.get_blob_client("ledger", "a").download_blob()

"""A storage with versions, soft delete and legal holds, and a desk beside it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.blob_service import BlobService, blob_service
from tests.support.retention_desk import ENDED, Bench, Clients


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobService]:
    """One server for all tests of these files."""
    with blob_service(tmp_path_factory.mktemp("blobs"), ENDED) as found:
        yield found


@pytest.fixture
def service(running: BlobService) -> BlobService:
    """Empty, a week and a minute after the jobs ended."""
    running.blobs.clear()
    running.requests.clear()
    running.before = lambda _method, _path: None
    running.versioned, running.now = True, ENDED + timedelta(days=7, minutes=1)
    return running


@pytest.fixture(scope="session")
def clients(running: BlobService) -> Clients:
    return Clients.of(running.url, running.ca_file)


@pytest.fixture
def bench(service: BlobService, clients: Clients, tmp_path: Path) -> Bench:
    assert service.url == clients.account.url
    return Bench(clients=clients, folder=tmp_path)

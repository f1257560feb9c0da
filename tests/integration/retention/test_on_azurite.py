"""A run against Azurite, which has no versions, soft delete or legal holds: what an account without them does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from msgspec import UNSET

from cji_audit.retention import desk
from cji_core.pool.errors import StoreError
from tests.support.azurite import StorageCredential, azurite
from tests.support.retention_desk import Bench, Clients, put_job


def test_a_run_without_versions_and_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with azurite(tmp_path) as server:
        options: dict[str, Any] = {"credential": StorageCredential(), "connection_verify": str(server.ca_file)}
        with BlobServiceClient(server.blob_url, **options) as blobs:
            for name in ("jobs", "results", "retention"):
                blobs.create_container(name)

            def put(container: str, name: str, data: bytes, *, at: datetime | None = None) -> object:
                assert at is not None  # Azurite has its own clock
                return blobs.get_blob_client(container, name).upload_blob(data)

            job = put_job(put, 1, ended=datetime.now(UTC) - timedelta(days=30))
            blobs.get_blob_client("jobs", f"{job}/parts/00001").create_snapshot()
            bench = Bench(clients=Clients.of(server.blob_url, server.ca_file), folder=tmp_path)
            assert bench.desk().run().deletions == {}, "the blobs are new, whatever the receipt states"
            with pytest.raises(StoreError) as raised:
                bench.desk().hold("4711", [job])
            assert raised.value.status == 501
            assert bench.state().size == 0
            monkeypatch.setattr(desk, "earlier", lambda service, _: service + timedelta(days=8))
            (deletion, deleted), *_ = bench.desk().run().deletions.values()
            assert not list(blobs.get_container_client("jobs").list_blobs(include=["snapshots"]))
    assert (deletion.job, len(deletion.blobs)) == (job, 4)
    assert {(each.state, each.recoverable_until) for each in deleted.outcomes} == {("deleted", UNSET)}

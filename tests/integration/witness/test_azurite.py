"""The blob witness against Azurite, Microsoft's emulator.

Azurite has no immutability policies: it is refused first, and its answer about the container is then replaced.
"""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from cji_core.trail import ChainError
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.witnesses.blob import BlobWitness
from cji_core.trail.witnesses.destination import WitnessDestination
from cji_core.trail.witnesses.keys import read_keys
from cji_core.trail.witnesses.settings import BlobTable
from tests.support.azurite import StorageCredential, azurite
from tests.support.witness_trails import Trail, keys_folder

pytestmark = pytest.mark.slow


class Protected(BlobWitness):
    """As if the container had a policy."""

    def _require_protection(self) -> None:
        pass


@pytest.fixture
def table(tmp_path: Path) -> Iterator[BlobTable]:
    with azurite(tmp_path) as server:
        ca = str(server.ca_file)
        with ContainerClient(server.blob_url, "audit", credential=StorageCredential(), connection_verify=ca) as made:
            made.create_container()
        yield BlobTable(name="blob", account_url=server.blob_url, container="audit", ca_file=ca)


def test_the_blob_witness_with_azurite(tmp_path: Path, table: BlobTable) -> None:
    trail = Trail(path=tmp_path / "audit.log").write(5)
    trail.checkpoint()
    keys = keys_folder(tmp_path / "keys", [trail.key])

    def destination(kind: type[BlobWitness]) -> WitnessDestination:
        return WitnessDestination(
            kind(table, identity=lambda _: StorageCredential()),
            name="blob",
            trail=trail.path,
            records=tmp_path / "state",
            keys=partial(read_keys, keys),
            interval=0,
        )

    with pytest.raises(DeliveryError, match="neither an immutability policy nor a legal hold"):
        destination(BlobWitness).advance()
    made = destination(Protected)
    assert made.advance().seq == 5
    trail.write(5).checkpoint()
    assert made.advance().seq == 11
    shutil.rmtree(tmp_path / "state")
    assert destination(Protected).advance().seq == 11  # the blob is there, and equal
    shutil.rmtree(tmp_path / "state")
    trail = trail.restore(7)
    with pytest.raises(ChainError, match="the witness has a checkpoint of 11 lines"):
        destination(Protected).advance()

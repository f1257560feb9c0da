"""The blob witness against Azurite, Microsoft's emulator, where `CJI_AZURITE` names its folder of node modules.

Azurite has no immutability policies: it is refused first, and its answer about the container is then replaced.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.witness_services import Authority, private_pem
from tests.support.witness_trails import Trail, keys_folder
from worker.audit import ChainError
from worker.audit.delivery import DeliveryError
from worker.audit.witnesses.blob import BlobWitness
from worker.audit.witnesses.destination import WitnessDestination
from worker.audit.witnesses.keys import read_keys
from worker.audit.witnesses.settings import BlobTable

MODULES: Final = os.environ.get("CJI_AZURITE")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MODULES is None, reason="CJI_AZURITE does not name Azurite's node modules"),
]


class Protected(BlobWitness):
    """As if the container had a policy."""

    def _require_protection(self) -> None:
        pass


@dataclass(frozen=True)
class EntraToken:
    """What Azurite looks at in a token; nobody signed it."""

    seconds: int = field(default_factory=lambda: int(time.time()))

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        now = self.seconds
        tenant = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"
        claims = {"aud": "https://storage.azure.com", "iss": tenant, "nbf": now - 60, "iat": now, "exp": now + 3600}
        parts = ({"alg": "RS256", "typ": "JWT"}, claims)
        text = ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts)
        return AccessToken(f"{text}.c2ln", now + 3600)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def table(tmp_path: Path) -> Iterator[BlobTable]:
    authority, key = Authority(name="azurite"), ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "tls.pem").write_text(authority.issue("127.0.0.1", key.public_key()))
    (tmp_path / "tls.key").write_bytes(private_pem(key))
    port = _free_port()
    server = subprocess.Popen(
        [
            "node", f"{MODULES}/azurite/dist/src/blob/main.js", "--silent", "--inMemoryPersistence",
            "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--oauth", "basic",
            "--cert", str(tmp_path / "tls.pem"), "--key", str(tmp_path / "tls.key"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert any("successfully listen" in line for line in server.stdout)
        url = f"https://127.0.0.1:{port}/devstoreaccount1"
        with ContainerClient(url, "audit", credential=EntraToken(), connection_verify=str(tmp_path / "ca.pem")) as made:
            made.create_container()
        yield BlobTable(name="blob", account_url=url, container="audit", ca_file=str(tmp_path / "ca.pem"))
    finally:
        server.kill()
        server.wait(30)


def test_the_blob_witness_with_azurite(tmp_path: Path, table: BlobTable) -> None:
    trail = Trail(path=tmp_path / "audit.log").write(5)
    trail.checkpoint()
    keys = keys_folder(tmp_path / "keys", [trail.key])

    def destination(kind: type[BlobWitness]) -> WitnessDestination:
        return WitnessDestination(
            kind(table, identity=lambda _: EntraToken()),
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

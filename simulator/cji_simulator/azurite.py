"""Azurite, the emulator of Blob and Queue Storage, on loopback with TLS and tokens; `make setup` installs it."""

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_simulator.certificates import authority, leaf

__all__ = ["ACCOUNT", "Azurite", "StorageCredential", "azurite"]

ACCOUNT: Final = "devstoreaccount1"
_PROGRAM: Final = Path(__file__).resolve().parents[2] / ".azurite" / "node_modules" / ".bin" / "azurite"
_LISTENING: Final = re.compile(rb"Azurite (Blob|Queue) service is successfully listening at (https://127\.0\.0\.1:\d+)")
_SECONDS: Final = 60.0


class StorageCredential:
    """Tokens for Azure Storage as Microsoft Entra forms them. Azurite reads their claims and verifies no signature."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for an hour, for the audience of the one scope."""
        (scope,) = scopes
        now = int(time.time())
        claims = {
            "aud": scope.removesuffix("/.default"),
            "iss": "https://sts.windows.net/11111111-1111-4111-8111-111111111111/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 3600,
            "oid": "22222222-2222-4222-8222-222222222222",
            "tid": "11111111-1111-4111-8111-111111111111",
        }
        parts = ({"alg": "RS256", "typ": "JWT"}, claims, "unsigned")
        encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        return AccessToken(".".join(encoded), now + 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Azurite:
    """A running emulator: the addresses of its one account, and the file with the authority of its certificate."""

    blob_url: str
    queue_url: str
    ca_file: Path
    process: "subprocess.Popen[bytes]"


@contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """An emulator that keeps everything in memory, until the block ends. `folder` gets its certificate and log."""
    folder = folder.resolve()  # it becomes the working folder of the emulator
    ca = authority("Azurite's authority", rsa.generate_private_key(65537, 2048))
    server = leaf("localhost", rsa.generate_private_key(65537, 2048), ca, hosts=("localhost", "127.0.0.1"))
    server.save(folder / "azurite")
    ca.save(folder / "azurite-ca")
    log = folder / "azurite.log"
    arguments = [
        *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--oauth", "basic"),
        *("--blobHost", "127.0.0.1", "--blobPort", "0", "--queueHost", "127.0.0.1", "--queuePort", "0"),
        *("--tableHost", "127.0.0.1", "--tablePort", "0"),
        *("--cert", str(folder / "azurite.pem"), "--key", str(folder / "azurite.key")),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_PROGRAM, *arguments], cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=_environment()
        )
    try:
        found = _listening(process, log)
        yield Azurite(
            blob_url=f"{found[b'Blob']}/{ACCOUNT}",
            queue_url=f"{found[b'Queue']}/{ACCOUNT}",
            ca_file=folder / "azurite-ca.pem",
            process=process,
        )
    finally:
        process.terminate()
        process.wait()


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}


def _listening(process: "subprocess.Popen[bytes]", log: Path) -> dict[bytes, str]:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        found = {name: url.decode() for name, url in _LISTENING.findall(log.read_bytes())}
        if len(found) == len(("Blob", "Queue")):
            return found
        time.sleep(0.05)
    raise RuntimeError(f"Azurite did not start: {log.read_text(errors='replace')}")

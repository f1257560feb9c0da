"""Independent writers of sealed columns: npm's tedious (Always Encrypted) and @azure/cosmos (client-side encryption).

Each call starts a Node of its own. `make setup` installs both libraries into .always-encrypted from the lock beside
this file. What tedious lacks, the plaintext of each SQL type, is in sql_values.js and is checked against what
Microsoft's driver writes.
"""

import copy
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.support.paths import ROOT

__all__ = ["Cosmos", "Tedious", "WriterError"]

_HERE: Final = Path(__file__).resolve().parent
_MODULES: Final = ROOT / ".always-encrypted" / "node_modules"


class WriterError(Exception):
    """What the library said when it refused."""


def _asked(program: str, request: Mapping[str, object]) -> Any:
    if not _MODULES.is_dir():
        raise FileNotFoundError(f"{_MODULES} is missing: run tools/always-encrypted")
    command = ["node", str(_HERE / program), str(_MODULES)]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise WriterError(done.stderr.strip())
    return json.loads(done.stdout)


def _hex(cells: Sequence[bytes | None]) -> list[str | None]:
    return [None if cell is None else cell.hex() for cell in cells]


class Tedious:
    """Cells and encrypted keys of Always Encrypted. Values are text, as `7`, `1.50`, `1990-05-17`, hex."""

    def seal(
        self, column_type: str, values: Sequence[str | None], cek: bytes, *, deterministic: bool = False
    ) -> list[bytes | None]:
        """A cell for each value; None stays None, as SQL's NULL does."""
        request = {"type": column_type, "values": list(values), "cek": cek.hex(), "deterministic": deterministic}
        made = _asked("tedious.js", {"operation": "seal", **request})
        return [None if cell is None else bytes.fromhex(cell) for cell in made]

    def open(self, column_type: str, cells: Sequence[bytes | None], cek: bytes) -> list[str | None]:
        """The values, not padded; tedious compares only half of the MAC of a short cell."""
        request = {"operation": "open", "type": column_type, "cells": _hex(cells), "cek": cek.hex()}
        return list(_asked("tedious.js", request))

    def seconds(self, cells: Sequence[bytes], cek: bytes) -> float:
        """The CPU seconds in which tedious opens all cells once, in its own process."""
        return float(_asked("tedious.js", {"operation": "seconds", "cells": _hex(cells), "cek": cek.hex()}))

    def encrypted_value(self, cek: bytes, key_path: str, master_key_pem: bytes) -> bytes:
        """ENCRYPTED_VALUE of a column encryption key, by tedious' provider of the vault with a local key."""
        request = {"operation": "encryptedValue", "cek": cek.hex(), "path": key_path, "pem": master_key_pem.decode()}
        return bytes.fromhex(_asked("tedious.js", request))

    def open_encrypted_value(self, value: bytes, key_path: str, master_key_pem: bytes) -> bytes:
        """The column encryption key; the signature is verified."""
        request = {"value": value.hex(), "path": key_path, "pem": master_key_pem.decode()}
        return bytes.fromhex(_asked("tedious.js", {"operation": "openEncryptedValue", **request}))


class Cosmos:
    """Documents of one container. `master_keys`: address in the vault -> private key in PEM."""

    def __init__(self, master_keys: Mapping[str, bytes], *, partition_key_paths: Sequence[str] = ("/id",)) -> None:
        self._master_keys = {at: pem.decode() for at, pem in master_keys.items()}
        self._partition_key_paths = list(partition_key_paths)

    def key(self, name: str, cek: bytes, master_key: str) -> dict[str, Any]:
        """A client encryption key as the database stores it; `master_key` is the address in the vault."""
        pem = {master_key: self._master_keys[master_key]}
        request = {"operation": "key", "id": name, "name": "cmk", "cek": cek.hex(), "masterKeys": pem}
        return dict(_asked("cosmos.js", request))

    def seal(
        self, documents: Sequence[Mapping[str, Any]], policy: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """The documents as they lie in the container with this `clientEncryptionPolicy`."""
        return self._each("seal", documents, policy, keys)

    def open(
        self, documents: Sequence[Mapping[str, Any]], policy: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """The documents as an application with the keys reads them."""
        return self._each("open", documents, policy, keys)

    def _each(
        self,
        operation: str,
        documents: Sequence[Mapping[str, Any]],
        policy: Mapping[str, Any],
        keys: Sequence[Mapping[str, Any]],
    ) -> list[dict[str, Any]]:
        request = {"documents": copy.deepcopy(list(documents)), "policy": policy, "keys": list(keys)}
        rest = {"masterKeys": self._master_keys, "partitionKeyPaths": self._partition_key_paths}
        return list(_asked("cosmos.js", {"operation": operation, **request, **rest}))

"""`[[witnesses]]` tables: strict and closed. What is not as it should be is named."""

from pathlib import Path
from typing import Any

import pytest

from cji_core.azure_client import brokered_identity
from cji_core.errors import StartupError
from cji_core.trail.delivery import load_delivery
from cji_core.trail.witnesses.configured import needs, witnesses
from cji_core.trail.witnesses.keys import read_key, read_keys
from cji_core.trail.witnesses.settings import ScittTable, tables
from tests.support.witness_trails import keys_folder, new_key

FILE = {"kind": "file", "name": "mount", "folder": "copies"}
BLOB = {"kind": "blob", "name": "blob", "account_url": "https://a.blob.core.windows.net", "container": "audit"}
LEDGER = {"kind": "confidential_ledger", "name": "acl", "url": "https://l.example", "service_certificate": "acl.pem"}
SCITT = {
    "kind": "scitt", "name": "ts", "url": "https://ts.example", "issuer": "https://pd.example",
    "key_file": "a", "issuer_key": "/b", "service_key": "c",
}  # fmt: skip
TEXT = """
trail = "audit.log"
state = "state"
receipt_keys = "keys"
[[witnesses]]
kind = "file"
name = "mount"
folder = "copies"
[[witnesses]]
kind = "blob"
name = "blob"
account_url = "https://a.blob.core.windows.net"
container = "audit"
"""


def test_paths_are_relative_to_the_folder() -> None:
    [table] = tables([SCITT], folder=Path("/etc/cji"))
    assert isinstance(table, ScittTable)
    assert (table.key_file, table.issuer_key, table.service_key) == ("/etc/cji/a", "/b", "/etc/cji/c")
    assert (table.ca_file, table.interval_seconds) == ("/etc/ssl/certs/ca-certificates.crt", 600)


@pytest.mark.parametrize(
    "raw",
    [
        {}, FILE | {"kind": "another"}, FILE | {"name": ""}, FILE | {"name": "../x"}, FILE | {"name": "A"},
        FILE | {"name": "_"},
        FILE | {"more": 1}, FILE | {"interval_seconds": 59}, FILE | {"interval_seconds": 86_401}, FILE | {"folder": ""},
        {"kind": "file", "name": "mount"},
        BLOB | {"account_url": "http://a.blob.core.windows.net"}, BLOB | {"account_url": "https://a b"},
        BLOB | {"container": "A"}, BLOB | {"container": "a/b"}, BLOB | {"client_id": "x"},
        LEDGER | {"url": "http://l.example"}, LEDGER | {"collection": "a b"}, LEDGER | {"audience": "x"},
        {"kind": "confidential_ledger", "name": "acl", "url": "https://l.example"},
        SCITT | {"issuer": "a b"}, SCITT | {"entry": "another"}, SCITT | {"url": "file:///"},
    ],
)  # fmt: skip
def test_a_wrong_table_is_named(raw: dict[str, Any]) -> None:
    with pytest.raises(StartupError, match=r"\[\[witnesses\]\], table 2: "):
        tables([FILE, raw], folder=Path())


def test_not_too_many() -> None:
    with pytest.raises(StartupError, match="more than 16"):
        tables([FILE] * 17, folder=Path())


def test_from_the_file_to_destinations(tmp_path: Path) -> None:
    path = tmp_path / "audit.toml"
    path.write_text(TEXT)
    made = witnesses(load_delivery(path), folder=tmp_path, identity=brokered_identity)
    assert [each.name for each in made] == ["mount", "blob"]
    found = needs(load_delivery(path), folder=tmp_path)
    assert found.read == (str(tmp_path / "keys"), "/etc/ssl/certs/ca-certificates.crt")
    assert found.write == (str(tmp_path / "copies"),)
    assert found.urls == ("https://a.blob.core.windows.net",)
    path.write_text(TEXT.replace('receipt_keys = "keys"', ""))
    with pytest.raises(StartupError, match="needs receipt_keys"):
        load_delivery(path)


def test_keys_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    folder = keys_folder(tmp_path / "keys", [new_key(), new_key()])
    read_keys(folder)
    (folder / ".hidden").write_text("x")
    read_keys(folder)
    for text in ("x", "{}", '{"receipt_jwk": "x"}', '{"receipt_jwk": 1}', "[" * 100_000):
        (folder / "x").write_text(text)
        with pytest.raises(StartupError, match="has no receipt key"):
            read_keys(folder)
    with pytest.raises(StartupError, match="cannot be read"):
        read_keys(tmp_path / "absent")
    with pytest.raises(StartupError, match="has no receipt key"):
        read_key(tmp_path / "absent")

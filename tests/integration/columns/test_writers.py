"""tedious and @azure/cosmos, which seal the records of these tests, write what Microsoft's driver and the SDK wrote."""

import base64
import itertools
import json
import secrets
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.always_encrypted import Cosmos, Tedious, WriterError
from tests.support.rsa_keys import rsa_key

CEK = secrets.token_bytes(32)
VAULT = "https://agency.vault.azure.net/keys/cmk/0123456789abcdef"
COLUMNS: dict[str, list[str | None]] = {
    "nvarchar(60)": ["Ångström", "", None],
    "char(9) cp1252": ["078051120"],
    "date": ["1990-05-17", "0001-01-01", "9999-12-31"],
    "bit": ["1", "0"],
    "int": ["-7", None, "2147483647"],
    "decimal(9,2)": ["-1234.50"],
    "datetime2(3)": ["2026-11-30T18:11:35.123"],
    "uniqueidentifier": ["00112233-4455-6677-8899-aabbccddeeff"],
    "varbinary(16)": ["00ff"],
}
POLICY = {
    "policyFormatVersion": 1,
    "includedPaths": [
        {
            "path": f"/{name}",
            "clientEncryptionKeyId": key,
            "encryptionType": kind,
            "encryptionAlgorithm": "AEAD_AES_256_CBC_HMAC_SHA256",
        }
        for name, key, kind in (("ssn", "k1", "Deterministic"), ("address", "k2", "Randomized"))
    ],
}
_UNASSIGNED = set("\x81\x8d\x8f\x90\x9d")
"""Bytes without a character in code page 1252: the driver keeps them as these, tedious writes question marks."""


def pem() -> bytes:
    kind, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return rsa_key(2048).private_bytes(serialization.Encoding.PEM, kind, encryption)


@pytest.mark.parametrize("column_type", COLUMNS)
def test_tedious_opens_what_it_sealed(column_type: str) -> None:
    values = COLUMNS[column_type]
    cells = Tedious().seal(column_type, values, CEK)
    again = Tedious().seal(column_type, values, CEK, deterministic=True)
    assert Tedious().open(column_type, cells, CEK) == Tedious().open(column_type, again, CEK) == values
    assert again == Tedious().seal(column_type, values, CEK, deterministic=True) != cells


def test_tedious_refuses_another_key() -> None:
    with pytest.raises(WriterError, match="invalid authentication tag"):
        Tedious().open("int", Tedious().seal("int", ["7"], CEK), secrets.token_bytes(32))


def test_tedious_opens_its_own_encrypted_value() -> None:
    value = Tedious().encrypted_value(CEK, VAULT, pem())
    assert value[0] == 1
    assert VAULT.encode() in value
    assert Tedious().open_encrypted_value(value, VAULT, pem()) == CEK
    with pytest.raises(WriterError):
        Tedious().open_encrypted_value(value[:-1] + bytes([value[-1] ^ 1]), VAULT, pem())


def test_cosmos_opens_the_documents_it_sealed() -> None:
    by = Cosmos({VAULT: pem()})
    keys = [by.key("k1", CEK, VAULT), by.key("k2", secrets.token_bytes(32), VAULT)]
    plain = {"id": "1", "ssn": "078-05-1120", "address": {"zip": 12345, "lines": ["a", None, True, 1.5]}, "n": 1}
    (sealed,) = by.seal([plain], POLICY, keys)
    assert (sealed["id"], sealed["n"]) == ("1", 1)
    assert base64.b64decode(sealed["ssn"])[:2] == b"\x05\x01"
    assert by.open([sealed], POLICY, keys) == [plain]
    with pytest.raises(WriterError):
        by.open([sealed], POLICY, [keys[0], {**keys[0], "id": "k2"}])


@pytest.mark.vectors
def test_tedious_seals_what_the_driver_sealed(vectors: Path) -> None:
    """Deterministic cells of every SQL type are those of Microsoft.Data.SqlClient, and open to its values."""
    checked = 0
    for name in ("binary", "datetime", "numeric", "text"):
        file = json.loads((vectors / "columns" / f"cells_{name}.json").read_text())
        found = [row for row in file["vectors"] if not _UNASSIGNED & set(row["value"])]
        for (kind, cek), group in itertools.groupby(sorted(found, key=of_column), of_column):
            rows, key = list(group), bytes.fromhex(file["ceks"][cek])
            opened = Tedious().open(kind, [bytes.fromhex(row["rnd"]) for row in rows], key)
            sealed = Tedious().seal(kind, opened, key, deterministic=True)
            assert [cell.hex() for cell in sealed if cell] == [row["det"] for row in rows], kind
            assert [unpadded(kind, value) for value in opened] == [unpadded(kind, row["value"]) for row in rows]
            checked += len(rows)
    assert checked > 500


def of_column(row: dict[str, Any]) -> tuple[str, str]:
    page = {65001: "utf-8"}.get(row.get("codepage", 0), f"cp{row.get('codepage')}")
    text = row["base"] in ("char", "varchar")
    return (f"{row['type']} {page}" if text else row["type"], row["cek"])


def unpadded(kind: str, value: str | None) -> object:
    """Readers pad char(n) and binary(n), cells do not; of numbers the number counts, -0 is one."""
    base = kind.partition("(")[0].partition(" ")[0]
    if base == "real":
        return struct.pack("<f", float(value or ""))
    if base == "float":
        return float(value or "")
    if base in ("decimal", "numeric"):
        return Decimal(value or "")
    ends = {"char": " ", "nchar": " ", "binary": "0"}
    return (value or "").rstrip(ends[base]) if base in ends else value


@pytest.mark.vectors
def test_cosmos_opens_published_documents(vectors: Path) -> None:
    file = json.loads((vectors / "columns" / "cosmos_documents.json").read_text())
    pems = {
        at: serialization.load_der_private_key(base64.b64decode(key["pkcs8"]), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for at, key in file["vaultKeys"].items()
    }
    documents = [row for row in file["vectors"] if row["kind"] == "document" and row["expect"] == "accept"]
    assert len(documents) > 10
    for row in documents:
        container = file["containers"][row["container"]]
        by = Cosmos(pems, partition_key_paths=container["partitionKeyPaths"])
        keys = list(file["clientEncryptionKeys"].values())
        assert by.open([row["encrypted"]], container["clientEncryptionPolicy"], keys) == [row["plain"]]

"""The readers of an agency's columns: columns.toml, exports, ENCRYPTED_VALUE, sealed keys, digests, versions."""

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_client.columns.describe import describe
from cji_client.columns.digests import read_digests
from cji_client.columns.draft import Draft
from cji_client.columns.encrypted_value import EncryptedValue
from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.file import decode_columns
from cji_client.columns.keys_file import load_keys, save_keys
from cji_client.columns.table_statement import SignedTable, TableStatement, parse_statement
from cji_core.errors import SpecError
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import JSON, SIZED, TEXT
from tests.fuzz.worker_targets import folder, from_file
from tests.support import column_keys
from tests.support.encrypted_values import COLUMNS_TOML, encrypted_value
from tests.support.rsa_keys import rsa_key
from tests.unit.client.columns.test_describe import CONTAINER, KEY, catalogue

__all__ = ["COLUMN_KEYS"]


@functools.cache
def _values() -> tuple[bytes, ...]:
    return tuple(encrypted_value(rsa_key(), encoding=encoding) for encoding in ("utf-16-le", "utf-8"))


def _whole(data: bytes, value: EncryptedValue) -> bool:
    """Every byte is in one of the fields, and all sizes are what they were."""
    return value.signed + value.signature == data and value.signed.endswith(value.path + value.ciphertext)


def _exports() -> tuple[bytes, ...]:
    container = {"container": CONTAINER, "clientEncryptionKeys": [KEY]}
    return tuple(json.dumps(each).encode() for each in (catalogue(), container))


def _drafted(_: bytes, draft: Draft) -> bool:
    """What was written is TOML with these columns, whatever their names are."""
    found = msgspec.toml.decode(draft.text("person/1", "k.json"))
    named = [(one.name, one.encryption, one.key) for one in draft.columns]
    return [(one["name"], one["encryption"], one["key"]) for one in found["columns"]] == named


@functools.cache
def _keys() -> tuple[bytes, ...]:
    save_keys(column_keys.sealed(), path := folder() / "keys.json")
    return (path.read_bytes(),)


@functools.cache
def _versions() -> tuple[bytes, ...]:
    stated = TableStatement(
        table="cjis.dbo.Persons",
        version=7,
        id="Id",
        columns=("LastName", "SSN"),
        rows=3,
        row_macs_sha384="0a" * 48,
        created=datetime(2026, 11, 30, tzinfo=UTC),
    )
    return (SignedTable(statement=stated, signature=bytes(96)).encode(),)


def _same_version(_: bytes, found: SignedTable) -> bool:
    """What was read is written as it is read again."""
    return parse_statement(found.encode()) == found


def _digests(path: Path) -> object:
    return sorted(read_digests(path))


_REFUSALS: Final[dict[str, Any]] = {"refusals": (SpecError, ColumnKeyRefused), "weight": 3}

COLUMN_KEYS: Final = (
    target("columns-value", _values, EncryptedValue.parse, fair=_whole, mutators=SIZED, **_REFUSALS),
    target("columns-toml", lambda: (COLUMNS_TOML.encode(),), decode_columns, mutators=TEXT, **_REFUSALS),
    target("columns-export", _exports, from_file(describe), fair=_drafted, mutators=JSON, **_REFUSALS),
    target("columns-keys", _keys, from_file(load_keys), mutators=JSON, **_REFUSALS),
    target("columns-version", _versions, parse_statement, fair=_same_version, mutators=JSON, **_REFUSALS),
    target(
        "columns-digests",
        lambda: (b"# a\n" + b"ab" * 48 + b"  # b\n",),
        from_file(_digests),
        mutators=TEXT,
        **_REFUSALS,
    ),
)

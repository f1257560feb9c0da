"""Bytes with the form of cells, which no key opens, a columns.toml for them, and what is refused of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import shake_256
from pathlib import Path
from typing import Any

import pytest

from cji_client.columns.file import ColumnsFile, decode_columns
from cji_core.errors import ClientError

_HEAD = """
format = "{form}"
table = "cjis.dbo.Persons"
schema = "{schema}"
keys_file = "persons.keys.json"

[[keys]]
name = "CEK"
master_key = "https://v.vault.azure.net/keys/CMK/1"
provider = "azure_key_vault"
encrypted_value = "016E00"
"""
_COLUMN = """
[[columns]]
name = "{name}"
record = "{record}"
type = "{kind}"
encryption = "randomized"
key = "CEK"
rights = [{rights}]
"""
TOKEN = """
[[columns]]
name = "{name}"
record = "person_token"
type = "{kind}"
encryption = "randomized"
key = "CEK"
rights = ["seal"]
data_class = "control number"

[[results]]
output = "result"
column = "token"
as = "person_token"
"""


def cell(seed: object, *, blocks: int = 1, marker: int | None = None) -> bytes:
    """The same bytes for the same seed."""
    data = b"\x01" + shake_256(repr(seed).encode()).digest(48 + 16 * blocks)
    return data if marker is None else bytes([marker]) + data


def columns_toml(
    *columns: tuple[str, str],
    form: str = "sql_server",
    schema: str = "person/1",
    rights: str = '"open"',
    rest: str = "",
) -> str:
    """A columns.toml of these columns, (name in the database, name in the records)."""
    kind = "string" if form == "cosmos_db" else "nvarchar(60)"
    own = "".join(_COLUMN.format(name=name, record=record, kind=kind, rights=rights) for name, record in columns)
    token = "/token" if form == "cosmos_db" else "Token"
    return _HEAD.format(form=form, schema=schema) + own + rest.format(name=token, kind=kind)


def columns_file(*columns: tuple[str, str], form: str = "sql_server", rest: str = "") -> ColumnsFile:
    """The same, read."""
    return decode_columns(columns_toml(*columns, form=form, rest=rest).encode())


def written(folder: Path, *columns: tuple[str, str], form: str = "sql_server", schema: str = "person/1") -> Path:
    """The same, as a file in this folder."""
    path = folder / "columns.toml"
    path.write_text(columns_toml(*columns, form=form, schema=schema))
    return path


@contextmanager
def unusable(kind: type[ClientError], text: str, *, remedy: str = "") -> Iterator[pytest.ExceptionInfo[Any]]:
    """Expect an error of exactly this kind, with these words and a remedy."""
    with pytest.raises(ClientError) as caught:
        yield caught
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert remedy in caught.value.remedy
    assert caught.value.remedy

"""Cells for tests: the published vectors, and columns of cells made by the slow twin."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cji_core.format.columns import SqlType
from cji_operations.sealed_columns import ColumnOpener, ColumnSealer, OpenedValues

__all__ = ["CEK", "binary", "opener", "published", "sealer", "target_of", "type_of"]

CEK: Final = bytes(range(32))


def published(vectors: Path, name: str) -> list[dict[str, Any]]:
    """The vectors of a file, each with its key in place of the key's name."""
    file = json.loads((vectors / "columns" / f"{name}.json").read_text())
    return [{**each, "cek": bytes.fromhex(file["ceks"][each["cek"]])} for each in file["vectors"]]


def type_of(vector: dict[str, Any]) -> SqlType:
    """The type of a vector, with its code page."""
    page = {65001: " utf-8", None: ""}.get(vector.get("codepage"), f" cp{vector.get('codepage')}")
    return SqlType.parse(vector["type"] + page)


def target_of(kind: SqlType) -> pa.DataType:
    """What a column of the type is opened to: bytes, or text."""
    return pa.binary() if kind.name in ("binary", "varbinary") else pa.utf8()


def binary(cells: Sequence[bytes | None]) -> pa.Array:
    """A column of cells."""
    return pa.array(cells, pa.binary())


def opener(kind: str | SqlType, *, deterministic: bool = True, cek: bytes = CEK, **more: Any) -> ColumnOpener:
    """Of a column of this type."""
    found = SqlType.parse(kind) if isinstance(kind, str) else kind
    more = {"target": target_of(found), **more}
    return ColumnOpener(found, found.format, deterministic=deterministic, cek=cek, **more)


def sealer(kind: str, *, cek: bytes = CEK, opened: OpenedValues | None = None) -> ColumnSealer:
    """Of a column of this type; deterministic where there are opened values."""
    found = SqlType.parse(kind)
    return ColumnSealer(
        found, found.format, deterministic=opened is not None, cek=cek, random=os.urandom, opened=opened
    )

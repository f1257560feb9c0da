"""Lines of a text file as bytes, a row each: a NIBRS submission. Nothing is decoded; the worker reads the bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

from cji_client.errors import SpecError
from cji_client.sources import Batches
from cji_client.spec import InputSpec

_SCHEMA: Final = pa.schema([pa.field("segment", pa.binary())])
_BATCH_ROWS: Final = 16_384
_BATCH_BYTES: Final = 8 << 20
_LONGEST: Final = 65_536
"""Bytes of a line; the longest segment of NIBRS has 307."""


def read_lines(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    """One `binary` column `segment`: the lines of the file, each without its LF."""
    return Batches(schema=_SCHEMA, batches=_batches(path))


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    row = 0
    with path.open("rb") as file:
        while lines := _lines(file, path, row):
            row += len(lines)
            yield pa.RecordBatch.from_arrays([pa.array(lines, pa.binary())], schema=_SCHEMA)


def _lines(file: BinaryIO, path: Path, row: int) -> list[bytes]:
    lines, end = list[bytes](), file.tell() + _BATCH_BYTES
    while len(lines) < _BATCH_ROWS and file.tell() < end and (line := file.readline(_LONGEST)):
        if len(line) == _LONGEST and not line.endswith(b"\n"):
            raise SpecError(f"{path.name}: row {row + len(lines)} is longer than {_LONGEST} bytes")
        lines.append(line.removesuffix(b"\n"))
    return lines

"""From the name of a file to a source: the reader that its kind and `[input]` call for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet

from cji_client import ca_doj
from cji_client.errors import SpecError
from cji_client.files.delimited import read_delimited
from cji_client.files.excel import read_excel
from cji_client.files.fixed_width import read_fixed_width
from cji_client.files.kinds import Kind, kind_of
from cji_client.sources import Batches
from cji_client.spec import InputSpec
from cji_core.format.records import SCHEMAS

_BATCH_ROWS: Final = 16_384
_LINES: Final = pa.schema([pa.field("segment", pa.binary())])
_LINE_BYTES: Final = 8 << 20
_LONGEST_LINE: Final = 65_536
"""Bytes of a line; the longest segment of NIBRS has 307."""


def read_lines(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    """One `binary` column `segment`: the lines of the file, each without its LF. The worker decodes the bytes."""
    return Batches(schema=_LINES, batches=_line_batches(path), place=lambda row: f"line {row + 1}")


def _line_batches(path: Path) -> Iterator[pa.RecordBatch]:
    row = 0
    with path.open("rb") as file:
        while lines := _lines(file, path, row):
            row += len(lines)
            yield pa.RecordBatch.from_arrays([pa.array(lines, pa.binary())], schema=_LINES)


def _lines(file: BinaryIO, path: Path, row: int) -> list[bytes]:
    lines, end = list[bytes](), file.tell() + _LINE_BYTES
    while len(lines) < _BATCH_ROWS and file.tell() < end and (line := file.readline(_LONGEST_LINE)):
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            raise SpecError(f"{path.name}: line {row + len(lines) + 1} is longer than {_LONGEST_LINE} bytes")
        lines.append(line.removesuffix(b"\n"))
    return lines


def read_parquet(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    """The row groups of a Parquet file."""
    file = pyarrow.parquet.ParquetFile(path)
    return Batches(schema=file.schema_arrow, batches=file.iter_batches(batch_size=_BATCH_ROWS))


def read_arrow(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001
    """The batches of an Arrow IPC file or stream."""
    source = pa.memory_map(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        stream = pa.ipc.open_stream(source)
        return Batches(schema=stream.schema, batches=iter(stream))
    return Batches(schema=file.schema, batches=(file.get_batch(i) for i in range(file.num_record_batches)))


_Reader = Callable[[Path, InputSpec], Batches]


def _xml(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    from cji_client import nibrs_xml  # noqa: PLC0415 - its tables of elements are for those who have such a file

    _, batches = nibrs_xml.read_xml(path)
    return Batches(schema=nibrs_xml.SCHEMA, batches=batches)


def _documents(path: Path, spec: InputSpec) -> Batches:
    from cji_client.columns.documents import read_documents  # noqa: PLC0415 - as above

    return read_documents(path, spec)


def _ca_doj(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    schema, batches = ca_doj.open_extract(path)
    return Batches(schema=schema, batches=batches)


_FIELDS: Final[dict[_Reader, tuple[str, ...]]] = {
    read_delimited: ("encoding", "delimiter", "columns"),
    read_fixed_width: ("encoding", "fixed_width", "columns"),
    read_lines: (),
    read_excel: ("sheet",),
    read_parquet: ("columns",),
    read_arrow: ("columns",),
    _documents: ("columns",),
    _xml: (),
    _ca_doj: ("layout",),
}
"""The fields of `[input]` that each reader follows. A field that another reader needs is refused, not ignored."""

_NO_CELLS: Final = "Export encrypted columns as Parquet, Arrow or CSV: a cell of a workbook holds 32,767 characters."

_FAULTS: Final = (OSError, UnicodeError, pa.ArrowException)


def read_file(path: Path, spec: InputSpec) -> Callable[[], Batches]:
    """A source that reads the file as `spec` states, batch by batch, with its own columns; each call reopens it.

    `cji_client.sources.fit` renames, drops and casts them.
    """
    reader = _reader(path, spec)
    names = ("encoding", "delimiter", "fixed_width", "sheet", "layout", "columns")
    if unused := {name for name in names if getattr(spec, name)} - set(_FIELDS[reader]):
        message = f"{path.name} is not a file that {', '.join(sorted(unused))} could apply to"
        if "columns" in unused:
            raise SpecError(message, remedy=_NO_CELLS)
        raise SpecError(message)

    def read() -> Batches:
        try:
            found = reader(path, spec)
        except _FAULTS as error:
            raise SpecError(f"{path.name} cannot be read ({type(error).__name__})") from None
        return replace(found, batches=_readable(found.batches, path))

    return read


def _reader(path: Path, spec: InputSpec) -> _Reader:
    kind = kind_of(path)
    if kind is not Kind.TEXT:
        return {
            Kind.EXCEL: read_excel,
            Kind.PARQUET: read_parquet,
            Kind.ARROW: read_arrow,
            Kind.XML: _xml,
            Kind.JSON: _documents,
        }[kind]
    if spec.layout is not None:
        return _ca_doj
    if spec.fixed_width:
        return read_fixed_width
    lines = spec.schema in SCHEMAS and SCHEMAS[spec.schema].lines
    return read_lines if lines and path.suffix.lower() != ".csv" else read_delimited


def _readable(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """The same batches; a file that fails half-way is a SpecError without the file's values."""
    try:
        yield from batches
    except _FAULTS as error:
        raise SpecError(f"{path.name} cannot be read to its end ({type(error).__name__})") from None

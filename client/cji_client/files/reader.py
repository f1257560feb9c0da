"""From the name of a file to a source: the reader that its kind and `[input]` call for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from cji_client import ca_doj
from cji_client.errors import SpecError
from cji_client.files.columnar import read_arrow, read_parquet
from cji_client.files.delimited import read_delimited
from cji_client.files.excel import read_excel
from cji_client.files.fixed_width import read_fixed_width
from cji_client.files.kinds import Kind, kind_of
from cji_client.files.lines import read_lines
from cji_client.sources import Batches
from cji_client.spec import InputSpec
from cji_core.format.records import SCHEMAS

_Reader = Callable[[Path, InputSpec], Batches]


def _xml(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    from cji_client import nibrs_xml  # noqa: PLC0415 - its tables of elements are for those who have such a file

    _, batches = nibrs_xml.read_xml(path)
    return Batches(schema=nibrs_xml.SCHEMA, batches=batches)


def _ca_doj(path: Path, spec: InputSpec) -> Batches:  # noqa: ARG001 - every reader gets both
    schema, batches = ca_doj.open_extract(path)
    return Batches(schema=schema, batches=batches)


_FIELDS: Final[dict[_Reader, tuple[str, ...]]] = {
    read_delimited: ("encoding", "delimiter"),
    read_fixed_width: ("encoding", "fixed_width"),
    read_lines: (),
    read_excel: ("sheet",),
    read_parquet: (),
    read_arrow: (),
    _xml: (),
    _ca_doj: ("layout",),
}
"""The fields of `[input]` that each reader follows. A field that another reader needs is refused, not ignored."""

_FAULTS: Final = (OSError, UnicodeError, pa.ArrowException)


def read_file(path: Path, spec: InputSpec) -> Callable[[], Batches]:
    """A source that reads the file as `spec` states, batch by batch, with its own columns; each call reopens it.

    `cji_client.sources.fit` renames, drops and casts them.
    """
    reader = _reader(path, spec)
    given = {name for name in ("encoding", "delimiter", "fixed_width", "sheet", "layout") if getattr(spec, name)}
    if unused := given - set(_FIELDS[reader]):
        raise SpecError(f"{path.name} is not a file that {', '.join(sorted(unused))} could apply to")

    def read() -> Batches:
        try:
            found = reader(path, spec)
        except _FAULTS as error:
            raise SpecError(f"{path.name} cannot be read ({type(error).__name__})") from None
        return Batches(schema=found.schema, batches=_readable(found.batches, path), notes=found.notes)

    return read


def _reader(path: Path, spec: InputSpec) -> _Reader:
    kind = kind_of(path)
    if kind is not Kind.TEXT:
        return {Kind.EXCEL: read_excel, Kind.PARQUET: read_parquet, Kind.ARROW: read_arrow, Kind.XML: _xml}[kind]
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

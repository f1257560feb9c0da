"""Input records: tables, batches or files become batches that a worker accepts.

A worker accepts batches of at most 64 Ki rows with plain columns (no dictionaries, views or extension types) and the
schema metadata `cji.schema`. Text files are read as text: leading zeros, partial dates and partial numbers are kept,
and an empty field is null.

A refused job can be sent again if its `Source` can be opened twice (a table, a file, a callable), but not if it is a
one-shot iterable.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from worker.client import ca_doj, nibrs_xml
from worker.client.errors import SpecError
from worker.errors import Refusal
from worker.records import SCHEMAS, check_schema, tagged

Source: TypeAlias = "pa.Table | pa.RecordBatch | Callable[[], Batches] | Iterable[pa.RecordBatch]"

FORMATS: Final = (".csv", ".parquet", ".arrow")
"""Kinds of files, by suffix. `.arrow` is the Arrow IPC file or stream format."""

LINES: Final = ".txt"
"""A file of lines, read only: one `binary` column `segment`, a line a row, without its LF."""

XML: Final = ".xml"
"""A file of NIBRS XML, read only: one `binary` column `report`, a report a row."""

_BATCH_ROWS: Final = 16_384
"""A quarter of the worker's limit: smaller batches keep its working set small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """A schema and batches with that schema; `rows` if known in advance."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    rows: int | None = None


def open_source(source: Source, schema_id: str) -> Batches:
    """The batches of `source` in the form that a worker accepts; SpecError if they do not fit the schema."""
    given = _given(source)
    schema = tagged(schema_id, [pa.field(f.name, _wanted(schema_id, f.name, _plain(f.type))) for f in given.schema])
    try:
        check_schema(schema_id, schema)
    except Refusal:
        raise SpecError(
            f"the input does not fit {schema_id}{_difference(schema_id, schema)}",
            remedy="Compare its columns with docs/operations.md; use `rename` in the job spec to change their names.",
        ) from None
    return Batches(schema=schema, batches=_fit(given, schema), rows=given.rows)


def read_file(path: Path, *, rename: Mapping[str, str], layout: str | None = None) -> Callable[[], Batches]:
    """A source that reads a file, of `FORMATS`, LINES or XML, by batches with renamed columns; each call reopens it.

    With the layout `ca_doj` the file is an extract of the California Department of Justice, as text of any suffix.
    """
    readers = {".csv": _csv, ".parquet": _parquet, ".arrow": _arrow, LINES: _lines, XML: _xml}
    reader = readers.get(path.suffix.lower()) if layout is None else _extract
    if reader is None:
        raise SpecError(f"{path.name} is not one of {', '.join((*FORMATS, LINES, XML))}")

    def read() -> Batches:
        try:
            found = reader(path)
        except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
            raise SpecError(f"{path.name} cannot be read ({type(error).__name__})") from None
        unknown = rename.keys() - set(found.schema.names)
        if unknown:
            raise SpecError(f"rename: {path.name} has no column {', '.join(sorted(unknown))}")
        names = [rename.get(name, name) for name in found.schema.names]
        schema = pa.schema([field.with_name(name) for field, name in zip(found.schema, names, strict=True)])
        renamed = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in found.batches)
        return Batches(schema=schema, batches=_readable(renamed, path), rows=found.rows)

    return read


def _given(source: Source) -> Batches:
    if isinstance(source, pa.Table):
        return Batches(schema=source.schema, batches=iter(source.to_batches()), rows=source.num_rows)
    if isinstance(source, pa.RecordBatch):
        return Batches(schema=source.schema, batches=iter([source]), rows=source.num_rows)
    if isinstance(source, pa.RecordBatchReader):
        return Batches(schema=source.schema, batches=iter(source))
    if callable(source):
        return source()
    batches = iter(source)
    first = next(batches, None)
    if first is None:
        raise SpecError("an iterable without batches has no schema", remedy="Pass a table of 0 rows instead.")
    return Batches(schema=first.schema, batches=_chain(first, batches))


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without encodings that only save memory: dictionaries, views, 64-bit offsets."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_large_binary(kind):
        return pa.binary()
    return kind


def _wanted(schema_id: str, name: str, kind: pa.DataType) -> pa.DataType:
    """`kind`, or the column's first type if the column is text in the file but may not be text in the schema."""
    column = SCHEMAS[schema_id].columns.get(name) if schema_id in SCHEMAS else None
    if column is None or kind in column.types or kind not in (pa.string(), pa.binary()):
        return kind
    return column.types[0]


def _fit(given: Batches, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in given.batches:
        if batch.schema.names != schema.names:
            raise SpecError("the batches of one input differ in their columns")
        try:
            columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
        except pa.ArrowException as error:
            raise SpecError(f"the batches of one input differ in their types ({type(error).__name__})") from None
        plain = pa.RecordBatch.from_arrays(columns, schema=schema)
        yield from (plain.slice(at, _BATCH_ROWS) for at in range(0, plain.num_rows, _BATCH_ROWS))


def _difference(schema_id: str, schema: pa.Schema) -> str:
    known = SCHEMAS.get(schema_id)
    if known is None:
        return f": the schemas are {', '.join(sorted(SCHEMAS))}"
    wrong = [f.name for f in schema if f.name not in known.columns or f.type not in known.columns[f.name].types]
    missing = [c.name for c in known.columns.values() if c.required and c.name not in schema.names]
    return "".join(
        f"; {label}: {', '.join(names)}"
        for label, names in (("unknown or with a wrong type", wrong), ("missing", missing))
        if names
    )


def _readable(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """The same batches; a file that fails half-way is a SpecError without the file's values."""
    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise SpecError(f"{path.name} cannot be read to its end ({type(error).__name__})") from None


def _extract(path: Path) -> Batches:
    schema, batches = ca_doj.open_extract(path)
    return Batches(schema=schema, batches=batches)


def _csv(path: Path) -> Batches:
    with path.open(newline="", encoding="utf-8-sig") as file:
        names = next(csv.reader(file), [])
    if not names or len(set(names)) != len(names):
        raise SpecError(f"{path.name} must start with a line of distinct column names")
    text = dict.fromkeys(names, pa.string())
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True)  # RFC 4180 §2.6
    first = pyarrow.csv.ConvertOptions(column_types=text, include_columns=names[:1])
    rows = sum(b.num_rows for b in pyarrow.csv.open_csv(path, parse_options=lines, convert_options=first))
    values = pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=True, null_values=[""])
    reader = pyarrow.csv.open_csv(path, parse_options=lines, convert_options=values)
    return Batches(schema=reader.schema, batches=iter(reader), rows=rows)


def _parquet(path: Path) -> Batches:
    file = pyarrow.parquet.ParquetFile(path)
    batches = file.iter_batches(batch_size=_BATCH_ROWS)
    return Batches(schema=file.schema_arrow, batches=batches, rows=file.metadata.num_rows)


def _arrow(path: Path) -> Batches:
    source = pa.memory_map(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        stream = pa.ipc.open_stream(source)
        return Batches(schema=stream.schema, batches=iter(stream))
    batches = (file.get_batch(i) for i in range(file.num_record_batches))
    return Batches(schema=file.schema, batches=batches, rows=file.count_rows())


def _lines(path: Path) -> Batches:
    schema = pa.schema([pa.field("segment", pa.binary())])
    with path.open("rb") as file:
        rows = sum(chunk.count(b"\n") for chunk in iter(partial(file.read, 1 << 20), b""))
        ends = file.seek(0, 2) == 0 or (file.seek(-1, 2) >= 0 and file.read(1) == b"\n")
    return Batches(schema=schema, batches=_line_batches(path, schema), rows=rows if ends else rows + 1)


def _line_batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        while lines := list(islice(file, _BATCH_ROWS)):
            segments = pa.array([line.removesuffix(b"\n") for line in lines], pa.binary())
            yield pa.RecordBatch.from_arrays([segments], schema=schema)


def _xml(path: Path) -> Batches:
    rows, batches = nibrs_xml.read_xml(path)
    return Batches(schema=nibrs_xml.SCHEMA, batches=batches, rows=rows)

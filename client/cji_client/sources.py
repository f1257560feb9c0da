"""Input records: tables, data frames, batches or files become batches that a worker accepts.

A worker accepts batches of at most 64 Ki rows with plain columns (no dictionaries, views or extension types) and the
schema metadata `cji.schema`. `fit` reads the whole input once, batch by batch, before anything is sent: columns are
renamed, dropped and cast as `[input]` states, each value is read, formats of dates are found, rows are counted. A file,
column or row that cannot be used is refused there, with its place as a reader of the file counts (`Place`), what was
found and what is wanted.

A column that columns.toml of `[input]` describes is encrypted in the database: its cells are taken as they lie, and
only their form is checked. Nothing here has a key that opens them.

An input that can be read only once (an iterator, a RecordBatchReader) is checked by its first batch, and in full while
it is sent; a job with such an input cannot be sent again.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from cji_client.casts import Cast, cast_of
from cji_client.date_columns import DateReader, DateSurvey
from cji_client.date_formats import DateFormat
from cji_client.errors import ClientError, ColumnError, SpecError
from cji_client.places import Place, from_zero
from cji_client.progress import Watch, unwatched
from cji_client.spec import InputSpec
from cji_core import suggest
from cji_core.errors import Refusal
from cji_core.format.records import SCHEMAS, Column, check_schema, tagged

if TYPE_CHECKING:
    from cji_client.columns.cells import CellColumn
    from cji_client.columns.inputs import EncryptedColumns

_Unread: TypeAlias = "ArrowStream | pa.RecordBatch | Callable[[], Batches] | Iterable[pa.RecordBatch]"
Source: TypeAlias = "_Unread | FittedSource"
"""A table or data frame, batches, a function that begins to read them, or what `fit` made of one of these."""

_BATCH_ROWS: Final = 16_384
"""A quarter of the worker's limit: smaller batches keep its working set small."""


@runtime_checkable
class ArrowStream(Protocol):
    """Tables of pyarrow, pandas, polars, DuckDB and others: the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with an ArrowArrayStream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """A schema, batches with that schema, and remarks for the submitter on how they are read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    notes: Sequence[str] = ()
    """May grow until the last batch was read."""
    place: Place = from_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedSource:
    """Records that fit their schema. `rows` is None, and `open` works once, if they can be read only once.

    `bytes` is their length in Arrow, as far as they were read.
    `notes` are for the submitter: how the input was read, what was dropped, formats of dates. `sealed` are the columns
    of the schema that hold cells of an encrypted column, ascending; `empty` those without a value in any row.
    """

    schema: pa.Schema
    rows: int | None
    bytes: int
    notes: tuple[str, ...]
    sealed: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    place: Place = field(default=from_zero, repr=False)
    _layout: "_Layout" = field(repr=False)
    _begin: Callable[[], Batches] = field(repr=False)
    _once: "_Once | None" = field(default=None, repr=False)

    @property
    def numbers(self) -> dict[str, str]:
        """The Arrow types of columns of whole numbers that are sent as text, by their names in the schema."""
        return {cast.name: str(cast.number) for cast in self._layout.casts if cast.number is not None}

    @property
    def opens_again(self) -> bool:
        """Whether `open` works more than once."""
        return self.rows is not None

    @property
    def can_open(self) -> bool:
        """Whether `open` gives all records: always, or until an input that can be read only once was begun."""
        return self._once is None or not self._once.begun

    def open(self) -> Batches:
        """The batches in the form that a worker accepts; SpecError if the input is not the one that was read before."""
        return Batches(schema=self.schema, batches=self._batches(self._begin()))

    def _batches(self, given: Batches) -> Iterator[pa.RecordBatch]:
        readers = [
            None if formats is None else DateReader(name=cast.name, formats=formats)
            for cast, formats in zip(self._layout.casts, self._layout.formats, strict=True)
        ]
        rows = 0
        for batch in _small(given.batches):
            columns = [
                column if reader is None else reader.read(column)
                for column, reader in zip(self._layout.columns(batch, rows), readers, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
            rows += batch.num_rows
        if self.rows not in (None, rows):
            raise SpecError(f"the input changed while it was read: {self.rows} rows, then {rows}")
        for reader in readers:
            if reader is not None:
                reader.check()


class _Once(Iterator[pa.RecordBatch]):
    """Batches that can be read only once; `begun` when the first was taken."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.begun = False

    def __next__(self) -> pa.RecordBatch:
        self.begun = True
        return next(self._batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The columns that are sent: positions in the input, casts, and formats of dates (None: not a column of dates).

    `cells` are those that are encrypted, by their names in the schema.
    """

    given: pa.Schema
    positions: tuple[int, ...]
    casts: tuple[Cast, ...]
    formats: tuple[tuple[DateFormat, ...] | None, ...]
    cells: "Mapping[str, CellColumn]"
    place: Place

    def columns(self, batch: pa.RecordBatch, first_row: int) -> Iterator[pa.Array]:
        """The cast columns of a batch that begins at row `first_row`."""
        if batch.schema.names != self.given.names:
            raise SpecError("the batches of one input differ in their columns")
        if batch.schema.types != self.given.types:
            raise SpecError("the batches of one input differ in their types")
        columns = zip(self.positions, self.casts, strict=True)
        return (cast.apply(batch.column(at), first_row, self.place) for at, cast in columns)


def fit(source: Source, spec: InputSpec, *, watch: Watch = unwatched) -> FittedSource:
    """Read the whole of `source` as `spec` states; SpecError if a file, column or row cannot be used.

    `watch` may raise to end the reading.
    """
    if isinstance(source, FittedSource):
        if source.schema.metadata != tagged(spec.schema, []).metadata:
            raise SpecError(f"the input was read with another schema than {spec.schema}")
        return source
    given = _begin(source)
    layout = _layout(given, spec)
    fields = [pa.field(cast.name, cast.wanted) for cast in layout.casts]
    schema = tagged(spec.schema, fields)
    _check(schema, spec.schema, layout.cells)
    again = _opens_again(source)
    batches, begin, once = given.batches, lambda: _begin(source), None
    if not again:
        small = _small(given.batches)
        first = tuple(islice(small, 1))
        once = _Once(chain(first, small))
        rest = replace(given, batches=once)
        batches, begin = iter(first), lambda: rest
    surveys, rows, size, empty = _survey(batches, layout, watch)
    formats = tuple(None if survey is None else survey.chosen(given.place) for survey in surveys)
    return FittedSource(
        schema=schema,
        rows=rows if again else None,
        bytes=size,
        notes=(*given.notes, *_notes(spec, layout, surveys, formats)),
        sealed=tuple(sorted(layout.cells)),
        empty=empty if again else (),
        place=given.place,
        _layout=replace(layout, formats=formats),
        _begin=begin,
        _once=once,
    )


def _begin(source: _Unread) -> Batches:
    """The batches of any form of source, as they are."""
    if isinstance(source, pa.RecordBatch):
        return Batches(schema=source.schema, batches=iter([source]))
    if isinstance(source, ArrowStream):
        try:
            reader = pa.RecordBatchReader.from_stream(source)
        except Exception as error:  # noqa: BLE001 - the other side of the interface may raise anything
            raise SpecError(f"the input cannot be read as Arrow ({type(error).__name__}{_column(error)})") from None
        return Batches(schema=reader.schema, batches=iter(reader))
    if callable(source):
        return source()
    batches = iter(source)
    first = next(batches, None)
    if not isinstance(first, pa.RecordBatch):
        raise SpecError(
            "the input is not record batches, or has none",
            remedy="Pass a table, for example of pyarrow, pandas (2.2 or later) or polars; it may have 0 rows.",
        )
    return Batches(schema=first.schema, batches=chain([first], batches))


def _opens_again(source: _Unread) -> bool:
    if isinstance(source, pa.RecordBatchReader | Iterator):
        return False
    return callable(source) or isinstance(source, ArrowStream | pa.RecordBatch | Sequence)


def _column(error: Exception) -> str:
    """The column in an error of pyarrow's conversion from pandas, whose other arguments quote values."""
    last = str(error.args[-1]) if error.args else ""
    found = re.fullmatch(r"Conversion failed for column (.{1,256}) with type \w+", last)
    return f", column {found[1]}" if found else ""


def _layout(source: Batches, spec: InputSpec) -> _Layout:
    """The columns to send; SpecError names those that the input lacks, has twice or has in a type that does not fit."""
    known, given = _known(spec.schema), source.schema
    try:
        given.names  # noqa: B018 - pyarrow decodes them here
    except UnicodeDecodeError:
        raise SpecError("the name of a column is not UTF-8") from None
    for label, used in (("rename", set(spec.rename)), ("drop", set(spec.drop))):
        if absent := used - set(given.names):
            raise SpecError(
                f"{label}: the input has no column {suggest.listed(absent, given.names)}",
                remedy=f"It has {_listed(given.names)}.",
            )
    positions = tuple(at for at, name in enumerate(given.names) if name not in spec.drop)
    taken = [given.names[at] for at in positions]
    encrypted = None if spec.columns is None else _encrypted(spec.columns, spec)
    rename = spec.rename if encrypted is None else encrypted.rename(taken)
    names = [rename.get(name, name) for name in taken]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SpecError(f"two columns of the input have one name: {_listed(twice)}")
    missing = {column.name for column in known.values() if column.required} - set(names)
    if missing or set(names) - known.keys():
        remedy = "Compare its columns with docs/operations.md; `rename` and `drop` in [input] change them."
        found = zip(names, (given.types[at] for at in positions), strict=True)
        if spec.columns is None and any(_is_bytes(kind) for name, kind in found if name not in known):
            remedy += " Columns that are encrypted in a database need `columns` there, their columns.toml."
        raise ColumnError(
            f"the input does not fit {spec.schema}{_difference(set(names) - known.keys(), missing, known)}",
            columns=sorted(missing | (set(names) - known.keys())),
            remedy=remedy,
        )
    types = [given.types[at] for at in positions]
    cells = {} if encrypted is None else encrypted.cells(dict(zip(names, zip(taken, types, strict=True), strict=True)))
    casts = tuple(
        _of_cells(cells[name].cast, known[name]) if name in cells else cast_of(kind, known[name])
        for kind, name in zip(types, names, strict=True)
    )
    formats = tuple(spec.date_formats(name) if known[name].date and name not in cells else None for name in names)
    return _Layout(given=given, positions=positions, casts=casts, formats=formats, cells=cells, place=source.place)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _encrypted(file: Path, spec: InputSpec) -> "EncryptedColumns":
    from cji_client.columns.inputs import EncryptedColumns  # noqa: PLC0415 - for those who have such a table

    return EncryptedColumns.load(file, spec)


def _known(schema_id: str) -> Mapping[str, Column]:
    if schema_id not in SCHEMAS:
        known = suggest.did_you_mean(schema_id, SCHEMAS)
        raise SpecError(f"there is no schema {known}: the schemas are {_listed(SCHEMAS)}")
    return SCHEMAS[schema_id].columns


def _difference(unknown: set[str], missing: set[str], known: Iterable[str]) -> str:
    text = f"; unknown: {suggest.listed(unknown, known)}" if unknown else ""
    return f"{text}; missing: {_listed(missing)}" if missing else text


def _of_cells(cast: Cast, column: Column) -> Cast:
    """Only ids that the schema has as text become numbers again."""
    return cast if column.types[0] == pa.string() and not column.date else replace(cast, number=None)


def _check(schema: pa.Schema, schema_id: str, cells: Collection[str]) -> None:
    """The worker's own check of a schema; a column of cells counts as what it is once it has been opened."""
    known = _known(schema_id)
    opened = [each.with_type(known[each.name].types[0]) if each.name in cells else each for each in schema]
    try:
        check_schema(schema_id, tagged(schema_id, opened))
    except Refusal:
        raise SpecError(f"the input does not fit {schema_id}") from None


def _survey(
    batches: Iterator[pa.RecordBatch], layout: _Layout, watch: Watch
) -> tuple[list[DateSurvey | None], int, int, tuple[str, ...]]:
    """(counts of the columns of dates, rows, bytes, the columns without a value), after every value was cast."""
    surveys = [
        None if formats is None else DateSurvey(name=cast.name, formats=formats)
        for cast, formats in zip(layout.casts, layout.formats, strict=True)
    ]
    rows = size = 0
    empty = {cast.name for cast in layout.casts}
    watch(0, 0)
    for batch in _small(batches):
        for cast, survey, column in zip(layout.casts, surveys, layout.columns(batch, rows), strict=True):
            size += column.nbytes
            if column.null_count < len(column):
                empty.discard(cast.name)
            if survey is not None:
                survey.add(column, rows)
        rows += batch.num_rows
        watch(rows, size)
    return surveys, rows, size, tuple(sorted(empty)) if rows else ()


def _notes(
    spec: InputSpec,
    layout: _Layout,
    surveys: Sequence[DateSurvey | None],
    formats: Sequence[Sequence[DateFormat] | None],
) -> Iterator[str]:
    if spec.drop:
        yield f"dropped: {', '.join(spec.drop)}"
    for cast, survey, chosen in zip(layout.casts, surveys, formats, strict=True):
        if cast.note:
            yield f"{cast.name}: {cast.note}"
        if cast.name in layout.cells:
            yield from layout.cells[cast.name].notes()
        if survey is not None:
            yield from survey.notes(chosen or ())


def _small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of `batches` in small batches; any fault on the way is a SpecError without values."""
    try:
        for batch in batches:
            yield from (batch.slice(at, _BATCH_ROWS) for at in range(0, batch.num_rows, _BATCH_ROWS))
    except ClientError:
        raise
    except Exception as error:  # a source is the caller's code and may raise anything
        raise SpecError(f"the input cannot be read ({type(error).__name__})") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

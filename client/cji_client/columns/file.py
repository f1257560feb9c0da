"""`columns.toml`: the encrypted columns of one table, or of one container of Cosmos DB, and their keys.

`cji columns describe` writes it from an exported catalogue, a person completes it, `cji columns rewrap` and `cji job
run --columns` read it. It grants nothing: the worker goes by the signed statement that `rewrap` makes of it.

A column's class of data is not written in it, but follows from the record schema. Only a column that the schema does
not have, into which results are sealed, states its `data_class`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.data_classes import DataClass
from cji_core.documents import convert
from cji_core.errors import SpecError
from cji_core.format.columns import ColumnFormat, SqlType, TypeInvalid
from cji_core.format.paths import FileName
from cji_core.format.records import SCHEMAS

MAX_BYTES: Final = 1 << 20
_REMEDY: Final = "Compare it with docs/command.md."
_PATH: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP: Final = re.compile(r"\.(?P<name>[A-Za-z_]+)(?:\[(?P<at>[0-9]+)\])?")
_HEADER: Final = re.compile(r"^\s*\[\[\s*(?P<name>[A-Za-z_]+)\s*\]\]")

_Text = Annotated[str, Meta(min_length=1, max_length=1024)]
_Short = Annotated[str, Meta(min_length=1, max_length=128)]
_Table = Annotated[str, Meta(min_length=1, max_length=256)]

_STATED: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""Names of columns in statements."""
_STATED_BYTES: Final = 256
"""Of a table's name and of a key path in a statement."""
_FORMATS: Final = {"sql_server": ColumnFormat.SQL_SERVER, "cosmos_db": ColumnFormat.COSMOS_DB}

_UNSTATABLE: Final = f"longer than {_STATED_BYTES} bytes, not printable, or with a blank at an end"
_TYPES: Final = {
    "sql_server": "Write the SQL type, for example nvarchar(60), char(9) cp1252 or decimal(9,2).",
    "cosmos_db": "Write string, long, double or bool.",
}

Format = Literal["sql_server", "cosmos_db"]
Provider = Literal["azure_key_vault", "certificate_store", "cng", "csp"]
Encryption = Literal["deterministic", "randomized"]
Right = Literal["open", "seal", "compare"]


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column encryption key as the catalogue has it: encrypted under a master key.

    `master_key` is the path of the master key, `provider` who wrote `encrypted_value`: hexadecimal ENCRYPTED_VALUE of
    SQL Server, base64 of Cosmos DB.
    """

    name: _Short
    master_key: _Text
    provider: Provider
    encrypted_value: Annotated[str, Meta(min_length=1, max_length=1 << 14)]


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An encrypted column: `name` in the database (of Cosmos DB the path of a property), `record` in the records."""

    name: _Text
    record: str
    type: _Short
    encryption: Encryption
    key: _Short
    rights: Annotated[tuple[Right, ...], Meta(min_length=1, max_length=3)]
    data_class: DataClass | None = None

    @property
    def sql_type(self) -> SqlType:
        """Its type. A description that was read has no other."""
        return SqlType.parse(self.type)


class ResultColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """A `column` of an output of the job that the worker seals, `as` the cells of a column of this table."""

    output: _Short
    column: _Short
    as_: _Short


class ColumnsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table. `schema` is the record schema of its records; `keys_file` what `cji columns rewrap` writes."""

    format: Format
    table: _Table
    schema: _Short
    keys_file: _Text
    keys: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=16)]
    columns: Annotated[tuple[Column, ...], Meta(min_length=1, max_length=64)]
    results: Annotated[tuple[ResultColumn, ...], Meta(max_length=64)] = ()

    @property
    def column_format(self) -> ColumnFormat:
        """The format of its cells."""
        return _FORMATS[self.format]

    def data_class(self, column: Column) -> DataClass:
        """The class of data of a column: that of the record schema, which `data_class` stands for where it has none."""
        known = SCHEMAS[self.schema].columns.get(column.record)
        found = column.data_class if known is None else known.data_class
        if found is None:
            raise ValueError(f"{column.record} is not a column of {self.schema}")
        return found

    def column(self, record: str) -> Column | None:
        """The column of this name in the records."""
        return next((each for each in self.columns if each.record == record), None)


def load_columns(file: FileName) -> ColumnsFile:
    """The description in this file, `keys_file` with its folder; SpecError names the line and what to write there."""
    path = Path(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    found = decode_columns(data, path.name)
    return msgspec.structs.replace(found, keys_file=str(path.parent / found.keys_file))


def decode_columns(data: bytes, name: str = "columns.toml") -> ColumnsFile:
    """The description in this TOML; `name` is that of its file, for errors."""
    if len(data) > MAX_BYTES:
        raise SpecError(f"{name} is longer than {MAX_BYTES} bytes", remedy=_REMEDY)
    try:
        table = msgspec.toml.decode(data)
        found = convert(table, ColumnsFile, str_keys=True)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        what, path = _located(str(error))
        raise SpecError(f"{name}{_line(data, path)}: {what}", remedy=_REMEDY) from None
    for path, what, remedy in _faults(found):
        raise SpecError(f"{name}{_line(data, path)}: {what}", remedy=remedy)
    return found


def _faults(file: ColumnsFile) -> Iterator[tuple[str, str, str]]:
    """Each fault of a description that its types allow: its place, its words, and a remedy."""
    schema = SCHEMAS.get(file.schema)
    if schema is None or schema.output_only:
        yield ".schema", f"{file.schema} is not a schema of input records", "Choose one of `cji schema list`."
        return
    yield from _repeated("keys", "name", [each.name for each in file.keys])
    yield from _repeated("columns", "name", [each.name for each in file.columns])
    yield from _repeated("columns", "record", [each.record for each in file.columns])
    if not _statable(file.table):
        yield ".table", _UNSTATABLE, "Name the table as database.schema.table."
    if not file.keys_file.isprintable():
        yield ".keys_file", "not the name of a file", "Write a name such as persons.keys.json."
    for position, key in enumerate(file.keys):
        if not _statable(key.master_key):
            yield f".keys[{position}].master_key", _UNSTATABLE, "Write the path as the catalogue has it."
        if file.format == "cosmos_db" and key.provider != "azure_key_vault":
            yield f".keys[{position}].provider", "Cosmos DB has azure_key_vault only", "Write azure_key_vault."
    for position, column in enumerate(file.columns):
        for member, what, remedy in _column_faults(file, column):
            yield f".columns[{position}].{member}", what, remedy
    for position, result in enumerate(file.results):
        target = file.column(result.as_)
        if target is None or "seal" not in target.rights:
            what = f"{result.as_} is not a column with the right seal"
            yield f".results[{position}].as", what, 'Name the `record` of a column whose rights have "seal".'


def _column_faults(file: ColumnsFile, column: Column) -> Iterator[tuple[str, str, str]]:
    known = SCHEMAS[file.schema].columns.get(column.record)
    if not column.record:
        what = f"{column.name} has no column of the records"
        yield "record", what, f"Write the column of {file.schema} that it is, or remove the entry."
    elif known is not None and column.data_class is not None:
        what = f"{column.record} has the class {known.data_class.value} in {file.schema}"
        yield "data_class", what, "Remove data_class here."
    elif known is None and column.rights != ("seal",):
        what = f"{column.record} is not a column of {file.schema}"
        yield "record", what, f"Choose one of `cji schema show {file.schema}`; results alone have names of their own."
    elif known is None and column.data_class is None:
        what = f"{column.record} is not a column of {file.schema}, so its class of data is unknown"
        yield "record", what, 'Add data_class, such as data_class = "control number".'
    elif known is None and not _STATED.fullmatch(column.record):
        yield "record", f"{column.record} is not a name", "Write a letter, then letters, digits and underscores."
    yield from _type_faults(file, column)
    if len(set(column.rights)) != len(column.rights):
        yield "rights", "a right is repeated", "Write each right once."
    if "compare" in column.rights and "open" not in column.rights:
        yield "rights", "compare without open", "A column that is compared is opened: add open."
    if column.key not in {each.name for each in file.keys}:
        yield "key", f"{column.key} is not the name of one of [[keys]]", "Name one of them, or add it."
    if file.format == "cosmos_db" and not column.name.startswith("/"):
        yield "name", "not the path of a property", f"Write /{column.name}."


def _type_faults(file: ColumnsFile, column: Column) -> Iterator[tuple[str, str, str]]:
    try:
        found = column.sql_type
    except TypeInvalid as error:
        yield "type", f"{column.type} is not a type of an encrypted column", error.remedy
        return
    if found.format is not file.column_format:
        yield "type", f"{column.type} is a type of the other format", _TYPES[file.format]


def _statable(text: str) -> bool:
    return text == text.strip() and text.isprintable() and len(text.encode()) <= _STATED_BYTES


def _repeated(table: str, member: str, names: list[str]) -> Iterator[tuple[str, str, str]]:
    for position, name in enumerate(names):
        if name and name in names[:position]:
            yield f".{table}[{position}].{member}", f"{name} stands there twice", "Give each entry a name of its own."


def _located(message: str) -> tuple[str, str]:
    """A message of msgspec without its path, and the path."""
    found = _PATH.search(message)
    return (message, "") if found is None else (message[: found.start()], found["path"])


def _line(data: bytes, path: str) -> str:
    """`, line 12`: where the member at this path stands, or else the table that lacks it; empty for the whole file."""
    steps = [(found["name"], found["at"]) for found in _STEP.finditer(path)]
    if not steps:
        return ""
    lines = data.decode("utf-8", "replace").split("\n")
    (first, at), *rest = steps
    headers = [(number, found["name"]) for number, line in enumerate(lines) if (found := _HEADER.match(line))]
    begin, end = 0, headers[0][0] if headers else len(lines)
    member: Any = first
    if at is not None:
        own = [number for number, name in headers if name == first]
        if int(at) >= len(own):
            return ""
        begin = own[int(at)]
        end = min((number for number, _ in headers if number > begin), default=len(lines))
        member = rest[0][0] if rest else None
    stands = re.compile(rf"^\s*\"?{re.escape(str(member))}\"?\s*=")
    number = next((number for number in range(begin, end) if member and stands.match(lines[number])), None)
    if number is None:
        return "" if at is None else f", line {begin + 1}"
    return f", line {number + 1}"

"""The catalogue of Azure SQL or SQL Server, exported as JSON by the query in `catalogue.sql`.

Source of the names: Microsoft Learn, sys.columns, sys.column_encryption_keys, sys.column_encryption_key_values and
sys.column_master_keys. `max_length` is in bytes, -1 for max; `encryption_type` 1 deterministic, 2 randomized.
"""

from dataclasses import replace
from importlib.resources import files
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_client.columns.draft import Draft, DraftColumn, DraftKey, Finding, printable
from cji_client.columns.encrypted_value import EncryptedValue
from cji_client.columns.errors import ColumnKeyRefused
from cji_core.documents import convert
from cji_core.errors import SpecError
from cji_core.format.columns import ColumnFormat, SqlType, TypeInvalid
from cji_core.strict import JsonObject, hex_decode

ALGORITHM: Final = "AEAD_AES_256_CBC_HMAC_SHA256"
_KEY_ALGORITHM: Final = "RSA_OAEP"
_PROVIDERS: Final = {
    "AZURE_KEY_VAULT": "azure_key_vault",
    "MSSQL_CERTIFICATE_STORE": "certificate_store",
    "MSSQL_CNG_STORE": "cng",
    "MSSQL_CSP_PROVIDER": "csp",
}
_ENCRYPTIONS: Final = {1: "deterministic", 2: "randomized"}
_WIDE: Final = frozenset(("nchar", "nvarchar"))
_NARROW: Final = frozenset(("char", "varchar"))
_BYTES: Final = frozenset(("binary", "varbinary"))
_DECIMAL: Final = frozenset(("decimal", "numeric"))
_FRACTION: Final = frozenset(("time", "datetime2", "datetimeoffset"))
_UTF8: Final = 65001
_REMEDY: Final = "Export it again with the query that `cji columns describe --query` prints."
_Name = Annotated[str, Meta(min_length=1, max_length=4000)]


class _Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: _Name
    table: _Name
    column: _Name
    type: _Name | None = None
    max_length: int
    precision: int
    scale: int
    collation_name: _Name | None = None
    code_page: int | None = None
    encryption_type: int | None = None
    encryption_algorithm_name: _Name | None = None
    column_encryption_key: _Name | None = None
    column_encryption_key_database_name: _Name | None = None

    @property
    def of(self) -> str:
        return f"{self.schema}.{self.table}"


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    column_encryption_key: _Name
    column_master_key: _Name
    encryption_algorithm_name: _Name
    encrypted_value: Annotated[str, Meta(pattern="^0x(?:[0-9A-Fa-f]{2})+$", max_length=1 << 14)]


class _MasterKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: _Name
    key_store_provider_name: _Name
    key_path: _Name
    allow_enclave_computations: bool = False


class _Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    database: _Name
    columns: list[_Column] = []
    column_encryption_key_values: list[_Value] = []
    column_master_keys: list[_MasterKey] = []


def query() -> str:
    """The query that exports a catalogue."""
    return files("cji_client.columns").joinpath("catalogue.sql").read_text("utf-8")


def draft(document: JsonObject, table: str | None) -> Draft:
    """A table of the catalogue, the only one or the named one: `schema.table`."""
    try:
        catalogue = convert(document, _Catalogue)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"the export is not one of the query: {error}", remedy=_REMEDY) from None
    name = _chosen(catalogue, table)
    return _Reader(catalogue, name).draft()


def _chosen(catalogue: _Catalogue, table: str | None) -> str:
    tables = sorted({column.of for column in catalogue.columns if column.encryption_type is not None})
    if not tables:
        raise SpecError("the export has no encrypted column", remedy=_REMEDY)
    listed = ", ".join(printable(each) for each in tables)
    if table is None:
        if len(tables) > 1:
            raise SpecError(f"the export has several tables: {listed}", remedy="Name one with --table.")
        return tables[0]
    given = table.removeprefix(f"{catalogue.database}.")
    found = [each for each in tables if each.lower() == given.lower()]
    if len(found) != 1:
        raise SpecError(f"the export has no encrypted column of {table}", remedy=f"Name one of: {listed}.")
    return found[0]


class _Reader:
    """One table: its columns and keys, and findings on the way."""

    def __init__(self, catalogue: _Catalogue, table: str) -> None:
        self._catalogue, self._table = catalogue, table
        self._findings = list[Finding]()

    def draft(self) -> Draft:
        columns = (self._column(column) for column in self._catalogue.columns if column.of == self._table)
        found = [column for column in columns if column is not None]
        made = (self._key(name) for name in dict.fromkeys(each.key for each in found))
        keys = [key for key in made if key is not None]
        kept = [each for each in found if each.key in {key.name for key in keys}]
        if not kept:
            reasons = "; ".join(f"{each.subject}: {each.text}" for each in self._findings)
            raise SpecError(
                f"no column of {printable(self._table)} can be used: {reasons}", remedy="See docs/command.md."
            )
        return Draft(
            format="sql_server",
            table=f"{self._catalogue.database}.{self._table}",
            keys=keys,
            columns=kept,
            findings=self._findings,
        )

    def _note(self, code: str, subject: str, text: str) -> None:
        self._findings.append(Finding(code=code, subject=printable(subject), text=printable(text)))

    def _column(self, column: _Column) -> DraftColumn | None:
        """None for one that is not encrypted, or that no job can open."""
        kind = sql_type(column)
        if column.encryption_type is None:
            if kind is None:
                text = f"It is {_kind(column)}, which Always Encrypted does not have: it stays plain."
                self._note("type-not-supported", column.column, text)
            return None
        encryption = _ENCRYPTIONS.get(column.encryption_type)
        if kind is None or encryption is None or column.encryption_algorithm_name != ALGORITHM:
            what = _described(column)
            self._note("type-not-supported", column.column, f"It is {what}, which no job can open: it is left out.")
            return None
        if column.column_encryption_key is None:
            where = column.column_encryption_key_database_name or "another database"
            self._note("key-elsewhere", column.column, f"Its key is in {where}: it is left out.")
            return None
        return DraftColumn(name=column.column, type=kind, encryption=encryption, key=column.column_encryption_key)

    def _key(self, name: str) -> DraftKey | None:
        """Its value under the master key that was made last; others are findings."""
        values = [each for each in self._catalogue.column_encryption_key_values if each.column_encryption_key == name]
        made = [found for value in values if (found := self._value(value)) is not None]
        if not made:
            self._note("key-not-usable", name, "The export has no usable value of it: its columns are left out.")
            return None
        *others, last = made
        if others:
            text = f"It has {len(made)} values, as in a rotation: the last one, under {last.master_key}, is used."
            self._note("key-with-several-values", name, text)
        tables = sorted({c.of for c in self._catalogue.columns if c.column_encryption_key == name})
        if len(tables) > 1:
            text = f"It is the key of several tables: {', '.join(tables)}. Give each its own."
            self._note("key-of-several-tables", name, text)
        return replace(last, others=tuple(others))

    def _value(self, value: _Value) -> DraftKey | None:
        name = value.column_encryption_key
        master = next(
            (each for each in self._catalogue.column_master_keys if each.name == value.column_master_key), None
        )
        provider = None if master is None else _PROVIDERS.get(master.key_store_provider_name)
        if master is None or provider is None or value.encryption_algorithm_name != _KEY_ALGORITHM:
            kind = "unknown" if master is None else f"of {master.key_store_provider_name}"
            self._note("provider-not-supported", name, f"Its master key {value.column_master_key} is {kind}.")
            return None
        if master.allow_enclave_computations:
            text = f"The server may compute on values under {master.name} in an enclave of its own."
            self._note("enclave-computations", name, text)
        self._compare(value, master)
        return DraftKey(
            name=name, master_key=master.key_path, provider=provider, encrypted_value=value.encrypted_value[2:].lower()
        )

    def _compare(self, value: _Value, master: _MasterKey) -> None:
        try:
            found = EncryptedValue.parse(hex_decode(value.encrypted_value[2:].lower()))
        except ColumnKeyRefused as refused:
            self._note("value-malformed", value.column_encryption_key, f"ENCRYPTED_VALUE cannot be read: {refused}.")
            return
        if not found.has_path(master.key_path):
            text = f"The key path in ENCRYPTED_VALUE is not that of {master.name}: rewrap will refuse it."
            self._note("key-path-differs", value.column_encryption_key, text)


def sql_type(column: _Column) -> SqlType | None:
    """Its type; None for one that cells do not have."""
    name = column.type or ""
    length = None if column.max_length == -1 else column.max_length
    try:
        if name in _WIDE:
            return SqlType(name, length=None if length is None else length // 2)
        if name in _NARROW:
            page = "utf-8" if column.code_page == _UTF8 else f"cp{column.code_page}"
            return SqlType(name, length=length, code_page=page)
        if name in _BYTES:
            return SqlType(name, length=length)
        if name in _DECIMAL:
            return SqlType(name, precision=column.precision, scale=column.scale)
        found = SqlType(name, scale=column.scale) if name in _FRACTION else SqlType(name)
        return found if found.format is ColumnFormat.SQL_SERVER else None
    except TypeInvalid:
        return None


def _described(column: _Column) -> str:
    page = f" of code page {column.code_page}" if column.type in _NARROW else ""
    return f"{_kind(column)}{page}, {column.encryption_algorithm_name}"


def _kind(column: _Column) -> str:
    return column.type or "a type of its own"

"""Tables as an agency's database gives them: person columns sealed by tedious, the others as they are.

The records are those of examples/. Each table is written twice, as plain records and as what a driver without column
encryption gives, so that a job on the one can be compared with the same job on the other.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from cji_core.format.records import SCHEMAS
from tests.support.always_encrypted import Tedious
from tests.support.paths import ROOT

__all__ = ["TABLES", "SealedTable", "Sql", "database_name", "typed"]


@dataclass(frozen=True, slots=True)
class Sql:
    """The SQL type of a column, and whether equal values have equal cells."""

    type: str
    deterministic: bool = False

    @property
    def encryption(self) -> str:
        """As columns.toml has it."""
        return "deterministic" if self.deterministic else "randomized"


NAME: Final = Sql("nvarchar(60)", deterministic=True)
TEXT: Final = Sql("nvarchar(400)")
SEX: Final = Sql("char(1) cp1252")
DAY: Final = Sql("date")
YMD: Final = Sql("char(8) cp1252")
"""For dates of which a part is unknown."""
SOC: Final = Sql("char(9) cp1252", deterministic=True)
NUMBER: Final = Sql("int")
FLAG: Final = Sql("bit")
ID: Final = Sql("varchar(20) cp1252", deterministic=True)


@dataclass(frozen=True, kw_only=True)
class SealedTable:
    """One table: a file of examples/, its schema, and the SQL types of the columns that are encrypted."""

    file: str
    schema: str
    columns: Mapping[str, Sql]
    rights: Sequence[str] = ("open",)
    database: str = "cjis"
    ceks: dict[str, bytes] = field(default_factory=dict)
    """By class of data, made at first use."""

    @property
    def name(self) -> str:
        """Of the table in the database."""
        folder, file = self.file.split("/")
        return f"{self.database}.dbo.{folder}_{file.partition('.')[0]}"

    def cek(self, column: str) -> bytes:
        """The key of a column: one for each class of data."""
        return self.ceks.setdefault(self.data_class(column), secrets.token_bytes(32))

    def data_class(self, column: str) -> str:
        """That of the record schema."""
        return SCHEMAS[self.schema].columns[column].data_class.value

    def plain(self) -> pa.Table:
        """The records, with the types that the columns have in the database."""
        path = ROOT / "examples" / self.file
        names = path.read_text(encoding="utf-8").partition("\n")[0].split(",")
        texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
        table = csv.read_csv(path, convert_options=texts)
        for at, name in enumerate(table.column_names):
            kind = self.columns.get(name)
            if kind is not None:
                table = table.set_column(at, name, typed(table[name], kind))
        return table

    def sealed(self, plain: pa.Table | None = None) -> pa.Table:
        """What a driver without column encryption gives: encrypted columns as varbinary, by their names there."""
        table = self.plain() if plain is None else plain
        for at, name in enumerate(table.column_names):
            if (kind := self.columns.get(name)) is None:
                continue
            values = [_canonical(value) for value in table[name].to_pylist()]
            cells = Tedious().seal(kind.type, values, self.cek(name), deterministic=kind.deterministic)
            table = table.set_column(at, database_name(name), pa.array(cells, pa.binary()))
        return table

    def write(self, folder: Path) -> tuple[Path, Path]:
        """plain.parquet and sealed.parquet in a new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        plain = self.plain()
        for name, table in (("plain", plain), ("sealed", self.sealed(plain))):
            parquet.write_table(table, folder / f"{name}.parquet")
        return folder / "plain.parquet", folder / "sealed.parquet"


def database_name(record: str) -> str:
    """The name in the database of the column with this name in records."""
    return f"Person_{record}"


def typed(column: pa.ChunkedArray, kind: Sql) -> pa.ChunkedArray:
    """Text as the values of a column of this SQL type: those of char(n) and nchar(n) have n characters."""
    base, _, length = kind.type.partition(" ")[0].rstrip(")").partition("(")
    if base == "date":
        return pc.strptime(column, format="%Y%m%d", unit="s").cast(pa.date32())
    if base == "bit":
        return pc.equal(pc.utf8_lower(column), "true")
    numbers = {"tinyint": pa.uint8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64()}
    if base in numbers:
        return column.cast(numbers[base])
    return pc.utf8_rpad(column, int(length)) if base in ("char", "nchar") else column


def _canonical(value: object) -> str | None:
    """The text of a value for tedious."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)


_PERSON: Final = {"last": NAME, "first": NAME, "DOB": DAY, "SEX": SEX, "SOC": SOC, "postcode": ID}
_EVENT: Final = {
    "subject": ID,
    "date": DAY,
    "charge": TEXT,
    "disposition": Sql("nvarchar(40)"),
    "disposition_date": DAY,
    "sealed": FLAG,
    "expunged": FLAG,
    "juvenile": FLAG,
    "non_conviction": FLAG,
}
_COMPARED: Final = ("open", "compare")

TABLES: Final = {
    "validate": SealedTable(
        file="persons/people.csv",
        schema="person/1",
        columns={
            "record_id": NUMBER,
            "NAM": NAME,
            "SEX": SEX,
            "DOB": Sql("varchar(10) cp1252"),
            "HGT": NUMBER,
            "WGT": Sql("smallint", deterministic=True),
            "SOC": SOC,
            "OLN": TEXT,
        },
    ),
    "link": SealedTable(
        file="link/people.csv", schema="person/1", columns={"record_id": NUMBER, **_PERSON, "DOB": YMD}
    ),
    "screen": SealedTable(
        file="screen/inquiries.csv",
        schema="person/1",
        columns={"NAM": NAME, "SEX": SEX, "DOB": DAY, "SOC": SOC},
        rights=_COMPARED,
    ),
    "screen_reference": SealedTable(
        file="screen/hotfile.csv",
        schema="hotfile/1",
        columns={"NAM": NAME, "SEX": SEX, "DOB": YMD, "SOC": SOC, "OCA": Sql("nvarchar(20)")},
        rights=_COMPARED,
    ),
    "deidentify": SealedTable(
        file="deidentify/people.csv", schema="person/1", columns={"SID": ID, **_PERSON, "OLN": Sql("nchar(20)")}
    ),
    "aggregate": SealedTable(
        file="aggregate/people.csv",
        schema="person/1",
        columns={"SID": ID, "SEX": SEX, "county": Sql("nvarchar(40)", deterministic=True)},
    ),
    "disseminate": SealedTable(file="disseminate/events.csv", schema="chri_event/1", columns=_EVENT),
    "clear": SealedTable(
        file="clear/events.csv",
        schema="chri_event/2",
        columns={
            "subject": ID,
            "DOB": DAY,
            "count": Sql("char(9) cp1252"),
            "date": DAY,
            "offense": TEXT,
            "disposition": Sql("nchar(20)", deterministic=True),
            "deceased": FLAG,
            "comment": Sql("nvarchar(max)"),
        },
    ),
    "redact": SealedTable(
        file="redact/reports.csv",
        schema="narrative/1",
        columns={"record_id": NUMBER, "OCA": Sql("varchar(20) cp1252"), "narrative": Sql("nvarchar(max)")},
        rights=_COMPARED,
    ),
    "standardize": SealedTable(
        file="standardize/people.csv",
        schema="person/1",
        columns={"NAM": NAME, "DOB": Sql("nvarchar(12)"), "address_1": TEXT, "state": Sql("nvarchar(20)")},
    ),
    "match_orders": SealedTable(
        file="match_orders/events.csv", schema="chri_event/1", columns=_EVENT, rights=_COMPARED
    ),
}
"""By operation, one for each; `screen_reference` is a side table."""

"""An input with encrypted columns: which of its columns hold cells, by columns.toml.

A column whose name in the database stands in columns.toml gets its name of the records from there. Whatever then has
the name of an encrypted column must hold cells: a value in plain text in it is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from cji_client.columns.cells import CellColumn
from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.errors import ColumnError, SpecError
from cji_client.spec import InputSpec

_NUMBERS: Final = {
    "tinyint": pa.uint8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "long": pa.int64(),
}
"""Types of whole numbers in cells, as drivers return them where they are not encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedColumns:
    """columns.toml beside the `[input]` that names it."""

    file: ColumnsFile
    spec: InputSpec

    @classmethod
    def load(cls, path: Path, spec: InputSpec) -> Self:
        """SpecError if the file cannot be used, or describes records of another schema."""
        file = load_columns(path)
        if file.schema != spec.schema:
            raise SpecError(
                f"{path.name} describes {file.schema}, and the input has the schema {spec.schema}",
                remedy="Name the columns.toml of this table, or change `schema` in one of the two.",
            )
        return cls(file=file, spec=spec)

    def rename(self, names: Sequence[str]) -> Mapping[str, str]:
        """From names of columns of the input to those of the schema: `rename` of `[input]`, and the table's own."""
        own = {column.name: column.record for column in self.file.columns if column.name in names}
        if both := sorted(own.keys() & self.spec.rename.keys()):
            raise SpecError(
                f"columns.toml and rename both name the column {', '.join(both)}", remedy="Remove it from rename."
            )
        return {**self.spec.rename, **own}

    def cells(self, columns: Mapping[str, tuple[str, pa.DataType]]) -> dict[str, CellColumn]:
        """The columns of cells among `columns`, which has name and type in the input by the name in the records."""
        found = {column.record: column for column in self.file.columns if column.record in columns}
        if not found:
            raise ColumnError(
                f"the input has none of the encrypted columns of {self.file.table}",
                columns=sorted(column.name for column in self.file.columns),
                remedy="Select them, or leave out `columns`.",
            )
        if closed := sorted(column.name for column in found.values() if "open" not in column.rights):
            raise ColumnError(
                f"no job may open {', '.join(closed)}: the rights in columns.toml do not have open",
                columns=closed,
                remedy="Drop it in [input], or have the agency add the right and rewrap the keys.",
            )
        marker = self.file.format == "cosmos_db"
        return {
            record: CellColumn(given, record, kind, marker=marker, number=_NUMBERS.get(found[record].sql_type.name))
            for record, (given, kind) in columns.items()
            if record in found
        }

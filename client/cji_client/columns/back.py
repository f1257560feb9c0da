"""Results that go back into a table without being read: rows of a key and of the cells that the worker sealed.

    rows = CellRows(result.batches(), "columns.toml", key="record_id")
    cursor.executemany(f"INSERT INTO staging (id, {', '.join(rows.names)}) VALUES (?, ?)", rows)

`[[results]]` of columns.toml have the column of the database for each sealed column of an output. How SQL Server takes
cells: docs/job.md, "Results that go back".
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from cji_client.casts import ValueMisfit
from cji_client.columns.cells import check_cells
from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.errors import ColumnError, SpecError
from cji_core.format.paths import FileName


class CellRows:
    """The rows of an output: (key, cell, cell ...), null where a cell is. Iterated once.

    `names` are the columns of the database that the cells belong to, in the order of `[[results]]`.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        columns: FileName | ColumnsFile,
        *,
        key: str,
        output: str = "result",
    ) -> None:
        """`batches` of the output, as `OpenedResult.batches` gives them; `key` is the column that names a row.

        SpecError if columns.toml has no result in this output.
        """
        file = columns if isinstance(columns, ColumnsFile) else load_columns(columns)
        of = {each.record: each.name for each in file.columns}
        found = {result.column: of[result.as_] for result in file.results if result.output == output}
        if not found:
            raise SpecError(
                f"columns.toml has no column of {output} in [[results]]",
                remedy="Add the columns that the worker is to seal, and run the job with it.",
            )
        self.names: Final = tuple(found.values())
        self._columns, self._key, self._output = tuple(found), key, output
        self._marker = file.format == "cosmos_db"
        self._batches = batches

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        row = 0
        for batch in self._batches:
            cells = [self._cells(batch, name, row).to_pylist() for name in self._columns]
            yield from zip(self._column(batch, self._key).to_pylist(), *cells, strict=True)
            row += batch.num_rows

    def parameters(self) -> Iterator[tuple[Any, ...]]:
        """The same rows as (cell, cell ..., key), in the order of `UPDATE ... SET a = ?, b = ? WHERE id = ?`."""
        return ((*cells, key) for key, *cells in self)

    def _column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        if name not in batch.schema.names:
            raise ColumnError(
                f"{self._output} has no column {name}",
                columns=(name,),
                remedy=f"It has {', '.join(batch.schema.names)}.",
            )
        return batch.column(name)

    def _cells(self, batch: pa.RecordBatch, name: str, first_row: int) -> pa.Array:
        """Cells by their form: a value in plain text must not be taken for one and written."""
        column = self._column(batch, name)
        remedy = "Run the job with this columns.toml, so that the worker seals the column."
        if column.type != pa.binary():
            raise ColumnError(f"{self._output} has {name} in plain text", columns=(name,), remedy=remedy)
        try:
            check_cells(column, marker=self._marker)
        except ValueMisfit as unfit:
            row = first_row + unfit.index
            raise ColumnError(
                f"row {row} of {self._output}, column {name}: found {unfit.found}, wanted a cell",
                columns=(name,),
                remedy=remedy,
            ) from None
        return column

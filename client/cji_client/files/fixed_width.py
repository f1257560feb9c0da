"""Text with fixed positions: each line is a row, each column lies between two positions of it.

Positions count characters from 1. Outer blanks are not part of a value, and a value of blanks is null. Characters in no
column must be blank: a table that leaves part of the records out is refused, unless it names that part and `drop`s it.
"""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cji_client.errors import SpecError
from cji_client.files.text import TextFile, encoding_of
from cji_client.sources import Batches
from cji_client.spec import InputSpec

_NO_DELIMITER: Final = "\x1f"
"""A character that separates nothing: a line that has it is refused, as one of two fields."""


def read_fixed_width(path: Path, spec: InputSpec) -> Batches:
    """The columns of `spec.fixed_width`, in its order."""
    encoding = encoding_of(path, spec.encoding)
    dialect = {"delimiter": _NO_DELIMITER, "quoting": csv.QUOTE_NONE}
    file = TextFile(path=path, encoding=encoding, dialect=dialect, places=spec.fixed_width)
    schema = pa.schema([(name, pa.string()) for name in spec.fixed_width])
    return Batches(
        schema=schema,
        batches=_batches(file, spec, schema),
        notes=(f"{path.name}: {encoding}, {len(schema)} columns of fixed width",),
        place=file.place(header=False),
    )


def _batches(file: TextFile, spec: InputSpec, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    gaps, row = tuple(_gaps(spec)), 0
    for batch in file.batches(["line"], delimiter=_NO_DELIMITER, header=False, quoted=False):
        lines = batch.column(0)
        for first, last in gaps:
            _require_blank(lines, first, last, file, row)
        columns = [_values(lines, first, last) for first, last in spec.fixed_width.values()]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        row += batch.num_rows


def _gaps(spec: InputSpec) -> Iterator[tuple[int, int | None]]:
    """(first, last) position of each part of a line that is in no column; the last part has no end."""
    places = [(0, 0), *sorted(spec.fixed_width.values())]
    yield from ((last + 1, first - 1) for (_, last), (first, _) in pairwise(places) if first > last + 1)
    yield places[-1][1] + 1, None


def _values(lines: pa.Array, first: int, last: int | None) -> pa.Array:
    values = pc.utf8_trim(pc.utf8_slice_codeunits(lines, first - 1, last), " ")
    return pc.if_else(pc.equal(pc.binary_length(values), 0), None, values)


def _require_blank(lines: pa.Array, first: int, last: int | None, file: TextFile, row: int) -> None:
    at = pc.index(pc.is_valid(_values(lines, first, last)), value=True).as_py()
    if at >= 0:
        where = f"after position {first - 1}" if last is None else f"in positions {first} to {last}"
        raise SpecError(
            f"{file.path.name}: {file.place(header=False)(row + at)} has characters {where}, which belong to no column",
            remedy="Add that part to fixed_width, and its name to drop if it is not needed.",
        )

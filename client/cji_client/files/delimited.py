"""Text with delimiters (RFC 4180, and its relatives with tabs, semicolons and bars): a header, then a row a line.

The delimiter is the stated one, or the one that splits the beginning of the file into equal rows of most fields. Values
are text as they are, blanks included; an empty field is null. Names of columns lose outer blanks.
"""

import csv
import io
from itertools import dropwhile
from pathlib import Path
from typing import Final

import pyarrow as pa

from cji_client.errors import SpecError
from cji_client.files.header import require_distinct
from cji_client.files.text import SAMPLE, UNDECODED, TextFile, encoding_of, numbered
from cji_client.sources import Batches
from cji_client.spec import InputSpec

_DELIMITERS: Final = (",", ";", "\t", "|", "^", "~")
_NAMES: Final = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}
_MOST_COLUMNS: Final = 4096


def read_delimited(path: Path, spec: InputSpec) -> Batches:
    """The columns of the file by their names in its header."""
    encoding = encoding_of(path, spec.encoding)
    delimiter = spec.delimiter or _guess(path, encoding)
    file = TextFile(path=path, encoding=encoding, dialect={"delimiter": delimiter})
    rows = file.rows()
    line, header = next(rows, (0, list[str]()))
    if any(UNDECODED in name for name in header):
        file.refuse_bytes("names of columns")
    names = [name.strip() for name in header]
    require_distinct(names, f"{path.name}: line {line}")
    if len(names) > _MOST_COLUMNS:
        raise SpecError(f"{path.name} has {len(names)} columns; {_MOST_COLUMNS} can be read")
    empty = next(rows, None) is None
    batches = iter(()) if empty else file.batches(header, delimiter=delimiter, header=True, quoted=True)
    schema = pa.schema([(name, pa.string()) for name in names])
    return Batches(
        schema=schema,
        batches=(pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in batches),
        notes=(f"{path.name}: {encoding}, {len(names)} columns, delimiter {_NAMES.get(delimiter, delimiter)}",),
        place=file.place(header=True),
    )


def _guess(path: Path, encoding: str) -> str:
    """The delimiter of the file; SpecError if two are as good, or if the rows are equal with none."""
    sample, before = _sample(path, encoding)
    widths = {delimiter: _width(sample, delimiter) for delimiter in _DELIMITERS if delimiter in sample[0]}
    even = {delimiter: width for delimiter, (width, odd) in widths.items() if odd is None and width > 1}
    best = [delimiter for delimiter, width in even.items() if width == max(even.values())]
    if len(best) == 1:
        return best[0]
    if best:
        text = f"could be split by {' or '.join(_NAMES.get(one, one) for one in best)}"
    elif not widths:
        return _DELIMITERS[0]  # one column
    else:
        delimiter = max(widths, key=lambda one: widths[one][0])
        width, odd = widths[delimiter]
        line, fields = odd or (1, width)
        name = _NAMES.get(delimiter, delimiter)
        text = f"has no even rows: split by {name}, line {before + line} has {fields} fields, wanted {width}"
    raise SpecError(f"{path.name} {text}", remedy='State delimiter in [input], for example ";".')


def _sample(path: Path, encoding: str) -> tuple[list[str], int]:
    """(whole lines from the first that is not blank, the blank ones before); without the last if the file goes on."""
    file = TextFile(path=path, encoding=encoding)
    with file.open() as text:
        lines = list(io.StringIO(text.read(SAMPLE), newline=""))
        more = bool(text.read(1))
    whole = lines[:-1] if more and len(lines) > 1 else lines
    sample = list(dropwhile(lambda line: not line.strip(), whole))
    if not sample:
        raise SpecError(f"{path.name} must start with a line of distinct column names; it has blank lines only")
    return sample, len(whole) - len(sample)


def _width(sample: list[str], delimiter: str) -> tuple[int, tuple[int, int] | None]:
    """(fields of the header, the line of the first row with others, and their number). A quoted end may be cut off."""
    try:
        widths = [(line, len(row)) for line, row in numbered(sample, delimiter=delimiter)]
    except csv.Error:
        return 0, (1, 0)
    whole = widths[1:-1] if sum(line.count('"') for line in sample) % 2 else widths[1:]
    return widths[0][1], next((odd for odd in whole if odd[1] != widths[0][1]), None)

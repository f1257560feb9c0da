"""Excel workbooks (.xlsx, .xlsm): one sheet, its first row with values as the header.

openpyxl reads them row by row in Python: a hostile file becomes an exception, memory does not grow with the sheet, and
formats of numbers are known. (python-calamine is faster, but holds a sheet as a full rectangle, which one distant cell
makes larger than any memory, and does not report formats.) `check_workbook` comes first.

Values become text: a number as its digits, filled with zeros if its format is made of them (`00000` for ZIP codes,
`000-00-0000` for Social Security numbers); a day as YYYY-MM-DD; true and false. A cell with an error is null; a note
has their number. Rows without a value are not records.
"""

import datetime
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from cji_client.errors import SpecError
from cji_client.files.header import require_distinct
from cji_client.files.workbook import ARCHIVE_ERRORS, check_workbook
from cji_client.places import from_zero
from cji_client.sources import Batches
from cji_client.spec import InputSpec
from cji_core.suggest import did_you_mean

if TYPE_CHECKING:
    from openpyxl.cell.read_only import ReadOnlyCell

_BATCH_ROWS: Final = 4_096
_ZEROS: Final = re.compile(r'(?:0|[-\\" ])+')
_EXACT: Final = 1 << 53
_FAULTS: Final = (*ARCHIVE_ERRORS, KeyError, IndexError, TypeError, AttributeError, SyntaxError, RecursionError)
"""The errors of openpyxl for workbooks whose parts contradict each other."""


def read_excel(path: Path, spec: InputSpec) -> Batches:
    """The sheet that `spec` names, or the only one with rows."""
    import openpyxl  # noqa: PLC0415 - half a second that only workbooks need

    check_workbook(path)
    with _explained(path), warnings.catch_warnings(action="ignore"):
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheet = _sheet(book, path, spec.sheet)
        rows = _rows(sheet)
        number, header = next(rows, (0, ()))
    names = [str(cell.value).strip() if cell.value is not None else "" for cell in header]
    while names and not names[-1]:
        names.pop()
    require_distinct(names, f"{path.name}: row {number} of sheet {sheet.title}")
    schema = pa.schema([(name, pa.string()) for name in names])
    notes = [f"{path.name}: sheet {sheet.title}, {len(names)} columns"]

    def place(row: int) -> str:
        """The number that a spreadsheet program shows: rows without a value, the header too, are counted."""
        with _explained(path), warnings.catch_warnings(action="ignore"):
            found = next(islice(_rows(sheet), row + 1, None), None)
        return from_zero(row) if found is None else f"row {found[0]} of sheet {sheet.title}"

    return Batches(schema=schema, batches=_batches(rows, schema, path, notes), notes=notes, place=place)


def filled_sheets(path: Path) -> list[str]:
    """The sheets that have rows; SpecError if the file is not a workbook."""
    import openpyxl  # noqa: PLC0415 - as above

    check_workbook(path)
    with _explained(path), warnings.catch_warnings(action="ignore"):
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        return _with_rows({sheet.title: sheet for sheet in book.worksheets})


def _with_rows(sheets: Mapping[str, Any]) -> list[str]:
    return [name for name, sheet in sheets.items() if next(_rows(sheet), None) is not None]


def _sheet(book: Any, path: Path, wanted: str | None) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    for sheet in sheets.values():
        sheet.reset_dimensions()  # a wrong size in the file would cut the sheet
    if wanted is None:
        filled = _with_rows(sheets)
        if len(filled) == 1:
            return sheets[filled[0]]
        text = f"has {len(filled)} sheets with rows"
    elif wanted in sheets:
        return sheets[wanted]
    else:
        text = f"has no sheet {did_you_mean(wanted, sheets)}"
    raise SpecError(f"{path.name} {text}", remedy=f"State sheet in [input], one of: {', '.join(sheets)}.")


def _rows(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(number from 1, cells) of the rows that have a value."""
    rows = enumerate(sheet.iter_rows(), 1)
    return ((number, row) for number, row in rows if any(cell.value is not None for cell in row))


def _batches(
    rows: Iterator[tuple[int, tuple[Any, ...]]], schema: pa.Schema, path: Path, notes: list[str]
) -> Iterator[pa.RecordBatch]:
    width, errors = len(schema), 0
    while True:
        with _explained(path), warnings.catch_warnings(action="ignore"):
            chunk = list(islice(rows, _BATCH_ROWS))
            if not chunk:
                break
            for number, row in chunk:
                if any(cell.value is not None for cell in row[width:]):
                    raise SpecError(f"{path.name}: row {number} of the sheet has a value beyond its {width} columns")
                errors += sum(cell.data_type == "e" for cell in row)
            texts = [[_text(cell) for cell in row[:width]] + [None] * (width - len(row)) for _, row in chunk]
        columns = [pa.array(column, pa.string()) for column in zip(*texts, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
    if errors:
        notes.append(f"{path.name}: {errors} cells with an error, such as #N/A, are sent as missing")


def _text(cell: Any) -> str | None:
    value = cell.value
    if value is None or cell.data_type == "e":
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if isinstance(value, int):
        return _filled(value, cell)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)


def _filled(value: int, cell: "ReadOnlyCell") -> str:
    """The digits of a number, as many as its format shows."""
    number_format = cell.number_format
    width = number_format.count("0") if _ZEROS.fullmatch(number_format) else 1
    return str(value).zfill(width) if value >= 0 else str(value)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise SpecError(f"{path.name} cannot be read as a workbook ({type(error).__name__})") from None

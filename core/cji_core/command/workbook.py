"""Tables as Excel workbooks (.xlsx, ISO/IEC 29500) whose cells are all text: none is a formula, no identifier a number.

Written here because libraries for it keep the sheet in a temporary file elsewhere on the disk, or whole in memory. The
texts stand in the sheet itself (`inlineStr`), batch by batch. Cells have the number format `@`, so a text that begins
with = stays one when a person edits it. A table of more rows than a sheet holds goes on in a further sheet.
"""

import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from cji_core.errors import SpecError

MOST_ROWS: Final = 1_048_576
"""Of a sheet, the names of columns included: limits of Excel."""
_MOST_COLUMNS: Final = 16_384
_MOST_CHARACTERS: Final = 32_767
_MOST_BYTES: Final = 1 << 30  # of a sheet's XML, and of a workbook: programs that know no ZIP64 take 2 GiB
_CHUNK_ROWS: Final = 4_096
_FAULTS: Final = (OSError, RuntimeError, zipfile.LargeZipFile)  # of closing an archive after another fault
_REMEDY: Final = "Write .csv or .parquet."

_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_STYLES: Final = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts>'
    '<fills count="1"><fill><patternFill/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf/><xf numFmtId="49" applyNumberFormat="1"/>'
    '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_TEXT: Final = ('<c s="1" t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>")
_MISSING: Final = "<c/>"
_ESCAPED: Final = "[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_"


class WorkbookWriter:
    """A workbook with the columns of a schema, all of strings. SpecError where it cannot hold a table."""

    def __init__(self, path: Path, names: list[str]) -> None:
        if len(names) > _MOST_COLUMNS:
            raise SpecError(f"{path.name} would have more than {_MOST_COLUMNS} columns", remedy=_REMEDY)
        self._path, self._names = path, names
        self._archive = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, allowZip64=False)
        self._sheet: IO[bytes] | None = None
        self._sheets = self._rows = self._bytes = 0

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows; all columns are strings."""
        for start in range(0, batch.num_rows, _CHUNK_ROWS):
            chunk = batch.slice(start, _CHUNK_ROWS)
            rows = self._xml(chunk.columns)
            size = sum(map(len, rows))
            if self._sheet is None or self._rows + len(rows) > MOST_ROWS or self._bytes + size > _MOST_BYTES:
                self._new_sheet()
            self._write(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(*_FAULTS):
                self._end_sheet()
            with suppress(*_FAULTS):
                self._archive.close()
            return
        with self._archive:
            if self._sheet is None:
                self._new_sheet()
            self._end_sheet()
            self._end()

    def _write(self, rows: list[bytes]) -> None:
        if self._sheet is not None:
            self._bytes += self._sheet.write(b"".join(rows))
        self._rows += len(rows)
        if self._archive.fp is not None and self._archive.fp.tell() > _MOST_BYTES:
            raise SpecError(f"{self._path.name} would have more than 1 GiB", remedy=_REMEDY)

    def _new_sheet(self) -> None:
        self._end_sheet()
        self._sheets += 1
        self._rows = self._bytes = 0
        self._sheet = self._archive.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        self._sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
        self._write(self._xml([pa.array([name]) for name in self._names]))

    def _end_sheet(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None

    def _xml(self, columns: list[pa.Array]) -> list[bytes]:
        """The rows of a sheet."""
        cells = [
            pc.fill_null(self._cells(name, column), _MISSING) for name, column in zip(self._names, columns, strict=True)
        ]
        row = pc.binary_join_element_wise(pa.scalar("<row>"), *cells, pa.scalar("</row>"), pa.scalar(""))
        rows: list[bytes] = row.cast(pa.binary()).to_pylist()
        return rows

    def _cells(self, name: str, column: pa.Array) -> pa.Array:
        if (pc.max(pc.utf8_length(column)).as_py() or 0) > _MOST_CHARACTERS:
            text = f"{self._path.name}: a text of column {name} has more than {_MOST_CHARACTERS} characters"
            raise SpecError(text, remedy=_REMEDY)
        if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
            column = pa.array([None if text is None else _escaped(text) for text in column.to_pylist()], pa.string())
        for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            column = pc.replace_substring(column, character, reference)
        return pc.binary_join_element_wise(_TEXT[0], column, _TEXT[1], "")

    def _end(self) -> None:
        numbers = range(1, self._sheets + 1)
        overrides = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for n in numbers
        )
        sheets = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
        parts = {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>{overrides}</Types>',
            "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": _relations(
                [*(("worksheet", f"worksheets/sheet{n}.xml") for n in numbers), ("styles", "styles.xml")]
            ),
            "xl/styles.xml": _STYLES,
        }
        for name, content in parts.items():
            self._archive.writestr(name, content if content.startswith(_HEAD) else _HEAD + content)


def _relations(targets: list[tuple[str, str]]) -> str:
    lines = (
        f'<Relationship Id="rId{number}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(lines)}</Relationships>'


def _escaped(text: str) -> str:
    """Characters that XML has not, as _xHHHH_; what looks like such an escape, with its own _ escaped (ST_Xstring)."""
    return re.sub(_ESCAPED, lambda found: f"_x{ord(found[0][0]):04X}_{found[0][1:]}", text)

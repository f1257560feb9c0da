"""Before a workbook is opened: whether it is what a spreadsheet program writes, and costs no more than it holds.

A workbook is a ZIP archive of XML parts (ISO/IEC 29500). Its library reads the parts that the workbook names, so every
part is read here once, with bounds on all that a reader could be made to keep: document types (and with them entities),
sizes, ratios, depth, elements, attributes, texts, and numbers of rows and columns. Rows and cells must ascend, because
others would be dropped silently; formulas must have a computed value, because none is computed.
"""

import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final
from xml.parsers import expat

from cji_client.errors import SpecError

MOST_ROWS: Final = 1_048_576
_MOST_PARTS: Final = 2_048
_MOST_DIRECTORY: Final = 1 << 20  # bytes of the archive's directory
_MOST_BYTES: Final = 2 << 30  # of all parts
_MOST_RATIO: Final = 100  # of a part's size to its compressed size, beyond the first MiB
_MOST_STRINGS: Final = 512 << 20  # bytes of the table of strings
_BETWEEN_BYTES: Final = 16 << 20  # between two rows, two strings, or in a part without them
_BETWEEN_ELEMENTS: Final = 1 << 19
_DEPTH: Final = 64
_ATTRIBUTE: Final = 1 << 13
_FORMAT: Final = 255  # Excel's own limit of a number format
_TEXT: Final = 1 << 18  # bytes of one text: 32 767 characters, each perhaps written as a reference
_OTHER_TEXT: Final = 1 << 13  # of a text that is not a value
_CHUNK: Final = 1 << 16

_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main "
_ROW, _CELL, _STRING = f"{_MAIN}row", f"{_MAIN}c", f"{_MAIN}si"
_VALUES: Final = frozenset(_MAIN + name for name in ("v", "t", "f"))
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})[1-9][0-9]{0,6}")
_XML: Final = (".xml", ".rels", ".vml")
_END: Final = b"PK\x05\x06"
_LARGE_END: Final = b"PK\x06\x07"

ARCHIVE_ERRORS: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""The errors of `zipfile` for archives that are damaged, encrypted, or of unknown methods."""


class _Refused(Exception):  # noqa: N818 - it becomes a SpecError with the file's name
    """The workbook is not read; the message completes "NAME ..."."""


def check_workbook(path: Path) -> None:
    """Refuse a file that is not a workbook, or not one that can be read within bounds; SpecError."""
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members)
            for member in members:
                with archive.open(member) as part:
                    _Part(member.filename).read(part)
    except _Refused as refused:
        raise SpecError(
            f"{path.name} {refused}",
            remedy="Open it in the program that made it, save it as .xlsx or .csv, and try again.",
        ) from None
    except ARCHIVE_ERRORS:
        raise SpecError(f"{path.name} is damaged: it cannot be read as a workbook") from None


def _check_directory(path: Path) -> None:
    """The directory at the end of the archive is small; zipfile would read any."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - (1 << 16) - 42))
        tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == _END and tail[-2:] == b"\0\0" else tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise _Refused("is not a whole ZIP archive, so not a workbook")
    count, length = int.from_bytes(tail[at + 10 : at + 12], "little"), int.from_bytes(tail[at + 12 : at + 16], "little")
    if tail[max(0, at - 20) : at].startswith(_LARGE_END) or count > _MOST_PARTS or length > _MOST_DIRECTORY:
        raise _Refused(f"has more than {_MOST_PARTS} parts")


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
        raise _Refused("is a ZIP archive, but not an Excel workbook (.xlsx)")
    if "xl/workbook.bin" in names:
        raise _Refused("is a binary Excel workbook (.xlsb)")
    if len(set(names)) < len(names):
        raise _Refused("has two parts with one name")
    for member in members:
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused("has a password, or parts that are compressed by another method than DEFLATE")
        if member.file_size > (1 << 20) + _MOST_RATIO * member.compress_size:
            raise _Refused("expands to far more than its size, as a ZIP bomb does")
    if sum(member.file_size for member in members) > _MOST_BYTES:
        raise _Refused("has more than 2 GiB of XML; send it as .csv")


class _Part:
    """One part of the archive on its way through the parser."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._depth = 0
        self._elements = 0  # since the last boundary: the start of a row or of a string
        self._boundary = 0
        self._tag = 0  # position of the last tag
        self._leaf = False  # whether that was a start tag
        self._row = self._rows = 0
        self._column = ""
        self._placed: bool | None = None  # whether cells have references
        self._formula = False

    def read(self, part: IO[bytes]) -> None:
        """Read it to its end; _Refused if it exceeds a bound. Parts that are not XML end at their first bytes."""
        given = 0
        try:
            while chunk := part.read(_CHUNK):
                self._parser.Parse(chunk, False)
                given += len(chunk)
                if given - self._boundary > _BETWEEN_BYTES:
                    raise _Refused(f"has too much in one place ({self._name})")
                if not self._rows and given > _MOST_STRINGS:
                    raise _Refused("has too many texts; send it as .csv")
            self._parser.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError):  # the last two: of an encoding
            if self._name.lower().endswith(_XML):
                raise _Refused(f"is damaged: {self._name} is not XML") from None

    def _doctype(self, *_: Any) -> None:
        raise _Refused(f"has a document type, which could define entities ({self._name})")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        self._tag, self._leaf = self._parser.CurrentByteIndex, True
        if self._depth > _DEPTH or self._elements > _BETWEEN_ELEMENTS:
            raise _Refused(f"has too many elements in one place ({self._name})")
        for value in attributes.values():
            if len(value) > _ATTRIBUTE:
                raise _Refused(f"has an attribute that is too long ({self._name})")
        if name == _CELL:
            self._cell(attributes.get("r"))
        elif name == _ROW and self._depth == 3:
            self._new_row(attributes.get("r"))
        elif name == _STRING and self._depth == 2:
            self._boundary, self._elements = self._tag, 0
        elif name == f"{_MAIN}f":
            self._formula = True
        elif name == f"{_MAIN}v":
            self._formula = False
        elif len(attributes.get("formatCode", "")) > _FORMAT:
            raise _Refused("has a number format that is too long")

    def _end(self, name: str) -> None:
        self._depth -= 1
        here = self._parser.CurrentByteIndex
        if here - self._tag > (_TEXT if self._leaf and name in _VALUES else _OTHER_TEXT):
            raise _Refused(f"has a text that is too long ({self._name})")
        if name == _CELL and self._formula:
            raise _Refused(f"has a formula without a computed value in row {self._row}")
        self._tag, self._leaf = here, False

    def _new_row(self, number: str | None) -> None:
        row = self._row + 1 if number is None else int(number) if number.isdecimal() and len(number) < 8 else 0
        if not self._row < row <= MOST_ROWS:
            raise _Refused(f"has rows out of order, or more than {MOST_ROWS} ({self._name})")
        self._row, self._rows = row, self._rows + 1
        self._boundary, self._elements, self._column = self._tag, 0, ""

    def _cell(self, reference: str | None) -> None:
        self._formula = False
        found = None if reference is None else _REFERENCE.fullmatch(reference)
        if self._placed is None:
            self._placed = found is not None
        if self._placed is not (reference is not None) or (reference is not None and found is None):
            raise _Refused(f"has cells without a place in row {self._row}")
        if found is not None:
            column = found[1].rjust(3)
            if not self._column < column <= "XFD":
                raise _Refused(f"has cells out of order in row {self._row}")
            self._column = column

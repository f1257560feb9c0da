"""Files of NIBRS XML: one row a report, as the worker reads them.

The whole file is checked before anything is sent: well-formed, no document type and no entities but XML's own, no
nesting beyond what reports have. What cannot be used is a SpecError with its line and column.

Reports that are in plain form already, as the FBI's own samples are but for their comments, are cut out of the file;
any other file goes through expat element by element, which takes longer and gives the same rows.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.parsers import expat

import pyarrow as pa

from cji_client.errors import SpecError
from cji_core.format.records.column import read
from cji_core.format.records.nibrs.records import Unread
from cji_core.format.records.nibrs.xml_plain import (
    MAX_REPORT_BYTES,
    NAMESPACES,
    XmlError,
    check_beginning,
    plain_reports,
)
from cji_core.format.records.nibrs.xml_reports import all_plain

SCHEMA: Final = pa.schema([pa.field("report", pa.binary())])

_BLOCK: Final = 1 << 20
_BATCH_BYTES: Final = 4 << 20
_REPORT, _END, _LAST = b"<nibrs:Report", b"</nibrs:Report>", b"</nibrs:Submission>"
_ONE: Final = re.compile(rb"<nibrs:Report[\s>].*?</nibrs:Report>", re.DOTALL)
_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)
_NOT_PLAIN: Final = re.compile(rb"<[!?]|\sxmlns|<nibrs:Report/")
_UNDEFINED: Final = 11  # entity
_ENCODINGS: Final = (None, "utf-8", "us-ascii")

_PROBLEMS: Final = {
    Unread.MALFORMED: (
        "is not well-formed XML",
        "Write it with an XML library, and check it against the FBI's schemas.",
    ),
    Unread.FORBIDDEN: (
        "has a document type or an entity",
        "Remove the DOCTYPE and write its entities out: NIBRS XML has none.",
    ),
    Unread.TOO_DEEP: ("has elements nested deeper than any report", "Check it against the FBI's schemas."),
    Unread.TOO_LARGE: (
        f"has a report of more than {MAX_REPORT_BYTES >> 20} MiB",
        "Submit each incident as a report of its own.",
    ),
}


class _NotPlain(Exception):  # noqa: N818 - asks for the other way to read the file
    pass


def read_xml(path: Path) -> tuple[int, Iterator[pa.RecordBatch]]:
    """The number of reports in a file, and batches of them. Raises: SpecError; OSError."""
    try:
        reports = _cut if _check(path) else _through_expat
        rows = sum(1 for _ in reports(path))
    except XmlError as error:
        text, remedy = _PROBLEMS[error.why]
        raise SpecError(f"{path.name} {text} (line {error.line}, column {error.column + 1})", remedy=remedy) from None
    if not rows:
        raise SpecError(f"{path.name} has no nibrs:Report", remedy="Give a file of NIBRS XML (IEPD).")
    return rows, _batches(reports(path))


def _batches(reports: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
    rows: list[bytes] = []
    size = 0
    for report in reports:
        if rows and size + len(report) > _BATCH_BYTES:
            yield _batch(rows)
            rows, size = [], 0
        rows.append(report)
        size += len(report)
    if rows:
        yield _batch(rows)


def _batch(rows: list[bytes]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(rows, pa.binary())], schema=SCHEMA)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _through_expat(path: Path) -> Iterator[bytes]:
    return plain_reports(_blocks(path))


def _check(path: Path) -> bool:
    """Whether a well-formed file is plain. Raises: XmlError for a file that is not well-formed, or forbidden."""
    checker = _Checker()
    for block in _blocks(path):
        checker.feed(block)
    checker.feed(b"", last=True)
    if not checker.plain:
        return False
    try:
        return all(all_plain(read(batch.column(0))) for batch in _batches(_cut(path)))
    except _NotPlain:
        return False


class _Checker:
    """expat over a whole document, without a look at its elements; `plain` is whether its names are the usual ones."""

    def __init__(self) -> None:
        self.plain = True
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.XmlDeclHandler = self._declared
        self._parser.StartNamespaceDeclHandler = self._bind

    def feed(self, block: bytes, *, last: bool = False) -> None:
        """The next bytes. Raises: XmlError."""
        try:
            self._parser.Parse(block, last)
        except XmlError:  # of a handler below
            raise
        except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: of an encoding
            why = Unread.FORBIDDEN if getattr(error, "code", 0) == _UNDEFINED else Unread.MALFORMED
            raise self._error(why) from None

    def _error(self, why: Unread) -> XmlError:
        return XmlError(why, self._parser.ErrorLineNumber, self._parser.ErrorColumnNumber)

    def _refuse(self, *_: object) -> None:
        raise self._error(Unread.FORBIDDEN)

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.plain &= (encoding.lower() if encoding else None) in _ENCODINGS

    def _bind(self, prefix: str | None, uri: str) -> None:
        if prefix in NAMESPACES or uri in NAMESPACES.values():
            self.plain &= NAMESPACES.get(str(prefix)) == uri


def _cut(path: Path) -> Iterator[bytes]:
    """The reports of a file whose names are the usual ones. Raises: _NotPlain."""
    rest = b""
    begun = False
    for block in _blocks(path):
        rest += block
        end = rest.rfind(_END)
        if end >= 0:
            piece, rest = rest[: end + len(_END)], rest[end + len(_END) :]
            if not begun:
                begun = True
                piece = _without_head(piece)
            yield from _reports(_COMMENT.sub(b"", piece))
        elif len(rest) > MAX_REPORT_BYTES:
            raise _NotPlain
    if begun and _COMMENT.sub(b"", rest).strip() != _LAST:
        raise _NotPlain


def _without_head(piece: bytes) -> bytes:
    """The piece from its first report on; a declaration and the metadata of the message come before."""
    begin = piece.find(_REPORT)
    if begin < 0:
        raise _NotPlain
    check_beginning(piece[:begin])
    return piece[begin:]


def _reports(piece: bytes) -> list[bytes]:
    found: list[bytes] = _ONE.findall(piece)
    if _NOT_PLAIN.search(piece) or len(found) != piece.count(_END) or _ONE.sub(b"", piece).strip():
        raise _NotPlain
    return found

"""Reports of NIBRS XML in a plain form that numpy can read: expat reads any XML, and what is forbidden ends it.

Plain: the prefixes of xml_namespaces.csv without declarations, text only in elements without elements inside, no
comments, instructions, sections or references, and no attribute but `s:id` or `s:ref`, one in a tag. `<`, `>` and `&`
in a text become `?`, since no data element may have them.

Refused: document types and with them all entities but XML's own five (nothing is ever expanded or fetched), more than
DEEPEST levels, reports of more than MAX_REPORT_BYTES. Memory is that of one report, time is linear in the bytes read.

Source: FBI, NIBRS XML IEPD 2019.1 (2018-08-16): nibrs 2019 on NIEM 3.2.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from xml.parsers import expat

from cji_core.errors import OperationsError
from cji_core.format.records.nibrs.data import read_data
from cji_core.format.records.nibrs.records import Unread
from cji_core.format.records.nibrs.xml_tags import DEEPEST, NAME_BYTES

MAX_REPORT_BYTES: Final = 4 << 20
NAMESPACES: Final = {row["prefix"]: row["uri"] for row in read_data("xml_namespaces.csv")}

_PREFIXES: Final = {uri: prefix for prefix, uri in NAMESPACES.items()}
_REPORT: Final = "nibrs:Report"
_ID, _REF = (f"{NAMESPACES['s']} {name}" for name in ("id", "ref"))
_DECLARED: Final = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
_AROUND: Final = (f"<row{_DECLARED}>".encode(), b"</row>")
_UNDEFINED_ENTITY: Final = 11
_FORBIDDEN: Final = str.maketrans("<>&", "???")


class XmlError(OperationsError, ValueError):
    """XML that is not read any further: why, and where, line from 1 and column from 0."""

    code = "xml-unread"
    remedy = "Correct the document at the line that the message names."

    def __init__(self, why: Unread, line: int, column: int) -> None:
        super().__init__(f"{why.name} at line {line}, column {column}")
        self.why, self.line, self.column = why, line, column


def plain_reports(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The reports of one document, in plain form, in order. Raises: XmlError, after reports that came before."""
    reader = _Reader()
    for chunk in chunks:
        yield from reader.read(chunk, last=False)
    yield from reader.read(b"", last=True)


def check_beginning(chunk: bytes) -> None:
    """Refuse a document that begins with what no report may have. Raises: XmlError."""
    _Reader().read(chunk, last=False)


def plain(row: bytes) -> bytes | Unread:
    """One report in plain form; its prefixes may be those of NAMESPACES without a declaration."""
    if len(row) > MAX_REPORT_BYTES:
        return Unread.TOO_LARGE
    try:
        found = list(plain_reports((_AROUND[0], row, _AROUND[1])))
    except XmlError as error:
        return error.why
    return found[0] if len(found) == 1 else Unread.NO_REPORT


class _Refused(Exception):  # noqa: N818 - goes through expat, never out of this module
    def __init__(self, why: Unread) -> None:
        self.why = why


class _Reader:
    """Events of expat in, reports out."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._depth = self._size = 0
        self._top = 0  # the depth of the report that is read
        self._parts: list[str] = []
        self._texts: list[str] = []
        self._names: list[str] = []
        self._ids: dict[str, str] = {}
        self._leaf = False
        self._done: list[bytes] = []

    def read(self, chunk: bytes, *, last: bool) -> list[bytes]:
        """The reports that end in this chunk."""
        try:
            self._parser.Parse(chunk, last)
        except _Refused as refused:
            raise self._error(refused.why) from None
        except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: of an encoding
            undefined = getattr(error, "code", 0) == _UNDEFINED_ENTITY
            raise self._error(Unread.FORBIDDEN if undefined else Unread.MALFORMED) from None
        done, self._done = self._done, []
        return done

    def _error(self, why: Unread) -> XmlError:
        return XmlError(why, self._parser.ErrorLineNumber, self._parser.ErrorColumnNumber)

    def _refuse(self, *_: Any) -> None:
        raise _Refused(Unread.FORBIDDEN)

    def _put(self, part: str) -> None:
        self._size += len(part)
        if self._size > MAX_REPORT_BYTES:
            raise _Refused(Unread.TOO_LARGE)
        self._parts.append(part)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Refused(Unread.TOO_DEEP)
        short = _short(name)
        if not self._top:
            if short != _REPORT:
                return
            self._top = self._depth
            self._parts, self._names, self._ids, self._size = [], [], {}, 0
        self._texts, self._leaf = [], True
        self._names.append(short)
        self._put(f"<{short}{self._attribute(attributes)}>")

    def _attribute(self, attributes: dict[str, str]) -> str:
        """The id of an object, or the reference to one, by a number in place of its name."""
        for key, name in ((_REF, "ref"), (_ID, "id")):
            if key in attributes:
                number = self._ids.setdefault(attributes[key], str(len(self._ids)))
                return f' s:{name}="{number}"'
        return ""

    def _text(self, text: str) -> None:
        if self._top:
            self._size += len(text)
            if self._size > MAX_REPORT_BYTES:
                raise _Refused(Unread.TOO_LARGE)
            self._texts.append(text)

    def _end(self, _name: str) -> None:
        if self._top:
            if self._leaf:
                self._put("".join(self._texts).strip(" \t\r\n").translate(_FORBIDDEN))
            self._texts, self._leaf = [], False
            self._put(f"</{self._names.pop()}>")
            if self._depth == self._top:
                self._top = 0
                self._done.append("".join(self._parts).encode())
                self._parts = []
        self._depth -= 1


def _short(name: str) -> str:
    """A name with its prefix; of a name that no report has, as much as plain form takes."""
    uri, _, local = name.rpartition(" ")
    prefix = _PREFIXES.get(uri)
    short = f"{prefix or 'other'}:{local}"
    return short if len(short.encode()) <= NAME_BYTES else "other:long"

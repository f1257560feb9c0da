"""The diagnostic log of a Key Vault or Managed HSM, category AuditEvent, as a file.

A file has one record in each line, or the `{"records": […]}` of one message, or is one JSON document: an array, or
`{"records": […]}`. It may be compressed with gzip. A record that cannot be read is refused with its line.
"""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from cji_audit.reconcile.entry import Entry, LogError, entry_of
from cji_core.strict import StrictError, parse, parse_object

MAX_LINE_BYTES: Final = 1 << 20
MAX_DOCUMENT_BYTES: Final = 64 << 20
MAX_FILE_BYTES: Final = 8 << 30
_DEPTH: Final = 32  # levels
"""Of one file, after decompression."""

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"


class LogFile:
    """One file of a vault's log, which may still grow unless it is `complete`. `name` stands for it in places."""

    def __init__(self, path: Path, *, name: str | None = None, complete: bool = False) -> None:
        self._path, self._name, self._growing = path, name or path.name, not complete
        self._offset = self._line = 0

    def entries(self) -> Iterator[Entry]:
        """The entries of category AuditEvent that were not returned before. Raises LogError or OSError.

        In a file that may grow, a last line without its line feed is returned once it is whole.
        """
        with self._path.open("rb") as file:
            start = file.peek(2)[:2] if isinstance(file, io.BufferedReader) else b""
            if start == _GZIP:
                yield from self._whole(file)
                return
            if file.seek(0, io.SEEK_END) < self._offset:  # nothing after that would be seen
                raise LogError(self._name, "the file is shorter than before")
            file.seek(self._offset)
            yield from self._lines(file, growing=self._growing)

    def _whole(self, file: IO[bytes]) -> Iterator[Entry]:
        if self._offset:
            return  # a compressed file does not grow
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from self._lines(unpacked, growing=False)
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                raise
            raise LogError(self._name, "not a whole gzip file") from error

    def _lines(self, file: IO[bytes] | gzip.GzipFile, *, growing: bool) -> Iterator[Entry]:
        while line := file.readline(MAX_LINE_BYTES + 1):
            place = f"{self._name}:{self._line + 1}"
            text = line if self._line else line.removeprefix(_BOM)
            if self._line == 0 and _is_document(text):
                yield from self._document(text, file)
                return
            if len(line) > MAX_LINE_BYTES:
                raise LogError(place, "the line is longer than 1 MiB")
            if not line.endswith(b"\n") and growing and not _complete(text):
                return
            self._offset += len(line)
            self._line += 1
            if self._offset > MAX_FILE_BYTES:
                raise LogError(place, "the file is longer than 8 GiB")
            if text.strip():
                yield from _entries(_object(text, place), place)

    def _document(self, first: bytes, file: IO[bytes] | gzip.GzipFile) -> Iterator[Entry]:
        data = first + file.read(max(0, MAX_DOCUMENT_BYTES + 1 - len(first)))
        name = self._name
        if len(data) > MAX_DOCUMENT_BYTES:
            raise LogError(name, "a JSON document of more than 64 MiB: write one record in each line")
        self._offset, self._line = file.tell(), 1
        try:
            whole = parse(data, limit=MAX_DOCUMENT_BYTES, depth=_DEPTH)
        except StrictError as error:
            line = f":{error.__cause__.lineno}" if isinstance(error.__cause__, json.JSONDecodeError) else ""
            raise LogError(f"{name}{line}", str(error)) from error
        records = whole.get("records") if isinstance(whole, dict) else whole
        if not isinstance(records, list):
            raise LogError(name, "neither an array nor an object with records")
        yield from _records(records, name)


def _entries(found: dict[str, Any], place: str) -> Iterator[Entry]:
    """The entries in one line: one record, or the records of one message."""
    records = found.get("records")
    yield from _records(records, place) if isinstance(records, list) else _entry(found, place)


def _records(records: list[Any], name: str) -> Iterator[Entry]:
    for number, record in enumerate(records, 1):
        place = f"{name}, record {number}"
        if not isinstance(record, dict):
            raise LogError(place, "not an object")
        yield from _entry(record, place)


def _entry(record: dict[str, Any], place: str) -> Iterator[Entry]:
    if (found := entry_of(record, place)) is not None:
        yield found


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        return parse_object(line, limit=MAX_DOCUMENT_BYTES, depth=_DEPTH)
    except StrictError as error:
        raise LogError(place, str(error)) from error


def _complete(line: bytes) -> bool:
    try:
        parse(line, limit=MAX_DOCUMENT_BYTES, depth=_DEPTH)
    except StrictError:
        return False
    return True


def _is_document(line: bytes) -> bool:
    """Whether a first line begins a document: an array, or an object that goes on."""
    start = line.lstrip()[:1]
    return start == b"[" or (start == b"{" and (line.strip() == b"{" or len(line) > MAX_LINE_BYTES))

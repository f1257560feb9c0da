"""Kinds of files, by their first bytes: those that can be read, and those that agencies send by mistake.

A file whose name and content disagree is refused, because one of the two is not what its sender thinks it is.
"""

import enum
from pathlib import Path
from typing import Final

from cji_client.errors import SpecError


class Kind(enum.Enum):
    """Kinds of files that can be read, in the words of a message."""

    TEXT = "a text file"
    EXCEL = "an Excel workbook (.xlsx)"
    PARQUET = "a Parquet file"
    ARROW = "an Arrow file"
    XML = "an XML file"
    JSON = "JSON"


_KINDS: Final = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv", ".txt", ".dat"), Kind.TEXT),
    **dict.fromkeys((".xlsx", ".xlsm"), Kind.EXCEL),
    ".parquet": Kind.PARQUET,
    **dict.fromkeys((".arrow", ".arrows"), Kind.ARROW),
    ".xml": Kind.XML,
    **dict.fromkeys((".json", ".jsonl"), Kind.JSON),
}
INPUT_SUFFIXES: Final = tuple(_KINDS)
"""Suffixes of the files that can be read."""

_READABLE: Final = (
    (b"PK\x03\x04", Kind.EXCEL),
    (b"PAR1", Kind.PARQUET),
    (b"ARROW1\0\0", Kind.ARROW),
    (b"\xff\xff\xff\xff", Kind.ARROW),  # the stream format since Arrow 0.15
)
_OTHERS: Final = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls), or one with a password"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"(\xb5/\xfd", "compressed by Zstandard"),
    (b"7z\xbc\xaf'\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\0\1\0\0Standard", "an Access database"),
    (b"{\\rtf", "a document in Rich Text Format"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"$FL2", "an SPSS file"),
    (b"<stata", "a Stata file"),
    (b"\xff\xfe\0\0", "text in UTF-32"),
)
_HEAD: Final = 4096
_REMEDY: Final = "Export the records as CSV, Excel (.xlsx), Parquet or Arrow."


def kind_of(path: Path) -> Kind:
    """The kind of the file at `path`; SpecError if it cannot be read, or if its name promises another kind."""
    suffix = path.suffix.lower()
    if suffix not in _KINDS:
        raise SpecError(f"{path.name} is not one of {', '.join(_KINDS)}", remedy=_REMEDY)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise SpecError(f"{path.name} cannot be read ({error.strerror})") from None
    expected = _KINDS[suffix]
    found = _found(head, path)
    if found is not expected:
        if found is Kind.JSON:
            raise SpecError(f"{path.name} is JSON", remedy=_REMEDY)
        (right, *_) = (name for name, kind in _KINDS.items() if kind is found)
        raise SpecError(
            f"{path.name} is {found.value}, not {expected.value}",
            remedy=f"Rename it to {path.with_suffix(right).name}, or send the file that was meant.",
        )
    return expected


def _found(head: bytes, path: Path) -> Kind:
    if not head:
        raise SpecError(f"{path.name} is empty", remedy=_REMEDY)
    for start, kind in _READABLE:
        if head.startswith(start):
            return kind
    for start, name in _OTHERS:
        if head.startswith(start):
            raise SpecError(f"{path.name} is {name}", remedy=_REMEDY)
    visible = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if visible[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise SpecError(f"{path.name} is a web page", remedy=_REMEDY)
    if visible.startswith(b"<") or head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<")):
        return Kind.XML
    if visible.startswith(b"{") or (visible.startswith(b"[") and visible[1:].lstrip().startswith((b"{", b"]"))):
        return Kind.JSON
    return Kind.TEXT

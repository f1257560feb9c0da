"""The label file of `link`: what people decided on pairs of records. CSV in UTF-8, its first line the names.

    left,right,verdict,by,at,note
    p17,p203,same,jdoe,2026-11-30,
    p18,p440,different,jdoe,2026-11-30,the twin brother
    p18,p441,,,,

left, right  the record ids of a pair; of records without `record_id`, their rows, from 0, as in the output `pairs`
verdict      same (one person), different (two), unsure; empty: not decided yet
by, at       who decided and when (YYYY-MM-DD, or a time of RFC 3339); may be empty
note         free text; may be empty

A pair stands in the file once, in either order where one table was linked. A mark at the start (BOM), ends of line as
Windows writes them, quotes and lines without a character are read. A label file names records: it is written for its
owner alone (0600), and is to be handled as the records are.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeAlias, get_args

from cji_core.errors import SpecError
from cji_core.moments import moment

Verdict: TypeAlias = Literal["same", "different", "unsure"]
"""A decision on a pair."""

COLUMNS: Final = ("left", "right", "verdict", "by", "at", "note")
MOST_BYTES: Final = 256 << 20
_MOST_LABELS: Final = 1 << 20
_MOST_OF_TEXT: Final = 1000
"""Characters of any cell."""
_HEAD: Final = ",".join(COLUMNS)
_VERDICTS: Final = frozenset(get_args(Verdict))
_REMEDY: Final = (
    f"Write the first line {_HEAD}, then one pair a line, with the verdict {', '.join(get_args(Verdict))} or none; "
    "docs/operations.md describes label files."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A decision on the pair of two records; `verdict` is None where nobody decided yet. `line` is its first line."""

    left: str
    right: str
    verdict: Verdict | None = None
    by: str = ""
    at: str = ""
    note: str = ""
    line: int = 0


def is_label_file(data: bytes) -> bool:
    """Whether the bytes begin as a label file does: with the name of its first column."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip(b'"').startswith(COLUMNS[0].encode())


def read_labels(data: bytes, *, two_tables: bool = False) -> list[Label]:
    """The labels of a file, in its order. With `two_tables`, left and right are records of different tables.

    Raises: SpecError, which names the line, for anything but a label file, and for a pair that is decided twice.
    """
    if len(data) > MOST_BYTES:
        raise SpecError(f"the label file has more than {MOST_BYTES} bytes", remedy="Split it.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _wrong(line, "is not UTF-8", remedy="Save the label file as CSV UTF-8.") from None
    found, lines = list[Label](), dict[tuple[str, str], Label]()
    for line, cells in _rows(text):
        if line == 1:
            continue
        label = _label(line, cells)
        pair = (label.left, label.right)
        if not two_tables:
            if label.left == label.right:
                raise _wrong(line, "has a record with itself", remedy="Remove the line.")
            pair = min(pair, pair[::-1])
        if (before := lines.setdefault(pair, label)) is not label:
            raise _wrong(line, _again(before, label), remedy="Keep one decision for each pair.")
        found.append(label)
        if len(found) > _MOST_LABELS:
            raise SpecError(f"the label file has more than {_MOST_LABELS} pairs", remedy="Split it.")
    return found


def write_labels(labels: Iterable[Label]) -> Iterator[str]:
    """A label file, a line at a time, which `read_labels` reads as these labels."""
    yield f"{_HEAD}\r\n"
    for label in labels:
        line = io.StringIO()
        cells = (getattr(label, name) or "" for name in COLUMNS)
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        yield line.getvalue()


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, cells) of every row; the names come first, and are right."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if line == 1 and cells != list(COLUMNS):
                raise _wrong(1, f"is not {_HEAD}", remedy=_REMEDY)
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise _wrong(line, f"is not CSV ({error})", remedy=_REMEDY) from None
    if line == 1:
        raise _wrong(1, f"is not {_HEAD}", remedy=_REMEDY)


def _label(line: int, cells: list[str]) -> Label:
    if len(cells) != len(COLUMNS):
        raise _wrong(line, f"has {len(cells)} cells, not {len(COLUMNS)}", remedy=_REMEDY)
    left, right, verdict, by, at, note = cells
    verdict, by, at = verdict.strip(), by.strip(), at.strip()
    if not left or not right:
        raise _wrong(line, "has no left or no right", remedy=_REMEDY)
    if max(map(len, cells)) > _MOST_OF_TEXT:
        raise _wrong(line, f"has a cell of more than {_MOST_OF_TEXT} characters", remedy="Shorten it.")
    if verdict and verdict not in _VERDICTS:
        raise _wrong(line, f"has a verdict that is none of {', '.join(get_args(Verdict))}", remedy=_REMEDY)
    if at and not _is_time(at):
        raise _wrong(
            line, "has an `at` that is neither a day nor a time", remedy="Write YYYY-MM-DD, or leave it empty."
        )
    found = next((one for one in get_args(Verdict) if one == verdict), None)
    return Label(left=left, right=right, verdict=found, by=by, at=at, note=note, line=line)


def _is_time(text: str) -> bool:
    try:
        if "T" in text:
            moment(text)
        else:
            return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
    return True


def _again(before: Label, label: Label) -> str:
    if before.verdict == label.verdict:
        return f"has the pair of line {before.line} again"
    one, other = (each.verdict or "nothing" for each in (before, label))
    return f"says {other} of the pair of which line {before.line} says {one}"


def _wrong(line: int, words: str, *, remedy: str) -> SpecError:
    return SpecError(f"the label file: line {line} {words}", remedy=remedy)

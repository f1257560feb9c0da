"""Text files: their encoding, their rows by pyarrow's CSV reader, and the place of what it cannot read.

The encoding is the stated one. Without one, the mark of UTF-16 counts, and everything else must be UTF-8: single-byte
encodings differ in the letters of names, and no test distinguishes them.
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

import pyarrow as pa
import pyarrow.csv

from cji_client.errors import SpecError
from cji_client.places import Place, from_zero
from cji_client.spec import Encoding

LONGEST_ROW: Final = 1 << 20
"""Bytes of one row."""
SAMPLE: Final = 1 << 16

_MARKS: Final = (
    (codecs.BOM_UTF8, ("utf-8",)),
    (codecs.BOM_UTF16_LE, ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, ("utf-16", "utf-16-be")),
)
"""Byte order marks, and the encodings of files that begin with them."""
_WIDE: Final = ("utf-16", "utf-16-le", "utf-16-be")
UNDECODED: Final = "\udc80"
"""The character that stands for undecodable bytes: no decoder makes a lone surrogate."""
_SEEK: Final = "cji-seek"

csv.field_size_limit(LONGEST_ROW)
codecs.register_error(_SEEK, lambda error: (UNDECODED, error.end) if isinstance(error, UnicodeDecodeError) else ("", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A text file in one encoding. `dialect` are arguments of `csv.reader` that split it into fields.

    `places` are the columns of lines with fixed positions, each with its first and last character from 1.
    """

    path: Path
    encoding: str
    dialect: dict[str, Any] = field(default_factory=dict)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def open(self) -> io.TextIOWrapper:
        """The text; an undecodable byte is a lone surrogate. Close it after use."""
        codec = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        return self.path.open(encoding=codec, errors=_SEEK, newline="")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line from 1 on which it begins, fields) of all rows, slowly; an undecodable byte is a lone surrogate.

        Blank lines are not rows. A row goes on over the lines of a quoted value.
        """
        with self.open() as text:
            try:
                yield from numbered(self._lines(text), **self.dialect)
            except csv.Error:
                raise self._too_long() from None

    def place(self, *, header: bool) -> Place:
        """The places of rows: their lines. `header`: the first row has the names."""

        def line(row: int) -> str:
            found = next(islice(self.rows(), row + header, None), None)
            return from_zero(row) if found is None else f"line {found[0]}"

        return line

    def batches(self, names: list[str], *, delimiter: str, header: bool, quoted: bool) -> Iterator[pa.RecordBatch]:
        """Batches of text columns with these names; an empty field is null. `header`: the first row has the names."""
        read = pyarrow.csv.ReadOptions(
            column_names=None if header else names, encoding=self._codec, use_threads=False, block_size=LONGEST_ROW
        )
        parse = pyarrow.csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quoted else False,
            double_quote=quoted,
            newlines_in_values=quoted,  # RFC 4180 §2.6
        )
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        )
        try:
            yield from pyarrow.csv.open_csv(self.path, read_options=read, parse_options=parse, convert_options=convert)
        except (UnicodeError, pa.ArrowInvalid) as error:
            self._explain(names, error)

    def refuse_bytes(self, where: str) -> NoReturn:
        """The refusal of bytes that are not text in the file's encoding."""
        raise SpecError(
            f"{self.path.name}: {where}: found a byte that is not {self.encoding}, wanted {self.encoding} text",
            remedy='State the file\'s encoding in [input], for example encoding = "windows-1252".',
        ) from None

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        while line := text.readline(LONGEST_ROW):
            if len(line) == LONGEST_ROW:
                raise self._too_long()
            yield line

    def _too_long(self) -> SpecError:
        return SpecError(f"{self.path.name}: a row is longer than {LONGEST_ROW} bytes, or its quote is not closed")

    @property
    def _codec(self) -> str:
        return "utf8" if self.encoding == "utf-8" else self.encoding

    def _explain(self, names: list[str], error: Exception) -> NoReturn:
        """The first row that has other fields than the header, or a column that cannot be decoded."""
        for line, fields in self.rows():
            for name, value in zip(names, fields, strict=False):
                if UNDECODED in value:
                    at = value.index(UNDECODED) + 1
                    within = (each for each, (first, last) in self.places.items() if first <= at <= last)
                    self.refuse_bytes(f"line {line}, column {next(within, name)}")
            if len(fields) != len(names):
                what = f"{self.path.name}: line {line} has {len(fields)} fields, wanted {len(names)}"
                raise SpecError(what) from None
        if "straddl" in str(error):
            raise self._too_long() from None
        raise SpecError(f"{self.path.name} cannot be read to its end ({type(error).__name__})") from None


def numbered(lines: Iterable[str], **dialect: Any) -> Iterator[tuple[int, list[str]]]:
    """(line from 1 on which it begins, fields) of the rows of these lines. Raises csv.Error."""
    reader, line = csv.reader(lines, **dialect), 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def encoding_of(path: Path, stated: Encoding | None) -> str:
    """The encoding of the file; SpecError if its mark contradicts the stated one, or if it is not text."""
    with path.open("rb") as file:
        head = file.read(SAMPLE)
    marked = next((names for mark, names in _MARKS if head.startswith(mark)), ())
    if marked and stated is not None and stated not in marked:
        raise SpecError(f"{path.name} begins with the mark of {marked[0]}, not of {stated}")
    if stated == "utf-16" and not marked:
        raise SpecError(
            f"{path.name} does not begin with the mark of utf-16", remedy='State "utf-16-le" or "utf-16-be".'
        )
    encoding = marked[0] if marked else stated or "utf-8"
    if encoding not in _WIDE and b"\0" in head:
        raise SpecError(
            f"{path.name} has NUL bytes, so it is not {encoding} text",
            remedy='If it is text in UTF-16, state encoding = "utf-16-le" in [input].',
        )
    return encoding

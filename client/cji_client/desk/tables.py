"""One file of records as the desk found it: its columns with samples, what they stand for, dates, encodings.

The readers of `cji job` read it, and their survey of dates finds the formats. What a reader refuses to guess (the
letters of a file that is not UTF-8, the order of day and month, one sheet of several) is a choice here, beside values
of the file that show which one is right. `spec` is the `[input]` that `cji job run` would be given.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cji_client.date_columns import DateSurvey
from cji_client.desk.names import likely_schema, suggest
from cji_client.errors import ClientError, SpecError
from cji_client.files import read_file
from cji_client.files.excel import filled_sheets
from cji_client.sources import Batches
from cji_client.spec import VERBATIM, InputSpec
from cji_core.format.records import SCHEMAS

SAMPLES: Final = 4
"""Values of a column that are shown."""
ENCODINGS: Final = ("windows-1252", "iso-8859-1", "cp437", "cp850", "iso-8859-15", "utf-16-le", "cp037")
"""Those of files that are not UTF-8, the most frequent one first."""
_SURVEYED: Final = 200_000
"""Rows whose dates are looked at before the whole file is read."""
_LINES: Final = 3
_BLOCK: Final = 1 << 20
_NIBRS_LINES, _NIBRS_XML = "nibrs.flat/3.1", "nibrs.xml/2019.1"
SCHEMA_WORDS: Final = {
    "person/1": "People",
    "hotfile/1": "Entries of a hot file (wanted, stolen, protection orders)",
    "chri_event/2": "Events of criminal histories",
    "court_order/1": "Court orders",
    "narrative/1": "Narratives of reports",
    "nibrs_verdicts/1": "The file incidents.csv of a NIBRS check",
    "chri_event/1": "Events of criminal histories (short form)",
    _NIBRS_LINES: "A NIBRS submission (flat file)",
    _NIBRS_XML: "A NIBRS submission (XML)",
}
"""Kinds of records, the most frequent one first."""
_TABLES: Final = tuple(list(SCHEMA_WORDS)[:6])
"""Those that are guessed by the names of columns."""


@dataclass(kw_only=True)
class FoundColumn:
    """A column of the file; `target` is the column of the schema that it is sent as, "" if it is not sent."""

    name: str
    samples: tuple[str, ...]
    target: str = ""
    date_format: str = ""
    """The clerk's choice; "" for the format that is found."""
    formats: tuple[str, ...] = ()
    """Formats that read at least one of its values."""
    found: str = ""
    """The format that was found, "" for dates in the worker's own form."""
    undecided: bool = False
    """Its values can be read in more than one way, or most of them in none."""


@dataclass(kw_only=True)
class Table:
    """One file. `refresh` after a change of anything but targets and date formats."""

    path: Path
    name: str
    schema: str = ""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    columns: list[FoundColumn] = field(default_factory=list)
    problem: ClientError | None = None
    """Why the file cannot be read as it is."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    """By encoding, lines of a file that is not UTF-8."""
    sheets: tuple[str, ...] = ()
    chosen: set[str] = field(default_factory=set)
    """Of encoding and sheet, what the clerk or a saved job chose; what is suggested counts as none."""
    notes: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """Of the file among all that were dropped: the name of its folder (`cji_client.files.memory`)."""
        return self.path.parent.name

    def refresh(self) -> None:
        """Read the beginning of the file as it is set."""
        self.problem, self.columns, self.notes = None, [], ()
        try:
            self._look()
        except ClientError as error:
            self.problem = error

    def choose_schema(self, schema_id: str) -> None:
        """Another kind of records, and with it other suggestions."""
        self.schema = schema_id
        self.refresh()

    @property
    def is_table(self) -> bool:
        """Whether it has columns to choose: a submission of NIBRS has none."""
        return self.schema not in (_NIBRS_LINES, _NIBRS_XML)

    @property
    def undecided(self) -> list[FoundColumn]:
        """Columns of dates that the clerk has to decide."""
        return [each for each in self.columns if each.undecided and not each.date_format and self._is_date(each)]

    @property
    def ready(self) -> bool:
        """Whether nothing is left to decide."""
        return self.problem is None and not self.guessed and not self.undecided and self._sent_once()

    @property
    def guessed(self) -> bool:
        """Whether an encoding or a sheet is suggested, and nobody chose it yet."""
        several = {"encoding": self.lines, "sheet": self.sheets}
        return any(len(known) > 1 and name not in self.chosen for name, known in several.items())

    def settled(self) -> None:
        """SpecError for a file that cannot be read, or about which something is left to decide."""
        if self.problem is not None:
            raise self.problem
        if not self.ready:
            raise SpecError(f"choices about {self.name} are still open", remedy="Make them on the page Files.")

    def _sent_once(self) -> bool:
        targets = [each.target for each in self.columns if each.target]
        return not self.is_table or (bool(targets) and len(set(targets)) == len(targets))

    @property
    def twice(self) -> set[str]:
        """Columns of the schema that two columns of the file are sent as."""
        targets = [each.target for each in self.columns if each.target]
        return {one for one in targets if targets.count(one) > 1}

    def _is_date(self, column: FoundColumn) -> bool:
        known = SCHEMAS[self.schema].columns.get(column.target)
        return known is not None and known.date

    def spec(self) -> InputSpec:
        """`[input]` of a job with this file."""
        if not self.is_table:
            return InputSpec(schema=self.schema)
        rename = {each.name: each.target for each in self.columns if each.target and each.target != each.name}
        formats = {each.target: each.date_format for each in self.columns if each.date_format and self._is_date(each)}
        drop = tuple(each.name for each in self.columns if not each.target)
        return self._form(rename=rename, drop=drop, date_format=formats)

    def apply(self, given: InputSpec) -> None:
        """Set what the `[input]` of a saved job states; SpecError if this file lacks a column that it renames.

        An encoding is for a file that is not UTF-8, and what the job leaves open stays as the clerk chose it.
        """
        dates = {each.name: each.date_format for each in self.columns}
        stated = {"encoding": given.encoding, "sheet": given.sheet}
        if not self.lines and self.problem is None:
            stated["encoding"] = None
        for name, text in stated.items():
            if text:
                setattr(self, name, text)
                self.chosen.add(name)
        self.schema, self.delimiter = given.schema, given.delimiter or ""
        self.refresh()
        if self.problem is None and (absent := sorted(set(given.rename) - {each.name for each in self.columns})):
            raise SpecError(
                f"{self.name} has no column {', '.join(absent)}, which the saved job sends",
                remedy="Drop a file with the columns of that job, or choose a task from the list above the saved jobs.",
            )
        known = SCHEMAS[given.schema].columns if given.schema in SCHEMAS else {}
        for each in self.columns:
            target = given.rename.get(each.name, each.name)
            each.target = "" if each.name in given.drop or target not in known else target
            each.date_format = (
                given.date_format if isinstance(given.date_format, str) else given.date_format.get(target, "")
            )
        self.survey()
        for each in self.undecided:
            each.date_format = dates.get(each.name, "")

    def read_as(self, schemas: Sequence[str]) -> None:
        """Take it as records of the first of these schemas that has all its columns; SpecError if none has."""
        if self.problem is not None or self.schema in schemas:
            return
        sent = {each.target for each in self.columns if each.target}
        for schema in schemas:
            if self.is_table and sent and sent <= SCHEMAS[schema].columns.keys():
                self.schema = schema
                self.survey()
                return
        wanted = " or ".join(SCHEMA_WORDS.get(each, each) for each in schemas)
        raise SpecError(
            f"{self.name} is not what this task is for: {wanted}",
            remedy="Choose another file, or another task. If the file is of that kind, choose it on the page Files.",
        )

    def correct(self, choices: Mapping[str, str]) -> None:
        """Take the clerk's choices, by the names in the form of a file; others are left out."""
        before = (self.schema, self.encoding, self.sheet)
        self.schema = _one_of(SCHEMAS, choices.get("schema"), self.schema)
        self.encoding = _one_of(self.lines, choices.get("encoding"), self.encoding)
        self.sheet = _one_of(self.sheets, choices.get("sheet"), self.sheet)
        self.chosen |= {name for name in ("encoding", "sheet") if choices.get(name) == getattr(self, name)}
        if (self.schema, self.encoding, self.sheet) != before:
            self.refresh()
            return
        known = SCHEMAS[self.schema].columns
        for at, column in enumerate(self.columns):
            column.target = _one_of(("", *known), choices.get(f"target-{at}"), column.target)
            formats = ("", VERBATIM, *column.formats)
            column.date_format = _one_of(formats, choices.get(f"date-{at}"), column.date_format)
        self.survey()

    def survey(self) -> None:
        """Find the formats of the columns of dates."""
        dates = {each.name: each for each in self.columns if each.target and self._is_date(each)}
        surveys = {name: DateSurvey(name=name) for name in dates}
        rows = 0
        if dates:
            for batch in self._read().batches:
                for name, survey in surveys.items():
                    survey.add(_text(batch.column(batch.schema.get_field_index(name))), rows)
                rows += batch.num_rows
                if rows >= _SURVEYED:
                    break
        for name, survey in surveys.items():
            _decide(dates[name], survey)

    def _look(self) -> None:
        if not self.schema and self.path.suffix.lower() == ".xml":
            self.schema = _NIBRS_XML
        if not self.schema and _is_nibrs(self.path):
            self.schema = _NIBRS_LINES
        if not self.is_table:
            self._read()
            return
        self._choose_encoding()
        self._choose_sheet()
        given = self._read()
        batches = list(islice(given.batches, 1))
        names = [str(name) for name in given.schema.names]
        self.schema = self.schema or likely_schema(names, _TABLES)
        suggested = suggest(names, self.schema)
        self.columns = [
            FoundColumn(name=name, samples=_samples(batches, at), target=suggested[name])
            for at, name in enumerate(names)
        ]
        self.notes = tuple(given.notes)
        self.survey()

    def _read(self) -> Batches:
        return read_file(self.path, self._form())()

    def _form(self, **fields: Any) -> InputSpec:
        stated: dict[str, Any] = {name: getattr(self, name) or None for name in ("encoding", "delimiter", "sheet")}
        return InputSpec(schema=self.schema or _TABLES[0], **stated, **fields)

    def _choose_encoding(self) -> None:
        if self.path.suffix.lower() in (".xlsx", ".xlsm", ".parquet", ".arrow", ".arrows", ".json", ".jsonl"):
            return
        self.lines = self.lines or _lines_by_encoding(self.path)
        if self.lines and not self.encoding:
            self.encoding = next(iter(self.lines))

    def _choose_sheet(self) -> None:
        if self.path.suffix.lower() not in (".xlsx", ".xlsm") or self.sheets:
            return
        self.sheets = tuple(filled_sheets(self.path))
        if len(self.sheets) > 1 and not self.sheet:
            self.sheet = self.sheets[0]


def _one_of(allowed: Collection[str], chosen: str | None, before: str) -> str:
    """The choice, if it is allowed."""
    return chosen if chosen is not None and chosen in allowed else before


def _decide(column: FoundColumn, survey: DateSurvey) -> None:
    column.formats = tuple(one for one, count in survey.read.most_common() if count)
    try:
        chosen = survey.chosen()
    except SpecError:
        column.found, column.undecided = "", True
        return
    column.found, column.undecided = " and ".join(one.text for one in chosen), False


def _is_nibrs(path: Path) -> bool:
    """Whether a text file begins as a flat file of NIBRS does: the length of a segment, its level."""
    if path.suffix.lower() not in (".txt", ".dat"):
        return False
    with path.open("rb") as file:
        head = file.read(5)
    return len(head) == 5 and head[:4].isdigit() and chr(head[4]) in "0123456789"


def _lines_by_encoding(path: Path) -> dict[str, list[str]]:
    """Of a file that is not UTF-8 or UTF-16 with a mark, some lines with other letters, in each likely encoding."""
    with path.open("rb") as file:
        head = file.read(2)
        if head in (b"\xff\xfe", b"\xfe\xff"):
            return {}
        file.seek(0)
        odd = list(islice(_not_utf8(file), _LINES))
    if not odd:
        return {}
    decoded = dict[str, list[str]]()
    for encoding in ENCODINGS:
        try:
            texts = [line.decode(encoding).strip() for line in odd]
        except UnicodeDecodeError:
            continue
        if texts not in decoded.values() and all(text.isprintable() for text in texts):
            decoded[encoding] = texts
    return decoded


def _not_utf8(file: Any) -> Iterator[bytes]:
    while line := file.readline(_BLOCK):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            yield line[:400]


def _samples(batches: Sequence[pa.RecordBatch], at: int) -> tuple[str, ...]:
    """Different values of a column, the first ones."""
    found = dict.fromkeys(
        str(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
        for batch in batches
        for value in batch.column(at).slice(0, 200).to_pylist()
        if value is not None
    )
    return tuple(islice(found, SAMPLES))


def _text(column: pa.Array) -> pa.Array:
    return column if pa.types.is_binary(column.type) or pa.types.is_string(column.type) else column.cast(pa.string())

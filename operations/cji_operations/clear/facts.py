"""The facts that conditions are about: of n rows, of the c convictions in them, and of their subjects.

A date is a number YYYYMMDD, 0 where it is missing; a date that is partial, unreadable or after `as_of` is missing. So
(b - a) // 10000 are the whole years from a to b, and who was born on 29 February is a year older on 1 March. Rows of no
subject belong to one subject more, of whom nothing can be decided.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import RowStatus, Status, arrow, dates
from cji_core.format.records.column import Bools, Ints, Text, read
from cji_core.operations.clear.declaration import Code
from cji_core.operations.clear.rules import Rules
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_operations.clear.citations import Citations, read_citations
from cji_operations.clear.sentences import Lengths, Sentences, read_lengths
from cji_operations.clear.truth import UNKNOWN, YES, Truth, any_of, truth
from cji_operations.kernels.distinct import codes, first_rows
from cji_operations.kernels.strings import folded, trimmed

LEVELS: Final = ("", "felony", "misdemeanor", "infraction")
"""By number; 0 is a level that is missing."""
_LEVEL_WORDS: Final = ("F", "M", "I", "FELONY", "MISDEMEANOR", "INFRACTION")


class Columns:
    """The records, column by column: text as `binary`, null where there is no such column."""

    def __init__(self, records: Sequence[pa.RecordBatch]) -> None:
        self._records = records
        self.n = sum(batch.num_rows for batch in records)
        self.names: Mapping[str, int] = {name: i for i, name in enumerate(records[0].schema.names if records else ())}

    def text(self, name: str) -> pa.Array:
        """binary[n]."""
        if name not in self.names:
            return pa.nulls(self.n, pa.binary())
        return arrow.concat((batch.column(name).view(pa.binary()) for batch in self._records), pa.binary())

    def flag(self, name: str) -> Truth:
        """Truth[n]; unknown where the flag is null or not there."""
        if name not in self.names:
            return np.full(self.n, UNKNOWN)
        column = arrow.concat((batch.column(name) for batch in self._records), pa.bool_())
        return truth(arrow.bools(column), arrow.present(column))


class Names:
    """A column of few distinct texts: ASCII case and outer blanks make no difference."""

    def __init__(self, array: pa.Array) -> None:
        encoded = pc.dictionary_encode(array, null_encoding="encode")
        self._code = arrow.numbers(encoded.indices)
        self._names = trimmed(folded(encoded.dictionary))
        self._filled = read(self._names).filled

    def begins(self, words: Sequence[str]) -> Truth:
        """Truth[n]: the text begins with one of these words; unknown where there is none."""
        found = np.zeros(len(self._names), np.bool_)
        for word in words:
            found |= arrow.bools(pc.starts_with(self._names, word.upper()).fill_null(False))
        of_row: Truth = truth(found, self._filled)[self._code]
        return of_row

    def position(self, words: Sequence[str]) -> tuple[Ints, Bools]:
        """(int64[n] the position of the text in `words`, or -1; bool[n] there is a text)."""
        wanted = pa.array([word.encode() for word in words], pa.binary())
        position = arrow.numbers(pc.index_in(self._names, value_set=wanted).fill_null(-1)).astype(np.int64)
        return position[self._code], self._filled[self._code]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """All n rows, and the facts of their k subjects.

    subject int64[n] from 0 to k, k for none; date, level int64[n]; convicted bool[n]. deceased Truth[k + 1],
    born int64[k + 1]. `findings` are faults of values: code, column and rows.
    """

    subject: Ints
    k: int
    date: Ints
    event: Names
    convicted: Bools
    level: Ints
    lengths: Lengths
    born: Ints
    deceased: Truth
    findings: tuple[tuple[RowCode, str, Ints], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Facts:
    """c convictions, each one once: `row` int64[c] ascending is the first of its rows, `subject` int64[c].

    `alone` are the short forms of sections that the table gives a meaning of their own. convictions, latest
    int64[k + 1]: the number of each subject's convictions, and the date of the last one.
    """

    rules: Rules
    alone: frozenset[str]
    rows: Rows
    as_of: int
    row: Ints
    subject: Ints
    date: Ints
    level: Ints
    citations: Citations
    sentences: Sentences
    county: pa.Array
    convictions: Ints
    latest: Ints

    def birth(self) -> tuple[Ints, Bools]:
        """(int64[c] dates of birth, bool[c] known): a subject convicted before birth has no known one."""
        born = self.rows.born[self.subject]
        return born, (born > 0) & ((self.date == 0) | (self.date >= born))

    def listed(self, names: tuple[str, ...]) -> Truth:
        """Truth[c]: the section is among those that a condition names."""
        return self.citations.among(self.rules.patterns(names), self.alone)

    def any_conviction(self, of: Truth) -> Truth:
        """Truth[c]: it holds for any conviction of the subject, of truth Truth[c]."""
        return any_of(of, self.subject, self.rows.k + 1)[self.subject]

    def any_event(self, of: Truth) -> Truth:
        """Truth[c]: it holds for any row of the subject, of truth Truth[n]."""
        return any_of(of, self.rows.subject, self.rows.k + 1)[self.subject]


def years_between(start: Ints, end: Ints | int) -> Ints:
    """Whole years between dates YYYYMMDD."""
    return (end - start) // 10_000


def gather(columns: Columns, rules: Rules, as_of: datetime.date) -> Facts:
    """The facts of all convictions in the records."""
    today = dates.number_of(as_of)
    rows = _rows(columns, rules, today)
    row, conviction = _convictions(rows, columns)
    taken = arrow.from_numpy(row)
    citations = read_citations(
        [columns.text(name).take(taken) for name in ("offense_code", "offense", "comment")],
        laws=rules.laws,
        hyphenated=rules.hyphenated_sections,
        follows=2,
    )
    parts = np.flatnonzero(rows.convicted)
    sentences = Sentences.of(
        conviction,
        rows.date[row],
        kind=columns.text("sentence").take(arrow.from_numpy(parts)),
        lengths=rows.lengths.of(parts),
    )
    return Facts(
        rules=rules,
        alone=rules.patterns(rules.every_section()).alone,
        rows=rows,
        as_of=today,
        row=row,
        subject=rows.subject[row],
        date=rows.date[row],
        level=rows.level[row],
        citations=citations,
        sentences=sentences,
        county=columns.text("county").take(taken),
        convictions=np.bincount(rows.subject[row], minlength=rows.k + 1),
        latest=_latest(rows, row),
    )


def status_of(rows: Rows, columns: Columns) -> RowStatus:
    """The status of all rows, by the faults of their values."""
    status = RowStatus.all_ok(columns.n)
    nobody = np.flatnonzero(rows.subject == rows.k)
    status = status.found(nobody, status=Status.NOT_USABLE, code=Code.NO_SUBJECT)
    for code, name, found in rows.findings:
        status = status.found(found, status=Status.PARTLY_USED, code=code, column=columns.names[name])
    return status


def _rows(columns: Columns, rules: Rules, today: int) -> Rows:
    subject, k = _subjects(columns.text("subject"))
    event = Names(columns.text("event"))
    date, faults = _dates(columns, "date", today)
    findings = list(faults)
    birth, faults = _dates(columns, "DOB", today)
    findings += faults
    born, differing = _births(subject, k, birth)
    findings.append((Code.BIRTH_DATES_DIFFER, "DOB", np.flatnonzero(differing[subject] & (birth > 0))))
    level, unread = _levels(columns.text("level"))
    findings.append((Code.NOT_A_LEVEL, "level", np.flatnonzero(unread)))
    lengths = read_lengths(columns.text("sentence_length"))
    findings.append((Code.NOT_A_LENGTH, "sentence_length", np.flatnonzero(lengths.wrong)))
    deceased = np.where(event.begins(("DECEASED",)) == YES, YES, columns.flag("deceased"))
    return Rows(
        subject=subject,
        k=k,
        date=date,
        event=event,
        convicted=Names(columns.text("disposition")).begins(rules.convicted) == YES,
        level=level,
        lengths=lengths,
        born=born,
        deceased=any_of(deceased, subject, k + 1),
        findings=tuple((code, name, rows) for code, name, rows in findings if len(rows)),
    )


def _subjects(array: pa.Array) -> tuple[Ints, int]:
    """(int64[n] from 0 to k, k); k for a row without a subject."""
    code, k = codes(array)
    return np.where(read(array).filled, code, k), k


def _dates(columns: Columns, name: str, today: int) -> tuple[Ints, Iterator[tuple[RowCode, str, Ints]]]:
    """(int64[n] YYYYMMDD or 0, faults)."""
    array = columns.text(name)
    first, code = first_rows(array)
    text: Text = read(array.take(arrow.from_numpy(first)))
    parsed = dates.parse(text)
    number = np.where(parsed.whole, parsed.number, 0).astype(np.int64)
    future = number > today
    wrong = text.filled & ~parsed.fits
    faults = [(ValueCode.NOT_A_DATE, wrong), (Code.IN_THE_FUTURE, future)]
    found = ((fault, name, np.flatnonzero(values[code])) for fault, values in faults if values.any())
    return np.where(future, 0, number)[code], found


def _births(subject: Ints, k: int, birth: Ints) -> tuple[Ints, Bools]:
    """(int64[k + 1] the subject's only date of birth or 0, bool[k + 1] it has several)."""
    given = birth > 0
    least, most = np.full(k + 1, np.iinfo(np.int64).max), np.zeros(k + 1, np.int64)
    np.minimum.at(least, subject[given], birth[given])
    np.maximum.at(most, subject[given], birth[given])
    differing = (most > 0) & (least != most)
    differing[k] = False
    most[k] = 0
    return np.where(differing, 0, most), differing


def _levels(array: pa.Array) -> tuple[Ints, Bools]:
    """(int64[n] positions in LEVELS, bool[n] not a level)."""
    position, filled = Names(array).position(_LEVEL_WORDS)
    return np.where(position < 0, 0, position % 3 + 1), filled & (position < 0)


def _latest(rows: Rows, row: Ints) -> Ints:
    """int64[k + 1]: the latest date in these rows of each subject, 0 for none."""
    latest = np.zeros(rows.k + 1, np.int64)
    np.maximum.at(latest, rows.subject[row], rows.date[row])
    return latest


def _convictions(rows: Rows, columns: Columns) -> tuple[Ints, Ints]:
    """(int64[c] the first row of each conviction, int64[convicted rows] the conviction that each belongs to).

    Rows with one subject and one count are parts of one conviction.
    """
    parts = np.flatnonzero(rows.convicted)
    count = columns.text("count").take(arrow.from_numpy(parts))
    code, distinct = codes(count)
    alone = ~read(count).filled | (rows.subject[parts] == rows.k)
    own = np.int64(rows.k + 1) * max(distinct, 1) + np.arange(len(parts))
    key = np.where(alone, own, rows.subject[parts] * max(distinct, 1) + code)
    _, first, conviction = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(first), np.int64)
    place[order] = np.arange(len(first))
    return parts[first[order]], place[conviction]

"""The facts that conditions are about: of n rows, of the c charges in them, and of their subjects.

A date is a number YYYYMMDD, 0 where it is missing; a date that is partial, unreadable or after `as_of` is missing. So
(b - a) // 10000 are the whole years from a to b, and who was born on 29 February is a year older on 1 March. Rows of no
subject belong to one subject more, of whom nothing can be decided.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cji_core.format.records import RowStatus, Status, arrow, dates
from cji_core.format.records.column import Bools, Ints, Text, read
from cji_core.operations.clear.declaration import Code
from cji_core.operations.clear.rules import Rules
from cji_core.operations.clear.when import CONVICTION, PENDING
from cji_core.operations.status_codes import RowCode, ValueCode
from cji_operations.clear.charges import Kinds, Levels, Names, Penalties, charges
from cji_operations.clear.citations import Citations, read_citations
from cji_operations.clear.sentences import Ends, Lengths, Sentences, read_lengths
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth, any_of, truth
from cji_operations.kernels.distinct import codes, first_rows


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """All n rows, and the facts of their k subjects.

    subject int64[n] from 0 to k, k for none; date, offense_date int64[n]; convicted Truth[n]. deceased, pending
    Truth[k + 1], born int64[k + 1]. `findings` are faults of values: code, column and rows.
    """

    subject: Ints
    k: int
    date: Ints
    offense_date: Ints
    event: Names
    kinds: Kinds
    convicted: Truth
    levels: Levels
    penalties: Penalties
    lengths: Lengths
    born: Ints
    deceased: Truth
    pending: Truth
    findings: tuple[tuple[RowCode, str, Ints], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Facts:
    """c charges, each one once: `row` int64[c] ascending is the first of its rows, `subject` int64[c].

    part int64[p] ascending in rows: the charge of each charged row. `alone` are the short forms of sections that the
    table gives a meaning of their own. convicted Truth[c]. convictions, latest int64[k + 1]: the number of each
    subject's convictions, and the date of the last one. `released` is the end of imprisonment as the records state it,
    as `Ends.of` gives it. `counted` keeps what counts were found.
    """

    rules: Rules
    columns: Columns
    alone: frozenset[str]
    rows: Rows
    as_of: int
    row: Ints
    parts: Ints
    part: Ints
    subject: Ints
    date: Ints
    kinds: Kinds
    levels: Levels
    convicted: Truth
    citations: Citations
    sentences: Sentences
    released: tuple[Ints, Bools]
    county: pa.Array
    convictions: Ints
    latest: Ints
    counted: dict[Any, tuple[Ints, Ints]] = field(default_factory=dict)

    def birth(self) -> tuple[Ints, Bools]:
        """(int64[c] dates of birth, bool[c] known): a subject convicted before birth has no known one."""
        born = self.rows.born[self.subject]
        return born, (born > 0) & ((self.date == 0) | (self.date >= born))

    def listed(self, names: tuple[str, ...]) -> Truth:
        """Truth[c]: the section is among those that a condition names."""
        return self.citations.among(self.rules.patterns(names), self.alone)

    def any_conviction(self, of: Truth) -> Truth:
        """Truth[c]: it holds for any conviction of the subject, of truth Truth[c]."""
        return any_of(np.minimum(of, self.convicted), self.subject, self.rows.k + 1)[self.subject]

    def any_event(self, of: Truth) -> Truth:
        """Truth[c]: it holds for any row of the subject, of truth Truth[n]."""
        return any_of(of, self.rows.subject, self.rows.k + 1)[self.subject]

    def release(self) -> Ints:
        """int64[c]: the end of imprisonment, stated or of the sentence; the conviction where there was none, else 0."""
        stated, given = self.released
        imprisoned = self.sentences.has(self.rules.imprisonment)
        end = np.where(imprisoned == YES, self.sentences.end, 0)
        return np.where(given, stated, np.where(imprisoned == NO, self.date, end))

    def text(self, name: str) -> pa.Array:
        """binary[c]: a column, at the first row of each charge."""
        return self.columns.text(name).take(arrow.from_numpy(self.row))

    def flag(self, name: str) -> Truth:
        """Truth[c]: a flag of any of the charge's rows; one that denies it decides, and empty ones do not matter."""
        of_part = self.columns.flag(name)[self.parts]
        found = np.full(len(self.row), UNKNOWN)
        found[self.part[of_part == YES]] = YES
        found[self.part[of_part == NO]] = NO
        return found


def years_between(start: Ints, end: Ints | int) -> Ints:
    """Whole years between dates YYYYMMDD."""
    return (end - start) // 10_000


def gather(columns: Columns, rules: Rules, as_of: datetime.date) -> Facts:
    """The facts of all charges in the records."""
    today = dates.number_of(as_of)
    rows, ends = _rows(columns, rules, today)
    parts = np.flatnonzero(rows.kinds.charges(rules.kinds()))
    taken_parts = arrow.from_numpy(parts)
    count = columns.text("count").take(taken_parts)
    row, part = charges(rows.subject, rows.k, parts, rows.kinds.of_row[parts], count)
    taken = arrow.from_numpy(row)
    citations = read_citations(
        [columns.text(name).take(taken) for name in ("offense_code", "offense", "comment")],
        laws=rules.laws,
        hyphenated=rules.hyphenated_sections,
        titled=rules.titled_sections,
        dotted=rules.dotted_sections,
        follows=2,
    )
    sentences = Sentences.of(
        part,
        rows.date[row],
        kind=columns.text("sentence").take(taken_parts),
        lengths=rows.lengths.of(parts),
        discharged=ends["discharged"].of(parts, part, len(row)),
    )
    convicted = rows.convicted[row]
    certain = convicted == YES
    return Facts(
        rules=rules,
        columns=columns,
        alone=rules.patterns(rules.every_section()).alone,
        rows=rows,
        as_of=today,
        row=row,
        parts=parts,
        part=part,
        subject=rows.subject[row],
        date=rows.date[row],
        kinds=rows.kinds.at(row),
        levels=rows.levels.at(row),
        convicted=convicted,
        citations=citations,
        sentences=sentences,
        released=ends["released"].of(parts, part, len(row)),
        county=columns.text("county").take(taken),
        convictions=np.bincount(rows.subject[row[certain]], minlength=rows.k + 1),
        latest=_latest(rows, row[certain]),
    )


def status_of(rows: Rows, columns: Columns) -> RowStatus:
    """The status of all rows, by the faults of their values."""
    status = RowStatus.all_ok(columns.n)
    nobody = np.flatnonzero(rows.subject == rows.k)
    status = status.found(nobody, status=Status.NOT_USABLE, code=Code.NO_SUBJECT)
    for code, name, found in rows.findings:
        status = status.found(found, status=Status.PARTLY_USED, code=code, column=columns.names[name])
    return status


def _rows(columns: Columns, rules: Rules, today: int) -> tuple[Rows, dict[str, Ends]]:
    """(all rows, the ends that the records state by column)."""
    subject, k = _subjects(columns.text("subject"))
    event = Names(columns.text("event"))
    findings = list[tuple[RowCode, str, Ints]]()
    date = _dates(columns, "date", today, findings)
    offense_date = _dates(columns, "offense_date", today, findings)
    birth = _dates(columns, "DOB", today, findings)
    ends = {name: _ends(columns, name, today, findings) for name in ("discharged", "released")}
    born, differing = _births(subject, k, birth)
    findings.append((Code.BIRTH_DATES_DIFFER, "DOB", np.flatnonzero(differing[subject] & (birth > 0))))
    kinds = Kinds.of(
        rules, Names(columns.text("disposition")), event=event, subject=subject, cycle=columns.text("cycle")
    )
    findings.append((Code.NOT_A_DISPOSITION, "disposition", np.flatnonzero(kinds.unlisted)))
    penalties = Penalties.of(columns.text("max_penalty"))
    findings.append((Code.NOT_A_LENGTH, "max_penalty", np.flatnonzero(penalties.wrong)))
    levels, penalties = Levels.of(rules.levels, Names(columns.text("level")), penalties)
    findings.append((Code.NOT_A_LEVEL, "level", np.flatnonzero(levels.wrong)))
    lengths = read_lengths(columns.text("sentence_length"))
    findings.append((Code.NOT_A_LENGTH, "sentence_length", np.flatnonzero(lengths.wrong)))
    deceased = np.where(event.begins(("DECEASED",)) == YES, YES, columns.flag("deceased"))
    rows = Rows(
        subject=subject,
        k=k,
        date=date,
        offense_date=offense_date,
        event=event,
        kinds=kinds,
        convicted=kinds.among((CONVICTION,)),
        levels=levels,
        penalties=penalties,
        lengths=lengths,
        born=born,
        deceased=any_of(deceased, subject, k + 1),
        pending=_pending(columns, kinds, subject, k),
        findings=tuple((code, name, rows) for code, name, rows in findings if len(rows)),
    )
    return rows, ends


def _pending(columns: Columns, kinds: Kinds, subject: Ints, k: int) -> Truth:
    """Truth[k + 1]: a charge is pending, by a disposition or a flag; unknown unless a flag says that none is."""
    found = np.full(k + 1, UNKNOWN)
    if "pending" not in columns.names and PENDING not in kinds.names:
        return found
    flag = columns.flag("pending")
    found[subject[flag == NO]] = NO
    found[subject[(flag == YES) | (kinds.among((PENDING,)) == YES)]] = YES
    return found


def _subjects(array: pa.Array) -> tuple[Ints, int]:
    """(int64[n] from 0 to k, k); k for a row without a subject."""
    code, k = codes(array)
    return np.where(read(array).filled, code, k), k


def _dates(columns: Columns, name: str, today: int, findings: list[tuple[RowCode, str, Ints]]) -> Ints:
    """int64[n] YYYYMMDD or 0; faults are added to the findings."""
    if name not in columns.names:
        return np.zeros(columns.n, np.int64)
    array = columns.text(name)
    first, code = first_rows(array)
    text: Text = read(array.take(arrow.from_numpy(first)))
    parsed = dates.parse(text)
    number = np.where(parsed.whole, parsed.number, 0).astype(np.int64)
    future = number > today
    wrong = text.filled & ~parsed.fits
    faults = [(ValueCode.NOT_A_DATE, wrong), (Code.IN_THE_FUTURE, future)]
    findings += ((fault, name, np.flatnonzero(values[code])) for fault, values in faults if values.any())
    return np.where(future, 0, number)[code]


def _ends(columns: Columns, name: str, today: int, findings: list[tuple[RowCode, str, Ints]]) -> Ends:
    date = _dates(columns, name, today, findings)
    given = read(columns.text(name)).filled if name in columns.names else np.zeros(columns.n, np.bool_)
    return Ends(date=date, given=given)


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


def _latest(rows: Rows, row: Ints) -> Ints:
    """int64[k + 1]: the latest date in these rows of each subject, 0 for none."""
    latest = np.zeros(rows.k + 1, np.int64)
    np.maximum.at(latest, rows.subject[row], rows.date[row])
    return latest

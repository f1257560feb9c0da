"""The preset `srs_return_a`: the FBI's monthly forms from NIBRS incidents, by its own rules of conversion.

result            `return_a/1`: one row a form, ORI, month and line; month YYYYMM
accounting        `return_a_accounting/1`: reports of the submission by what became of them; they add up to all
row_status        WARNED at the first segment of a report that is not counted or not wholly on a line of a form

An incident is counted as the submission leaves it: what is deleted later, or is there already, is not. Actual offenses
go into the month of the incident, clearances into that of the first arrest or of the exceptional clearance. A month
that cannot be read is null. Every unit of an incident is on one line of its form or on `unclassifiable`.

Not converted: clearances of incidents from before an agency's NIBRS (their place in the segments is deprecated, and
such reports are not counted), the kinds of property in arson. Sources: see `forms`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.column import Bools, Ints, Text, pack
from worker.compute.kernels.equal_rows import numbered
from worker.compute.nibrs.headers import UNREADABLE
from worker.compute.nibrs.segments import Chunk, Table
from worker.compute.nibrs.side_tables import OnFile, OriTable
from worker.compute.nibrs.specification import load_rule_set
from worker.compute.nibrs.submission import (
    GROUP_A,
    GROUP_B,
    NO_GROUP,
    ZERO,
    Submission,
    read,
)
from worker.compute.operation import Outputs
from worker.compute.operations.aggregate.forms import (
    FORMS,
    LINES,
    UNCLASSIFIABLE,
    Class,
    Line,
)
from worker.compute.operations.aggregate.outputs import ACCOUNTING, RETURN_A
from worker.compute.status_codes import Code
from worker.errors import Reason, Refusal, Stage
from worker.progress import ProgressCallback
from worker.records import RowStatus, Status

__all__ = ["MAX_FORMS", "return_a"]

MAX_FORMS: Final = 1 << 17
"""Months of agencies: a year of all that report makes about as many."""

_RULES: Final = load_rule_set("nibrs/3.1")
_ADULT: Final = 18
_NO_RANK: Final = 1 << 20
_DELETE: Final = np.uint8(ord("D"))
_BATCH: Final = 16_384
_RENTAL_STORAGE, _STOLEN = "19", "7"
_EXCEPTIONAL: Final = ("A", "B", "C", "D", "E")
_NEVER: Final = np.iinfo(np.int64).max
_MONTHS: Final = 1_000_000  # YYYYMM is less
_ORI: Final = 9

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Units:
    """Units of incidents: int64[u] each; `reports` counted from the first of the submission, `lines` of LINES."""

    reports: Ints
    lines: Ints
    counts: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Incidents:
    """Of each report: `months` of the incident and of its clearance (0: not known), whether it is cleared, and how."""

    months: Ints
    cleared: Bools
    cleared_months: Ints
    under_18: Bools


def return_a(segments: Text, progress: ProgressCallback) -> Outputs:
    """Convert a submission, one segment a row. Raises: Refusal(LIMIT_EXCEEDED) for more than MAX_FORMS; MemoryError."""
    submission = read(segments, _RULES, OriTable.empty(), OnFile.empty())
    counted, deletes = _counted(submission)
    found: list[_Units] = []
    incidents: list[_Incidents] = []
    first = 0
    for end, chunk, _ in submission.chunks(_RULES):
        reports = chunk.table("reports").n
        of_chunk = counted[first : first + reports]
        found += [
            _Units(reports=units.reports + first, lines=units.lines, counts=units.counts)
            for units in _score(chunk, of_chunk)
        ]
        incidents.append(_incidents(chunk))
        first += reports
        progress("count", 100 * end // len(submission.levels))
    units = _Units(**{name: _joined(name, found) for name in ("reports", "lines", "counts")})
    facts = _Incidents(
        months=_joined("months", incidents),
        cleared=_joined("cleared", incidents, np.bool_),
        cleared_months=_joined("cleared_months", incidents),
        under_18=_joined("under_18", incidents, np.bool_),
    )
    result = _result(_tally(submission, counted, units, facts))
    return Outputs(
        status=_status(
            RowStatus.all_ok(len(segments.lengths)),
            first=submission.rows[submission.firsts],
            left=(submission.groups == GROUP_A) & ~counted & ~deletes,
            unclear=_unclear(counted, units, facts),
            unreadable=submission.rows[submission.levels == UNREADABLE],
        ),
        result=[result.slice(at, _BATCH) for at in range(0, result.num_rows, _BATCH)],
        parts={"accounting": [_accounting(submission, counted, deletes)]},
    )


def _joined(name: str, pieces: Sequence[_Units] | Sequence[_Incidents], kind: type[np.generic] = np.int64) -> Array:
    """An attribute of all pieces, one behind the other; there may be none."""
    return np.concatenate([np.empty(0, kind), *(getattr(piece, name) for piece in pieces)])


def _counted(submission: Submission) -> tuple[Bools, Bools]:
    """bool[m]: the reports that stand at the end (the first of their key since the last deletion); deletions."""
    m, first = len(submission.firsts), submission.firsts
    deletes = (submission.levels[first] == 1) & (submission.actions[first] == _DELETE) & (submission.groups == GROUP_A)
    key, place = numbered(submission.keys), np.arange(m)
    deleted = np.full(m, -1)
    np.maximum.at(deleted, key[deletes], place[deletes])
    standing = submission.report_facts["incident"] & ~deletes & (place > deleted[key])
    earliest = np.full(m, m)
    np.minimum.at(earliest, key[standing], place[standing])
    return standing & (earliest[key] == place), deletes


def _score(chunk: Chunk, counted: Bools) -> Iterator[_Units]:
    """The units of every class in every incident of a chunk."""
    offenses = chunk.table("offenses")
    code, report = offenses.column("offense"), offenses.up
    rank = np.full(len(counted), _NO_RANK)
    for each in FORMS[0].classes:
        np.minimum.at(rank, report[_isin(code, "offense", each.offenses)], each.rank)
    for form in FORMS:
        for each in form.classes:
            eligible = counted & ((rank == each.rank) | (each.rank == 0))
            score = {"victim": _victims, "vehicles": _vehicles}.get(each.unit, _offenses)
            yield score(chunk, each, eligible)


def _victims(chunk: Chunk, each: Class, eligible: Bools) -> _Units:
    """Victims connected to an offense of the class, each once."""
    offenses, connections = chunk.table("offenses"), chunk.table("connections")
    victims = chunk.table("victims")
    code, report = connections.column("connected"), connections.climb("reports")
    rows = np.flatnonzero(eligible[report] & _isin(code, "offense", each.offenses))
    offense = chunk.partners("connections", offenses, "connected", "offense")[rows]
    there = offense >= 0
    holding = [
        there & _holds(chunk, line)[offense] & _asked(connections.column("sex")[rows], "sex", line.sexes)
        for line in each.lines
    ]
    return _units(each, connections.up[rows], victims.up, holding)


def _offenses(chunk: Chunk, each: Class, eligible: Bools) -> _Units:
    """Incidents with an offense of the class, each once; burglaries of rental storage by the premises entered."""
    offenses = chunk.table("offenses")
    rows = np.flatnonzero(eligible[offenses.up] & _isin(offenses.column("offense"), "offense", each.offenses))
    units = _units(
        each, offenses.up[rows], np.arange(len(eligible)), [_holds(chunk, line)[rows] for line in each.lines]
    )
    if each.unit == "premises":
        entered = np.ones(len(eligible), np.int64)
        storage = _isin(offenses.column("location")[rows], "location", (_RENTAL_STORAGE,))
        number = np.where(storage, offenses.column("premises")[rows], 1)
        np.maximum.at(entered, offenses.up[rows], number)
        return _Units(reports=units.reports, lines=units.lines, counts=entered[units.reports])
    return units


def _vehicles(chunk: Chunk, each: Class, eligible: Bools) -> _Units:
    """Vehicles stolen, one at least for each entry; the first line that has an entry takes what no other line does.

    Attempts are one vehicle each, on the first line.
    """
    offenses, properties, items = chunk.table("offenses"), chunk.table("properties"), chunk.table("items")
    m, line_count = len(eligible), len(each.lines)
    of_class = eligible[offenses.up] & _isin(offenses.column("offense"), "offense", each.offenses)
    wanted, done = np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    wanted[offenses.up[of_class]] = True
    done[offenses.up[of_class & _isin(offenses.column("completed"), "completed", ("C",))]] = True
    tried = np.zeros(m, np.bool_)
    tried[offenses.up[of_class & _isin(offenses.column("completed"), "completed", ("A",))]] = True
    stolen = _isin(properties.column("loss"), "loss", (_STOLEN,))
    number = np.zeros(m, np.int64)
    np.add.at(number, properties.up[stolen], np.maximum(properties.column("stolen_vehicles")[stolen], 0))
    entries = np.zeros((line_count, m), np.int64)
    of_stolen, report = stolen[items.up], items.climb("reports")
    for line, one in zip(entries, each.lines, strict=True):
        np.add.at(line, report[of_stolen & _isin(items.column("description"), "description", one.descriptions)], 1)
    scored = np.where(done, entries, 0)
    rest = np.maximum(number - entries.sum(axis=0), 0) * done
    first = np.argmax(entries > 0, axis=0)
    named = entries.any(axis=0)
    scored[first[named], np.flatnonzero(named)] += rest[named]
    scored[0] += tried & ~done
    unclear = wanted & ~scored.any(axis=0)
    numbers = _numbers(each)
    lines, reports = np.nonzero(scored * wanted)
    return _Units(
        reports=np.concatenate((reports, np.flatnonzero(unclear))),
        lines=np.concatenate((numbers[lines], np.full(np.count_nonzero(unclear), numbers[-1]))),
        counts=np.concatenate((scored[lines, reports], np.ones(np.count_nonzero(unclear), np.int64))),
    )


def _holds(chunk: Chunk, line: Line) -> Bools:
    """bool[offenses]: everything that a line asks of the offense."""
    offenses, weapons = chunk.table("offenses"), chunk.table("weapons")
    found = _isin(offenses.column("offense"), "offense", line.offenses)
    found &= _asked(offenses.column("completed"), "completed", line.completed)
    found &= _asked(offenses.column("entry"), "entry", line.entry)
    if line.weapons:
        armed = np.zeros(offenses.n, np.bool_)
        armed[weapons.up[_isin(weapons.column("weapon"), "weapon", line.weapons)]] = True
        found &= armed
    return found


def _isin(values: Array, table: str, codes: Sequence[str]) -> Bools:
    """Whether each value, a position in a code table, is that of one of the codes."""
    known = list(_RULES.codes[table].codes)
    chosen = np.zeros(len(known) + 2, np.bool_)  # the last two places are for BAD_VALUE and BLANK_VALUE
    chosen[[known.index(code) for code in codes]] = True
    return chosen[values]


def _asked(values: Array, table: str, codes: Sequence[str]) -> Bools:
    return _isin(values, table, codes) if codes else np.ones(len(values), np.bool_)


def _numbers(each: Class) -> Ints:
    """The lines of a class as LINES numbers them, and behind them that of what is on none."""
    return np.array([*(LINES[each.form, line.line] for line in each.lines), LINES[each.form, UNCLASSIFIABLE]])


def _units(each: Class, owner: Ints, report: Ints, holding: Sequence[Bools]) -> _Units:
    """One unit for each different `owner` of some rows, on the first line that holds for any of its rows.

    owner int64[n]; report int64: that of each owner; holding: for each line of the class bool[n].
    """
    place = np.full(len(owner), len(holding))
    for line in reversed(range(len(holding))):
        place[holding[line]] = line
    least = np.full(len(report), _NO_RANK)
    np.minimum.at(least, owner, place)
    units = np.flatnonzero(least < _NO_RANK)
    return _Units(reports=report[units], lines=_numbers(each)[least[units]], counts=np.ones(len(units), np.int64))


def _incidents(chunk: Chunk) -> _Incidents:
    """When each incident happened, and when and by whom it was cleared."""
    admin, arrestees, offenders = chunk.table("admin"), chunk.table("arrestees"), chunk.table("offenders")
    m = chunk.table("reports").n
    months, exceptional_months = np.zeros(m, np.int64), np.zeros(m, np.int64)
    exceptional = np.zeros(m, np.bool_)
    months[admin.up] = np.maximum(admin.column("date"), 0) // 100
    exceptional[admin.up] = _isin(admin.column("cleared"), "cleared", _EXCEPTIONAL)
    exceptional_months[admin.up] = np.maximum(admin.column("cleared_date"), 0) // 100
    arrested = np.zeros(m, np.bool_)
    arrested[arrestees.up] = True
    dated = arrestees.column("arrest_date") > 0
    earliest = np.full(m, _NEVER)
    np.minimum.at(earliest, arrestees.up[dated], arrestees.column("arrest_date")[dated])
    arrest_months = np.where(earliest < _NEVER, earliest // 100, 0)
    return _Incidents(
        months=months,
        cleared=exceptional | arrested,
        cleared_months=np.where(exceptional, exceptional_months, arrest_months),
        under_18=np.where(exceptional, _only_under_18(offenders, m), _only_under_18(arrestees, m)),
    )


def _only_under_18(persons: Table, m: int) -> Bools:
    """bool[m]: somebody in the report is of age 1 to 17, and nobody of 18 or more."""
    age = persons.column("age")
    young, adult = np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    young[persons.up[(age > 0) & (age < _ADULT)]] = True
    adult[persons.up[age >= _ADULT]] = True
    return young & ~adult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Sheets:
    """The forms of `n` months of agencies: oris S9[n], months int64[n], columns int64[3, n, lines of LINES]."""

    oris: npt.NDArray[np.bytes_]
    months: Ints
    columns: Ints


def _tally(submission: Submission, counted: Bools, units: _Units, facts: _Incidents) -> _Sheets:
    """Add up units by ORI, month and line. Raises: Refusal(LIMIT_EXCEEDED) for more than MAX_FORMS sheets."""
    oris = np.ascontiguousarray(submission.keys[:, :_ORI]).view(f"S{_ORI}")[:, 0]
    names, ori = np.unique(oris, return_inverse=True)
    actual = ori * _MONTHS + facts.months
    cleared = ori * _MONTHS + facts.cleared_months
    gone = counted & facts.cleared
    sheets = np.unique(np.concatenate((actual[counted], cleared[gone])))
    if len(sheets) > MAX_FORMS:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    of_unit = facts.cleared[units.reports]
    young = of_unit & facts.under_18[units.reports]
    size = len(sheets) * len(LINES)
    columns = []
    for month, rows in ((actual, slice(None)), (cleared, of_unit), (cleared, young)):
        reports, lines, counts = units.reports[rows], units.lines[rows], units.counts[rows]
        cell = np.searchsorted(sheets, month[reports]) * len(LINES) + lines
        columns.append(np.bincount(cell, counts, size).astype(np.int64).reshape(len(sheets), len(LINES)))
    return _Sheets(oris=names[sheets // _MONTHS], months=sheets % _MONTHS, columns=np.stack(columns))


def _result(sheets: _Sheets) -> pa.RecordBatch:
    """Every line of every form of every month and agency, with its sums."""
    n = len(sheets.months)
    printed = [(form, name, [LINES[form.name, part] for part in parts]) for form in FORMS for name, parts in form.sums]
    months = np.where(sheets.months > 0, np.char.mod("%06d", sheets.months).astype("S6"), b"")
    sums = np.stack([sheets.columns[:, :, parts].sum(axis=2) for _, _, parts in printed], axis=2)
    has_clearances = np.tile([form.clearances for form, _, _ in printed], n)
    labels = {
        "form": np.tile(np.array([form.name.encode() for form, _, _ in printed]), n),
        "line": np.tile(np.array([name.encode() for _, name, _ in printed]), n),
        "ori": np.repeat(sheets.oris, len(printed)),
        "month": np.repeat(months, len(printed)),
    }
    columns = {name: _text(values) for name, values in labels.items()}
    for i, name in enumerate(("actual", "cleared", "cleared_under_18")):
        there = None if i == 0 else pa.py_buffer(np.packbits(has_clearances, bitorder="little"))
        values = pa.py_buffer(np.ascontiguousarray(sums[i].reshape(-1).astype(np.uint64)))
        columns[name] = pa.Array.from_buffers(pa.uint64(), n * len(printed), [there, values])
    return pa.RecordBatch.from_arrays([columns[name] for name in RETURN_A.arrow.names], schema=RETURN_A.arrow)


def _text(values: npt.NDArray[np.bytes_]) -> pa.Array:
    """Null where there is nothing."""
    width = max(values.dtype.itemsize, 1)
    matrix = np.ascontiguousarray(values.astype(f"S{width}")).view(np.uint8).reshape(-1, width)
    return pack(matrix, np.char.str_len(values).astype(np.int64), pa.binary())


def _accounting(submission: Submission, counted: Bools, deletes: Bools) -> pa.RecordBatch:
    groups = submission.groups
    of_a = groups == GROUP_A
    outcomes = {
        "counted": counted,
        "deletion": deletes,
        "not counted": of_a & ~counted & ~deletes,
        "group b arrest": groups == GROUP_B,
        "zero report": groups == ZERO,
        "unreadable": groups == NO_GROUP,
    }
    reports = np.array([np.count_nonzero(those) for those in outcomes.values()], np.uint64)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(list(outcomes), pa.utf8()),
            pa.Array.from_buffers(pa.uint64(), len(reports), [None, pa.py_buffer(reports)]),
        ],
        schema=ACCOUNTING.schema.arrow,
    )


def _unclear(counted: Bools, units: _Units, facts: _Incidents) -> Bools:
    """bool[m]: reports with a unit on no line, or in a month that is not known."""
    unclear: Bools = counted & ((facts.months == 0) | (facts.cleared & (facts.cleared_months == 0)))
    unclear[units.reports[np.isin(units.lines, [LINES[form.name, UNCLASSIFIABLE] for form in FORMS])]] = True
    return unclear


def _status(status: RowStatus, *, first: Ints, left: Bools, unclear: Bools, unreadable: Ints) -> RowStatus:
    status = status.found(first[left], status=Status.WARNED, code=Code.NOT_COUNTED)
    status = status.found(first[unclear], status=Status.WARNED, code=Code.FITS_NO_LINE)
    return status.found(unreadable, status=Status.NOT_USABLE, code=Code.UNREADABLE_SEGMENT)

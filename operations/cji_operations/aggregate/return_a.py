"""The preset `srs_return_a`: the FBI's monthly forms from NIBRS incidents, by its own rules of conversion.

result            `return_a/1`: one row a form, ORI, month and line; month YYYYMM
accounting        `return_a_accounting/1`: reports of the whole submission by what became of them; they add up to all
row_status        WARNED at the first segment of a report that is not counted or not wholly on a line of a form; with a
                  threshold no row is marked, because the marks are exact numbers of what may be withheld

An incident is counted as the submission leaves it: what is deleted later, or is there already, is not. Rejected reports
are left out where the verdicts of a validation come with the job. Actual offenses go into the month of the incident,
clearances into that of the first arrest or of the exceptional clearance. A month that cannot be read is null. Every
unit of an incident is on one line of its form or on `unclassifiable`.

Not converted: clearances of incidents from before an agency's NIBRS (their position in the segments is deprecated, and
such reports are not counted), the kinds of property in arson. Sources: see `forms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RowStatus, Status, arrow
from cji_core.format.records.column import Bools, Ints, Text, pack_strings
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.nibrs.records import Records
from cji_core.operations.aggregate import ACCOUNTING, RETURN_A, Code
from cji_operations.aggregate.form_suppression import withheld
from cji_operations.aggregate.forms import FORMS, LINES, TITLES, UNCLASSIFIABLE
from cji_operations.aggregate.units import RULES, Units, isin, score
from cji_operations.aggregate.verdicts import accepted_reports
from cji_operations.nibrs.headers import UNREADABLE
from cji_operations.nibrs.relations import GROUP_A, GROUP_B, NO_GROUP, ZERO
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.side_tables import OnFile, OriTable
from cji_operations.nibrs.submission import Submission, read
from cji_operations.nibrs.table import Table
from cji_operations.operation import Outputs
from cji_operations.progress import ProgressCallback

_ADULT: Final = 18
_EXCEPTIONAL: Final = ("A", "B", "C", "D", "E")
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Incidents:
    """Of each report: `months` of the incident and of its clearance (0: not known), whether it is cleared, and how."""

    months: Ints
    cleared: Bools
    cleared_months: Ints
    under_18: Bools


def read_incidents(chunk: Chunk) -> Incidents:
    """When each incident happened, and when and by whom it was cleared."""
    admin, arrestees, offenders = chunk.table("admin"), chunk.table("arrestees"), chunk.table("offenders")
    m = chunk.table("reports").n
    months, exceptional_months = np.zeros(m, np.int64), np.zeros(m, np.int64)
    exceptional = np.zeros(m, np.bool_)
    months[admin.up] = np.maximum(admin.column("date"), 0) // 100
    exceptional[admin.up] = isin(admin.column("cleared"), "cleared", _EXCEPTIONAL)
    exceptional_months[admin.up] = np.maximum(admin.column("cleared_date"), 0) // 100
    arrested = np.zeros(m, np.bool_)
    arrested[arrestees.up] = True
    dated = arrestees.column("arrest_date") > 0
    earliest = np.full(m, _NEVER)
    np.minimum.at(earliest, arrestees.up[dated], arrestees.column("arrest_date")[dated])
    arrest_months = np.where(earliest < _NEVER, earliest // 100, 0)
    return Incidents(
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


MAX_FORMS: Final = 1 << 17
"""Months of agencies: a year of all that report makes about as many."""

_DELETE: Final = np.uint8(ord("D"))
_BATCH: Final = 16_384
_MONTHS: Final = 1_000_000  # YYYYMM is less
_ORI: Final = 9

Array = npt.NDArray[Any]


def return_a(
    segments: Text,
    progress: ProgressCallback,
    *,
    verdicts: Sequence[pa.RecordBatch] | None = None,
    months: Sequence[str] = (),
    threshold: int = 1,
) -> Outputs:
    """Convert a submission, one segment a row.

    `verdicts`: batches of `nibrs_verdicts/1`; None counts rejected reports too. `months`: YYYY-MM of the sheets that
    are made; none makes all. Raises at COMPUTE: Refusal(LIMIT_EXCEEDED) for more than MAX_FORMS;
    Refusal(BAD_PARAMETERS) for verdicts on another submission; MemoryError.
    """
    submission = read(Records.of_lines(segments), RULES, OriTable.empty(), OnFile.empty())
    accepted = accepted_reports(submission, verdicts)
    counted, deletes = counted_reports(submission, accepted)
    found: list[Units] = []
    incidents: list[Incidents] = []
    first = 0
    for end, chunk, _ in submission.chunks(RULES):
        reports = chunk.table("reports").n
        of_chunk = counted[first : first + reports]
        found += [
            Units(reports=units.reports + first, lines=units.lines, counts=units.counts)
            for units in score(chunk, of_chunk)
        ]
        incidents.append(read_incidents(chunk))
        first += reports
        progress("count", 100 * end // len(submission.levels))
    units = Units(**{name: _joined(name, found) for name in ("reports", "lines", "counts")})
    facts = Incidents(
        months=_joined("months", incidents),
        cleared=_joined("cleared", incidents, np.bool_),
        cleared_months=_joined("cleared_months", incidents),
        under_18=_joined("under_18", incidents, np.bool_),
    )
    result = _result(_tally(submission, counted, units, facts), months, threshold)
    status = RowStatus.all_ok(len(segments.lengths))
    left = (submission.groups == GROUP_A) & ~counted & ~deletes
    if threshold == 1:
        status = status_of(status, submission, left=left, accepted=accepted, unclear=_unclear(counted, units, facts))
    return Outputs(
        status=status,
        result=arrow.cut(result, _BATCH),
        parts={"accounting": [accounting_of(submission, counted, deletes, accepted, threshold)]},
    )


def _joined(name: str, pieces: Sequence[Units] | Sequence[Incidents], kind: type[np.generic] = np.int64) -> Array:
    """An attribute of all pieces, one after another; there may be none."""
    return np.concatenate([np.empty(0, kind), *(getattr(piece, name) for piece in pieces)])


def counted_reports(submission: Submission, accepted: Bools) -> tuple[Bools, Bools]:
    """bool[m]: the reports that stand at the end (the first of their key since the last deletion); deletions.

    A rejected report counts for nothing, nor does a rejected deletion.
    """
    m, first = len(submission.firsts), submission.firsts
    deletes = (
        accepted
        & (submission.levels[first] == 1)
        & (submission.actions[first] == _DELETE)
        & (submission.groups == GROUP_A)
    )
    key, position = numbered(submission.keys), np.arange(m)
    deleted = np.full(m, -1)
    np.maximum.at(deleted, key[deletes], position[deletes])
    standing = submission.report_facts["incident"] & accepted & ~deletes & (position > deleted[key])
    earliest = np.full(m, m)
    np.minimum.at(earliest, key[standing], position[standing])
    return standing & (earliest[key] == position), deletes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Sheets:
    """The forms of `n` months of agencies: oris S9[n], months int64[n], columns int64[3, n, lines of LINES]."""

    oris: npt.NDArray[np.bytes_]
    months: Ints
    columns: Ints


def _tally(submission: Submission, counted: Bools, units: Units, facts: Incidents) -> _Sheets:
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


def _result(sheets: _Sheets, wanted: Sequence[str], threshold: int) -> pa.RecordBatch:
    """Every line of every form of the months and agencies, with its sums; of all months where none is `wanted`."""
    if wanted:
        kept = np.isin(sheets.months, [int(month.replace("-", "")) for month in wanted])
        sheets = _Sheets(oris=sheets.oris[kept], months=sheets.months[kept], columns=sheets.columns[:, kept])
    n = len(sheets.months)
    printed = [(form, name, [LINES[form.name, part] for part in parts]) for form in FORMS for name, parts in form.sums]
    months = np.where(sheets.months > 0, np.char.mod("%06d", sheets.months).astype("S6"), b"")
    sums = np.stack([sheets.columns[:, :, parts].sum(axis=2) for _, _, parts in printed], axis=2)
    has_clearances = np.tile([form.clearances for form, _, _ in printed], n)
    gone = withheld([(form, name) for form, name, _ in printed], sums, threshold)
    labels = {
        "form": np.tile(np.array([form.name.encode() for form, _, _ in printed]), n),
        "line": np.tile(np.array([name.encode() for _, name, _ in printed]), n),
        "ori": np.repeat(sheets.oris, len(printed)),
        "month": np.repeat(months, len(printed)),
        "title": np.tile(np.array([TITLES[form.name, name].encode() for form, name, _ in printed]), n),
    }
    columns = {name: pack_strings(values) for name, values in labels.items()}
    columns["hidden"] = arrow.from_numpy(gone.any(axis=0).reshape(-1))
    for i, name in enumerate(("actual", "cleared", "cleared_under_18")):
        valid = ~gone[i].reshape(-1) & (has_clearances | (i == 0))
        columns[name] = arrow.from_numpy(np.where(valid, sums[i].reshape(-1), 0), pa.uint64(), valid=valid)
    return pa.RecordBatch.from_arrays([columns[name] for name in RETURN_A.arrow.names], schema=RETURN_A.arrow)


def accounting_of(
    submission: Submission, counted: Bools, deletes: Bools, accepted: Bools, threshold: int
) -> pa.RecordBatch:
    """Reports of the submission by what became of them; numbers below the threshold are null."""
    groups = submission.groups
    of_a = groups == GROUP_A
    outcomes = {
        "counted": counted,
        "deletion": deletes,
        "rejected": of_a & ~accepted,
        "not counted": of_a & accepted & ~counted & ~deletes,
        "group b arrest": groups == GROUP_B,
        "zero report": groups == ZERO,
        "unreadable": groups == NO_GROUP,
    }
    reports = np.array([np.count_nonzero(those) for those in outcomes.values()], np.uint64)
    valid = shown(reports.astype(np.int64), len(submission.levels), threshold)
    return pa.RecordBatch.from_arrays(
        [pa.array(list(outcomes), pa.utf8()), arrow.from_numpy(reports * valid, valid=valid)],
        schema=ACCOUNTING.schema.arrow,
    )


def shown(reports: Ints, segments: int, threshold: int) -> Bools:
    """bool[k]: the numbers of reports that can be shown: not those below the threshold, zeros among them.

    The number of segments is in every receipt, and a report has one at least, so those that are shown have to leave
    enough of them for each of the others to be any number below the threshold.
    """
    valid: Bools = (reports >= threshold) | (threshold == 1)
    for at in np.argsort(reports, kind="stable").tolist():
        if valid.all() or segments - int(reports[valid].sum()) >= threshold - 1:
            break
        valid[at] = False
    return valid


def _unclear(counted: Bools, units: Units, facts: Incidents) -> Bools:
    """bool[m]: reports with a unit on no line, or in a month that is not known."""
    unclear: Bools = counted & ((facts.months == 0) | (facts.cleared & (facts.cleared_months == 0)))
    unclear[units.reports[np.isin(units.lines, [LINES[form.name, UNCLASSIFIABLE] for form in FORMS])]] = True
    return unclear


def status_of(status: RowStatus, submission: Submission, *, left: Bools, accepted: Bools, unclear: Bools) -> RowStatus:
    """`status`, with reports that are `left` out or `unclear`, and segments that cannot be read."""
    first = submission.records.rows[submission.firsts]
    status = status.found(first[left & ~accepted], status=Status.WARNED, code=Code.REJECTED)
    status = status.found(first[left & accepted], status=Status.WARNED, code=Code.NOT_COUNTED)
    status = status.found(first[unclear], status=Status.WARNED, code=Code.FITS_NO_LINE)
    unreadable = submission.records.rows[submission.levels == UNREADABLE]
    return status.found(unreadable, status=Status.NOT_USABLE, code=Code.UNREADABLE_SEGMENT)

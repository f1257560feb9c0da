"""The preset `srs_leoka`: Law Enforcement Officers Killed or Assaulted, monthly, from NIBRS incidents.

result            `return_a/1`: a form for each column of the FBI's sheet; of the form `leoka` `actual` is column A, or
                  the officers killed, and `cleared` column M; the other forms have `actual` alone
accounting        as of Return A
row_status        WARNED at the first segment of a report that is not counted, or has an officer that fits no line

An officer is a victim of type L, counted by the agency that data element 25C names, else by that of the incident: once
as killed if connected to 09A, once as assaulted if connected to 13A or 13B. The weapon is the first in the order of the
FBI's list that the offense has, of 13A before 13B. An officer whose activity or weapon is missing is on the line
`unclassifiable` and on no other. Lines 13 and 14 count injuries, lines 15a to 15l two hours each; on 15u are officers
whose hour is not known: the FBI distributes them by published percentages, which is not converted. Officers killed by
accident are not in NIBRS.

Source: FBI, Conversion of NIBRS Data to Summary Reporting System Data, version 3.0 (2012-07-20), pages 59 to 90.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RowStatus, arrow
from cji_core.format.records.column import Bools, Ints, Text, pack_strings
from cji_core.format.records.nibrs.records import Records
from cji_core.operations.aggregate import RETURN_A
from cji_operations.aggregate.return_a import (
    MAX_FORMS,
    Incidents,
    accounting_of,
    counted_reports,
    read_incidents,
    status_of,
)
from cji_operations.aggregate.units import RULES, isin
from cji_operations.aggregate.verdicts import accepted_reports
from cji_operations.nibrs.relations import GROUP_A
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.side_tables import OnFile, OriTable
from cji_operations.nibrs.submission import Submission, read
from cji_operations.operation import Outputs
from cji_operations.progress import ProgressCallback

ACTIVITIES: Final = {
    "01": "Responding to disturbance calls",
    "02": "Burglaries in progress or pursuing burglary suspects",
    "03": "Robberies in progress or pursuing robbery suspects",
    "04": "Attempting other arrests",
    "05": "Civil disorder",
    "06": "Handling, transporting, custody of prisoners",
    "07": "Investigating suspicious persons or circumstances",
    "08": "Ambush, no warning",
    "09": "Handling persons with mental illness",
    "10": "Traffic pursuits and stops",
    "11": "All other",
}
WEAPONS: Final = {
    "leoka_firearm": ("11", "12", "13", "14", "15"),
    "leoka_knife": ("20",),
    "leoka_other_weapon": ("30", "35", "50", "60", "65", "70", "85", "90", "95"),
    "leoka_hands": ("40", "99"),
}
"""Columns B to E; all codes in the order in which the first one is taken."""
ASSIGNMENTS: Final = {
    "leoka_two_officer_vehicle": "F",
    "leoka_one_officer_alone": "G",
    "leoka_one_officer_assisted": "H",
    "leoka_detective_alone": "I",
    "leoka_detective_assisted": "J",
    "leoka_other_alone": "K",
    "leoka_other_assisted": "L",
}
"""Columns F to L."""
INJURED: Final = ("B", "I", "L", "M", "O", "T", "U")
UNHURT: Final = ("N",)
FRAMES: Final = 12  # two hours each

_LETTERS: Final = "abcdefghijkl"
_KILLED, _TOTAL, _UNCLEAR = "killed", "12", "unclassifiable"
TITLES: Final = {
    _KILLED: "Officers killed by felonious act",
    **{str(int(code)): title for code, title in ACTIVITIES.items()},
    _TOTAL: "Total of 1 to 11",
    "13": "Number with personal injury",
    "14": "Number without personal injury",
    **{f"15{letter}": f"Time of assault {2 * i:02d}:00 to {2 * i + 1:02d}:59" for i, letter in enumerate(_LETTERS)},
    "15u": "Time of assault not known",
    _UNCLEAR: "Activity or weapon not known",
}
"""Line -> its title, in the order of the form."""
_LINES: Final = {line: i for i, line in enumerate(TITLES)}
FORMS: Final = ("leoka", *WEAPONS, *ASSIGNMENTS)
_COLUMNS: Final = len(FORMS) + 1  # the last is that of clearances
_NONE: Final = -1
_ORI: Final = 9
_BATCH: Final = 16_384
_FAR: Final = 99

_Names = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Officers:
    """Officers of counted incidents: int64[n] each, S9[n] the agency that employs them, b"" for that of the incident.

    report: from the first of the submission; activity, weapon, assignment, frame: positions in the tables above, -1 for
    none; injury: 1 injured, 0 not, -1 not known.
    """

    report: Ints
    agency: _Names
    killed: Bools
    assaulted: Bools
    activity: Ints
    weapon: Ints
    assignment: Ints
    injury: Ints
    frame: Ints

    @classmethod
    def joined(cls, pieces: Sequence[Self]) -> Self:
        """All officers, one piece after another."""
        return cls(**{one.name: np.concatenate([getattr(piece, one.name) for piece in pieces]) for one in fields(cls)})

    @property
    def fits(self) -> Bools:
        """Assaulted officers who are on a line."""
        return self.assaulted & (self.activity >= 0) & (self.weapon >= 0)


def leoka(
    segments: Text,
    progress: ProgressCallback,
    *,
    verdicts: Sequence[pa.RecordBatch] | None = None,
    months: Sequence[str] = (),
) -> Outputs:
    """Convert a submission, one segment a row. Parameters and errors are those of `return_a`."""
    submission = read(Records.of_lines(segments), RULES, OriTable.empty(), OnFile.empty())
    accepted = accepted_reports(submission, verdicts)
    counted, deletes = counted_reports(submission, accepted)
    pieces, facts, first = list[_Officers](), list[Incidents](), 0
    for end, chunk, _ in submission.chunks(RULES):
        reports = chunk.table("reports").n
        pieces.append(_read(chunk, counted[first : first + reports], first))
        facts.append(read_incidents(chunk))
        first += reports
        progress("count", 100 * end // len(submission.levels))
    left = (submission.groups == GROUP_A) & ~counted & ~deletes
    status, unclear = RowStatus.all_ok(len(segments.lengths)), np.zeros(len(submission.firsts), np.bool_)
    result = _printed(np.empty(0, f"S{_ORI}"), np.empty(0, np.int64), np.empty((0, len(TITLES), _COLUMNS), np.int64))
    if pieces:
        officers = _Officers.joined(pieces)
        month = np.concatenate([one.months for one in facts])
        cleared = np.concatenate([one.cleared for one in facts])
        cleared_month = np.concatenate([one.cleared_months for one in facts])
        result = _sheets(
            submission,
            counted,
            officers,
            month=month,
            cleared=np.where(cleared, cleared_month, _NONE),
            wanted=months,
        )
        amiss = officers.assaulted & ~(officers.fits & (officers.assignment >= 0) & (officers.injury >= 0))
        unclear[officers.report[amiss]] = True
        unclear |= counted & (month == 0) & np.isin(np.arange(len(month)), officers.report)
    return Outputs(
        status=status_of(status, submission, left=left, accepted=accepted, unclear=unclear),
        result=arrow.cut(result, _BATCH),
        parts={"accounting": [accounting_of(submission, counted, deletes, accepted, 1)]},
    )


def _read(chunk: Chunk, counted: Bools, first: int) -> _Officers:
    """The officers of one chunk."""
    victims, connections, injuries = (chunk.table(name) for name in ("victims", "connections", "injuries"))
    officer = isin(victims.column("type"), "victim", ("L",)) & counted[victims.up]
    code = connections.column("connected")
    of = {each: _owners(connections.up[isin(code, "offense", (each,))], victims.n) for each in ("09A", "13A", "13B")}
    weapon = np.where(
        of["13A"], _weapons(chunk, "13A", len(counted))[victims.up], _weapons(chunk, "13B", len(counted))[victims.up]
    )
    kind = injuries.column("injury")
    injured = _owners(injuries.up[isin(kind, "injury", INJURED)], victims.n)
    unhurt = _owners(injuries.up[isin(kind, "injury", UNHURT)], victims.n)
    admin, hour = chunk.table("admin"), np.full(len(counted), _NONE)
    hour[admin.up] = admin.column("hour")
    rows = np.flatnonzero(officer & (of["09A"] | of["13A"] | of["13B"]))
    report = victims.up[rows]
    return _Officers(
        report=report + first,
        agency=np.char.rstrip(victims.text("officer_ori", rows)),
        killed=of["09A"][rows],
        assaulted=(of["13A"] | of["13B"])[rows],
        activity=_place(victims.column("officer_activity")[rows], "officer_activity", tuple(ACTIVITIES)),
        weapon=weapon[rows],
        assignment=_place(
            victims.column("officer_assignment")[rows], "officer_assignment", tuple(ASSIGNMENTS.values())
        ),
        injury=np.where(injured, 1, np.where(unhurt, 0, _NONE))[rows],
        frame=np.where(hour[report] >= 0, hour[report] // 2, _NONE),
    )


def _owners(rows: Ints, n: int) -> Bools:
    found = np.zeros(n, np.bool_)
    found[rows] = True
    return found


def _place(values: npt.NDArray[Any], table: str, codes: Sequence[str]) -> Ints:
    """int64: where each value is in `codes`, -1 where it is none of them."""
    found = np.full(len(values), _NONE)
    for i, code in enumerate(codes):
        found[isin(values, table, (code,))] = i
    return found


def _weapons(chunk: Chunk, code: str, reports: int) -> Ints:
    """int64[reports]: of the offense of this code, the column of its first weapon in the FBI's order; -1 for none."""
    offenses, weapons = chunk.table("offenses"), chunk.table("weapons")
    first = np.full(reports, _FAR)
    mine = isin(offenses.column("offense"), "offense", (code,))[weapons.up]
    for column, codes in enumerate(WEAPONS.values()):
        rows = mine & isin(weapons.column("weapon"), "weapon", codes)
        np.minimum.at(first, offenses.up[weapons.up[rows]], column)
    return np.where(first == _FAR, _NONE, first)


def _sheets(
    submission: Submission, counted: Bools, officers: _Officers, *, month: Ints, cleared: Ints, wanted: Sequence[str]
) -> pa.RecordBatch:
    """Every line of the sheets of agencies and months; `cleared` int64[m] is the month of clearance, -1 for none."""
    own = np.ascontiguousarray(submission.keys[:, :_ORI]).view(f"S{_ORI}")[:, 0]
    agency = np.where(officers.agency == b"", own[officers.report], officers.agency.astype(f"S{_ORI}"))
    names, place = np.unique(np.concatenate((own[counted], agency)), return_inverse=True)
    of_own, of_officer = place[: np.count_nonzero(counted)], place[np.count_nonzero(counted) :]
    space = 1_000_000  # YYYYMM is less
    when, then = month[officers.report], cleared[officers.report]
    actual, gone = of_officer * space + when, of_officer * space + then
    is_cleared = officers.fits & (then >= 0)
    sheets = np.unique(np.concatenate((of_own * space + month[counted], actual, gone[is_cleared])))
    if len(sheets) > MAX_FORMS // len(FORMS):
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    cells = np.zeros((len(sheets), len(TITLES), _COLUMNS), np.int64)

    def add(rows: Bools, key: Ints, line: Ints, column: Ints) -> None:
        chosen = rows & (line >= 0) & (column >= 0)
        np.add.at(cells, (np.searchsorted(sheets, key[chosen]), line[chosen], column[chosen]), 1)

    every = np.zeros(len(when), np.int64)
    line = np.where(officers.activity >= 0, officers.activity + _LINES["1"], _NONE)
    injury = np.array([_LINES["14"], _LINES["13"], _NONE])[officers.injury]
    frame = np.where(officers.frame >= 0, officers.frame + _LINES["15a"], _LINES["15u"])
    by_weapon = np.where(officers.weapon >= 0, officers.weapon + 1, _NONE)
    by_assignment = np.where(officers.assignment >= 0, officers.assignment + 1 + len(WEAPONS), _NONE)
    add(officers.killed, actual, every + _LINES[_KILLED], every)
    add(officers.assaulted & ~officers.fits, actual, every + _LINES[_UNCLEAR], every)
    for column in (every, by_weapon, by_assignment):
        add(officers.fits, actual, line, column)
    for column in (every, by_weapon):
        add(officers.fits, actual, injury, column)
    add(officers.fits, actual, frame, every)
    add(is_cleared, gone, line, every + _COLUMNS - 1)
    cells[:, _LINES[_TOTAL]] = cells[:, _LINES["1"] : _LINES[_TOTAL]].sum(axis=1)
    if wanted:
        kept = np.isin(sheets % space, [int(each.replace("-", "")) for each in wanted])
        sheets, cells = sheets[kept], cells[kept]
    return _printed(names[sheets // space], sheets % space, cells)


def _printed(oris: _Names, months: Ints, cells: Ints) -> pa.RecordBatch:
    n, per = len(months), len(FORMS) * len(TITLES)
    labels = {
        "form": np.tile(np.repeat(np.array([form.encode() for form in FORMS]), len(TITLES)), n),
        "line": np.tile(np.array([line.encode() for line in TITLES]), n * len(FORMS)),
        "ori": np.repeat(oris, per),
        "month": np.repeat(np.where(months > 0, np.char.mod("%06d", months).astype("S6"), b""), per),
        "title": np.tile(np.array([title.encode() for title in TITLES.values()]), n * len(FORMS)),
    }
    columns = {name: pack_strings(values) for name, values in labels.items()}
    actual = cells[:, :, :-1].transpose(0, 2, 1)
    has_clearances = np.zeros((n, len(FORMS), len(TITLES)), np.bool_)
    has_clearances[:, 0, _LINES["1"] : _LINES[_TOTAL] + 1] = True
    cleared = np.where(has_clearances, cells[:, None, :, -1], 0)
    nothing = np.zeros(n * per, np.bool_)
    columns["hidden"] = arrow.from_numpy(nothing)
    columns["actual"] = arrow.from_numpy(np.ascontiguousarray(actual).reshape(-1), pa.uint64())
    columns["cleared"] = arrow.from_numpy(cleared.reshape(-1), pa.uint64(), valid=has_clearances.reshape(-1))
    columns["cleared_under_18"] = arrow.from_numpy(np.zeros(n * per, np.int64), pa.uint64(), valid=nothing)
    return pa.RecordBatch.from_arrays([columns[name] for name in RETURN_A.arrow.names], schema=RETURN_A.arrow)

"""The preset `srs_shr`: the Supplementary Homicide Report from NIBRS incidents, a listing of victims and offenders.

result       `shr/1`: a row for each victim of murder (09A) or justifiable homicide (09C) and each known offender of the
             incident; one row without an offender where none is known. In the order of ORI, month, incident, victim
             and offender. `incident` numbers the incidents of an agency and month, from 1
accounting   as of Return A
row_status   WARNED at the first segment of a report that is not counted, or whose listing lacks a value

A listing is of single persons: nothing in it can be hidden, so it is for the agency and the FBI alone.

Source: FBI, Conversion of NIBRS Data to Summary Reporting System Data, version 3.0 (2012-07-20), pages 50 to 58, column
by column. Where it is silent: victims are those connected to the homicide, and known offenders those with a sequence
number from 01; a range of ages is its average, as in Return A; a value for which the text has no code is null, such as
the relationship XR, which is younger than the text.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.records import RowStatus, arrow
from cji_core.format.records.column import Bools, Ints, Text, pack_strings
from cji_core.format.records.nibrs.records import Records
from cji_core.operations.aggregate import SHR
from cji_operations.aggregate.return_a import accounting_of, counted_reports, read_incidents, status_of
from cji_operations.aggregate.units import RULES, isin
from cji_operations.aggregate.verdicts import accepted_reports
from cji_operations.nibrs.relations import GROUP_A
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.side_tables import OnFile, OriTable
from cji_operations.nibrs.submission import read
from cji_operations.nibrs.table import Table
from cji_operations.operation import Outputs
from cji_operations.progress import ProgressCallback

MAX_ROWS: Final = 1 << 20
"""Of a listing: an incident has a row for each victim and offender together."""

HOMICIDES: Final = ("09A", "09C")
WEAPONS: Final = (
    *((code, code) for code in ("11", "12", "13", "14", "15", "20", "30", "40", "50", "60", "65", "70", "85", "90")),
    *((code, "90") for code in ("35", "95", "99")),
)
"""(NIBRS, SRS), in the order in which the first one that an offense has is taken."""
RELATIONSHIPS: Final = {
    "SE": ("HU", "WI"),
    "CS": ("CH", "CW"),
    "PA": ("FA", "MO"),
    "CH": ("SO", "DA"),
    "SB": ("BR", "SI"),
    "SP": ("SF", "SM"),
    "SC": ("SS", "SD"),
    "BG": ("BF", "GF"),
    "XS": ("XH", "XW"),
    "IL": "IL",
    "GP": "OF",
    "GC": "OF",
    "SS": "OF",
    "OF": "OF",
    "NE": "NE",
    "AQ": "AQ",
    "EE": "EE",
    "ER": "ER",
    "FR": "FR",
    "HR": "HO",
    "CF": "OK",
    "OK": "OK",
    "VO": "OK",
    "BE": "OK",
    "ST": "ST",
    "RU": "UN",
}
"""NIBRS -> SRS; of a pair, that of a man and of a woman."""
FELONIES: Final = {
    "02": ("11A", "11B", "11C"),
    "03": ("120",),
    "05": ("220",),
    "06": tuple("23" + letter for letter in "ABCDEFGH"),
    "07": ("240",),
    "09": ("200",),
    "30": ("64A",),
    "31": ("64B",),
    "18": ("35A",),
    "17": ("11D", "36A", "36B"),
    "10": ("40A", "40B", "40C"),
    "19": ("39A", "39B", "39C", "39D"),
}
"""SRS circumstance -> other offenses of the incident, the first that holds first; 18 is a circumstance of NIBRS too."""

_NOTHING: Final = b""
_ORI: Final = 9

_Words = npt.NDArray[np.bytes_]


def shr(
    segments: Text,
    progress: ProgressCallback,
    *,
    verdicts: Sequence[pa.RecordBatch] | None = None,
    months: Sequence[str] = (),
) -> Outputs:
    """Convert a submission, one segment a row. Parameters and errors are those of `return_a`, the limit MAX_ROWS."""
    submission = read(Records.of_lines(segments), RULES, OriTable.empty(), OnFile.empty())
    accepted = accepted_reports(submission, verdicts)
    counted, deletes = counted_reports(submission, accepted)
    pieces, of_months, first = list[dict[str, npt.NDArray[Any]]](), [np.empty(0, np.int64)], 0
    room = MAX_ROWS
    for end, chunk, _ in submission.chunks(RULES):
        reports = chunk.table("reports").n
        for code in HOMICIDES:
            found = _listing(chunk, code, counted[first : first + reports], room)
            pieces.append(found | {"report": found["report"] + first})
            room -= len(found["report"])
        of_months.append(read_incidents(chunk).months)
        first += reports
        progress("count", 100 * end // len(submission.levels))
    month, unclear = np.concatenate(of_months), np.zeros(len(submission.firsts), np.bool_)
    rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]} if pieces else {}
    result = list[pa.RecordBatch]()
    if rows:
        own = np.ascontiguousarray(submission.keys[:, :_ORI]).view(f"S{_ORI}")[:, 0]
        unclear[rows["report"][_lacking(rows) | (month[rows["report"]] == 0)]] = True
        result = [_printed(rows, own, month, months)]
    return Outputs(
        status=status_of(
            RowStatus.all_ok(len(segments.lengths)),
            submission,
            left=(submission.groups == GROUP_A) & ~counted & ~deletes,
            accepted=accepted,
            unclear=unclear,
        ),
        result=result,
        parts={"accounting": [accounting_of(submission, counted, deletes, accepted, 1)]},
    )


def _listing(chunk: Chunk, code: str, counted: Bools, room: int) -> dict[str, npt.NDArray[Any]]:
    """The victims of this homicide in the counted incidents of a chunk, each beside every known offender.

    Raises: Refusal(LIMIT_EXCEEDED) where these are more rows than there is room for.
    """
    victims, offenders, connections = (chunk.table(name) for name in ("victims", "offenders", "connections"))
    struck = np.zeros(victims.n, np.bool_)
    struck[connections.up[isin(connections.column("connected"), "offense", (code,))]] = True
    struck &= counted[victims.up]
    known = np.flatnonzero(offenders.column("sequence") > 0)
    of_report = np.bincount(offenders.up[known], minlength=len(counted))
    starts = np.cumsum(of_report) - of_report
    by_report = known[np.argsort(offenders.up[known], kind="stable")]
    row = np.flatnonzero(struck)
    report = victims.up[row]
    alone = np.bincount(report, minlength=len(counted))[report] == 1
    times = np.maximum(of_report[report], 1)
    if int(times.sum()) > room:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    victim, at = np.repeat(row, times), np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    report, some = victims.up[victim], of_report[victims.up[victim]] > 0
    offender = np.where(some, np.append(by_report, 0)[np.where(some, starts[report] + at, -1)], -1)
    situation = np.where(of_report == 0, 1, np.where(of_report == 1, 0, 2))[report]
    letters = np.where(np.repeat(alone, times), np.array(list(b"ABC"))[situation], np.array(list(b"DFE"))[situation])
    sequence = np.append(offenders.column("sequence"), 0)[offender]
    return {
        "report": report,
        "offense": np.full(len(report), code.encode()),
        "situation": letters.astype(np.uint8).view("S1"),
        "victim": victims.column("sequence")[victim],
        **{f"victim_{name}": values for name, values in _person(victims, victim).items()},
        "offender": sequence,
        **{f"offender_{name}": values for name, values in _person(offenders, offender).items()},
        "weapon": _weapons(chunk, code, len(counted))[report],
        "relationship": _relationships(chunk, victim, sequence),
        "circumstance": (_circumstances if code == "09A" else _justifiable)(chunk, len(counted))[victim],
    }


def _person(table: Table, rows: Ints) -> dict[str, _Words]:
    """Age, sex, race and ethnicity in the codes of the SRS; nothing where the row is -1 or the value is not a code."""
    there = rows >= 0
    at = np.where(there, rows, 0) if table.n else np.empty(0, np.int64)
    if len(at) < len(rows):
        return {name: np.full(len(rows), _NOTHING, "S2") for name in ("age", "sex", "race", "ethnicity")}
    raw = table.text("age", at).astype("S2")
    years = table.column("age")[at]
    newborn = np.isin(raw, [b"NN", b"NB", b"BB"]) & (years == 0)
    age = np.where(years > 0, np.char.mod("%02d", years).astype("S2"), np.where(newborn, raw, _NOTHING))
    age[newborn & (raw == b"NN")] = b"NB"
    age[(raw == b"00") & (np.char.rstrip(table.text("age", at)) == b"00")] = b"00"
    found = {"age": age}
    for name in ("sex", "race", "ethnicity"):
        found[name] = np.where(table.column(name)[at] >= 0, table.text(name, at), _NOTHING)
    return {name: np.where(there, values, _NOTHING) for name, values in found.items()}


def _weapons(chunk: Chunk, code: str, reports: int) -> _Words:
    """S2[reports]: the SRS code of the first weapon, in the order above, of the offense with this code."""
    offenses, weapons = chunk.table("offenses"), chunk.table("weapons")
    first = np.full(reports, len(WEAPONS))
    mine = isin(offenses.column("offense"), "offense", (code,))[weapons.up]
    for position, (nibrs, _) in enumerate(WEAPONS):
        rows = mine & isin(weapons.column("weapon"), "weapon", (nibrs,))
        np.minimum.at(first, offenses.up[weapons.up[rows]], position)
    codes: _Words = np.array([*(srs.encode() for _, srs in WEAPONS), _NOTHING])
    found: _Words = codes[first]
    return found


def _relationships(chunk: Chunk, victim: Ints, sequence: Ints) -> _Words:
    """S2[n]: that of each victim to the offender with this number, the first that the victim's segment has."""
    relations, victims = chunk.table("relations"), chunk.table("victims")
    space = 100  # offenders have numbers below
    number = relations.column("offender_number")
    usable = np.flatnonzero(number > 0)[::-1]
    where = np.full(victims.n * space, -1)
    where[relations.up[usable] * space + number[usable]] = usable
    row = np.where(sequence > 0, where[victim * space + sequence], -1)
    kind = np.append(relations.column("relationship"), -1)[row]
    is_man, is_woman = (isin(victims.column("sex"), "sex", (sex,))[victim] for sex in "MF")
    found = np.full(len(victim), _NOTHING, "S2")
    for nibrs, srs in RELATIONSHIPS.items():
        holds = (row >= 0) & isin(np.maximum(kind, -1), "relationship", (nibrs,))
        if isinstance(srs, str):
            found[holds] = srs.encode()
        else:
            found[holds & is_man], found[holds & is_woman] = srs[0].encode(), srs[1].encode()
    return found


def _circumstances(chunk: Chunk, reports: int) -> _Words:
    """S2[victims]: the circumstance of a murder, by the FBI's order."""
    victims, offenses, relations = (chunk.table(name) for name in ("victims", "offenses", "relations"))
    code = offenses.column("offense")
    murder = isin(code, "offense", ("09A",))
    using = chunk.table("using")

    def beside(rows: Bools) -> Bools:
        """bool[victims]: an offense of these is in the incident."""
        found = np.zeros(reports, np.bool_)
        found[offenses.up[rows]] = True
        return found[victims.up]

    def suspected(substance: str) -> Bools:
        rows = np.zeros(offenses.n, np.bool_)
        rows[using.up[isin(using.column("substance"), "using", (substance,))]] = True
        return beside(rows & murder)

    babysat = np.zeros(victims.n, np.bool_)
    babysat[relations.up[isin(relations.column("relationship"), "relationship", ("BE",))]] = True
    rules = {srs: beside(isin(code, "offense", codes)) for srs, codes in FELONIES.items()}
    rules["18"] |= _circumstance(chunk, "03")
    rules |= {
        "26": _circumstance(chunk, "08"),
        "41": _circumstance(chunk, "09") & babysat,
        "45": _circumstance(chunk, "01", "06"),
        "46": _circumstance(chunk, "04"),
        "47": _circumstance(chunk, "05"),
        "42": suspected("A"),
        "43": suspected("D"),
        "48": beside(murder & isin(offenses.column("location"), "location", ("15",))),
        "60": _circumstance(chunk, "02", "07", "09"),
        "99": _circumstance(chunk, "10"),
    }
    return np.select([*rules.values()], [np.bytes_(srs) for srs in rules], np.bytes_(_NOTHING)).astype("S2")


def _justifiable(chunk: Chunk, _reports: int) -> _Words:
    """S2[victims]: the circumstance of a justifiable homicide."""
    further = chunk.table("victims").column("justifiable")
    private = _circumstance(chunk, "20") & isin(further, "justifiable", tuple("CDEFG"))
    police = _circumstance(chunk, "21") & isin(further, "justifiable", tuple("ABCDEFG"))
    return np.where(private, b"80", np.where(police, b"81", _NOTHING)).astype("S2")


def _circumstance(chunk: Chunk, *codes: str) -> Bools:
    circumstances = chunk.table("circumstances")
    found = np.zeros(chunk.table("victims").n, np.bool_)
    found[circumstances.up[isin(circumstances.column("circumstance"), "circumstance", codes)]] = True
    return found


def _lacking(rows: dict[str, npt.NDArray[Any]]) -> Bools:
    """bool[n]: a value is missing that the listing should have."""
    lacking = np.zeros(len(rows["report"]), np.bool_)
    known = rows["offender"] > 0
    for name, values in rows.items():
        if values.dtype.kind == "S":
            needed = known if name.startswith("offender_") or name == "relationship" else True
            lacking |= (values == _NOTHING) & needed
    return lacking


def _printed(rows: dict[str, npt.NDArray[Any]], own: _Words, month: Ints, wanted: Sequence[str]) -> pa.RecordBatch:
    report = rows["report"]
    ori, months = own[report], month[report]
    order = np.lexsort((rows["offender"], rows["victim"], report, months, ori))
    if wanted:
        order = order[np.isin(months[order], [int(each.replace("-", "")) for each in wanted])]
    report, ori, months = report[order], ori[order], months[order]
    new_sheet = np.ones(len(order), np.bool_)
    new_sheet[1:] = (ori[1:] != ori[:-1]) | (months[1:] != months[:-1])
    new_report = new_sheet.copy()
    new_report[1:] |= report[1:] != report[:-1]
    number: Ints = np.cumsum(new_report)
    before: Ints = np.maximum.accumulate(np.where(new_sheet, number, 0))
    incident = number - before + 1
    labels = {"ori": ori, "month": np.where(months > 0, np.char.mod("%06d", months).astype("S6"), _NOTHING)}
    columns = {"incident": arrow.from_numpy(incident, pa.uint64())}
    for name, values in rows.items():
        if values.dtype.kind == "S":
            labels[name] = values[order]
        elif name != "report":
            columns[name] = arrow.from_numpy(values[order], pa.uint64(), valid=values[order] > 0)
    for name, values in labels.items():
        packed = pack_strings(values)
        columns[name] = packed.take(arrow.from_numpy(np.arange(len(values)), valid=values != _NOTHING))
    return pa.RecordBatch.from_arrays([columns[name] for name in SHR.arrow.names], schema=SHR.arrow)

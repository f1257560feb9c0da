"""A submission cut into records and reports, and the facts that only the whole of it shows.

* A blank line is not a record. Records are numbered without blank lines, as the FBI does.
* A report is a Group A incident (neighbouring segments of levels 1 to 6 with one ORI and incident number), one
  Group B arrest segment, or one zero report. A level 1 segment begins a new report when the report has one already,
  and one that deletes is a report by itself.
* A record whose level cannot be read belongs to the report around it if ORI and number agree.
* A record of the wrong length is read as far as it goes; the missing part counts as blank.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.nibrs.records import Records
from cji_operations.nibrs.headers import UNREADABLE, Headers, Standard, segment_facts, shared
from cji_operations.nibrs.relations import GROUP_A, GROUP_B, NO_GROUP, ZERO, relations
from cji_operations.nibrs.segments import Chunk
from cji_operations.nibrs.side_tables import OnFile, OriTable
from cji_operations.nibrs.specification import RuleSet
from cji_operations.nibrs.table import Table

Array = npt.NDArray[Any]

REPORT_FACTS: Final = (
    *("incident", "again", "shared_number", "same_arrest", "arrest_on_file"),
    *("on_file_times", "on_file_outside", "group_a_on_file", "group_b_on_file"),
    *("agency_start", "agency_inactive", "agency_covered", "agency_federal"),
    *("agency_historical", "agency_duplicated", "agency_deleted", "agency_listed"),
)
"""Columns of reports that no data file describes."""

_KEY: Final = slice(16, 37)
_ORI: Final = slice(16, 25)
_ACTION: Final = 5
_DELETE: Final = np.uint8(ord("D"))
_DELETED: Final = MappingProxyType({"deleted_incidents": "admin", "deleted_arrests": "group_b"})
_RECORDS_A_CHUNK: Final = 262_144
"""Large enough that what a rule costs by itself does not count, small enough for the last-level cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Submission:
    """`n` records in `m` reports.

    levels uint8[n] (UNREADABLE for none of 0 to 7), actions uint8[n]; report int64[n], ascending; firsts int64[m]: the
    first record of each report; groups uint8[m]; keys uint8[m, 21]: ORI and number. facts and report_facts: columns of
    records and of reports.
    """

    records: Records
    levels: Bytes
    actions: Bytes
    headers: Headers
    report: Ints
    firsts: Ints
    groups: Bytes
    keys: Bytes
    facts: Mapping[str, Array]
    report_facts: Mapping[str, Array]

    def chunks(self, rules: RuleSet) -> Iterator[tuple[int, Chunk, Mapping[str, Ints]]]:
        """Whole reports, about _RECORDS_A_CHUNK records at a time: where they end, their tables, and their records.

        The records are those of the rows of each table of segments, and of `reports` the first of each.
        """
        ends = np.append(self.firsts, len(self.levels))[1:]
        first = 0
        while first < len(self.firsts):
            start = int(self.firsts[first])
            last = max(int(np.searchsorted(ends, start + _RECORDS_A_CHUNK, "right")), first + 1)
            end = int(ends[last - 1])
            records = {"reports": self.firsts[first:last], **self._records(rules, start, end)}
            yield end, self._chunk(rules, first, last, records), records
            first = last

    def _records(self, rules: RuleSet, start: int, end: int) -> Mapping[str, Ints]:
        """The records of each table of segments."""
        levels, deletes = self.levels[start:end], self.actions[start:end] == _DELETE
        found = {"unreadable": start + np.flatnonzero(levels == UNREADABLE)}
        for name, level in rules.levels.items():
            of_level = levels == level
            if name in _DELETED:
                of_level &= deletes
            elif name in _DELETED.values():
                of_level &= ~deletes
            found[name] = start + np.flatnonzero(of_level)
        return found

    def _chunk(self, rules: RuleSet, first: int, last: int, records: Mapping[str, Ints]) -> Chunk:
        reports = Table(
            name="reports",
            n=last - first,
            within="reports",
            rules=rules,
            records=np.arange(first, last),
            facts=self.report_facts,
            fields={spec.name: (spec, spec.starts[0] - _KEY.start) for spec in rules.fields["reports"]},
            bytes=self.keys[first:last],
        )
        segments = {name: of_table for name, of_table in records.items() if name != "reports"}
        return Chunk(reports, self.records.text, segments, report=self.report, first_report=first, facts=self.facts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Cut:
    """The reports of some records; see `Submission`. incident bool[m]: a whole incident."""

    headers: Headers
    report: Ints
    firsts: Ints
    groups: Bytes
    incident: Bools


def cut_reports(records: Records, rules: RuleSet) -> Cut:
    """Cut records into reports."""
    headers = Headers.of(records.beginnings)
    levels, actions = headers.levels, headers.column(_ACTION)
    report, firsts = _reports(_record_keys(records.beginnings), levels, actions)
    groups = np.full(len(firsts), NO_GROUP)
    groups[report[(levels >= 1) & (levels <= 6)]] = GROUP_A
    groups[levels[firsts] == 0] = ZERO
    groups[levels[firsts] == 7] = GROUP_B
    incident = np.zeros(len(firsts), np.bool_)
    incident[report[np.isin(actions, _whole(rules)) & (levels <= 6)]] = True
    return Cut(headers=headers, report=report, firsts=firsts, groups=groups, incident=incident & (groups == GROUP_A))


def first_start(records: Records) -> int | None:
    """The first record but the first of all that begins a row, and a report whatever comes before the records."""
    headers = Headers.of(records.beginnings)
    begins = _begin_runs(_record_keys(records.beginnings), headers.levels, headers.column(_ACTION))
    begins[1:] &= records.rows[1:] != records.rows[:-1]
    starts = np.flatnonzero(begins[1:])
    return int(starts[0]) + 1 if len(starts) else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rest:
    """For some reports of a submission: facts of the records before them and of all, and relations to all reports."""

    before: Standard
    whole: Standard
    relations: Mapping[str, Array]


def read(
    records: Records, rules: RuleSet, ori_table: OriTable, on_file: OnFile, *, rest: Rest | None = None
) -> Submission:
    """Cut a submission into reports; with `rest`, some whole reports of it."""
    cut, beginnings = cut_reports(records, rules), records.beginnings
    headers, report, firsts, groups, incident = cut.headers, cut.report, cut.firsts, cut.groups, cut.incident
    first_headers = beginnings[firsts]
    filed = on_file.of_reports(first_headers, groups)
    return Submission(
        records=records,
        levels=headers.levels,
        actions=headers.column(_ACTION),
        headers=headers,
        report=report,
        firsts=firsts,
        groups=groups,
        keys=first_headers[:, _KEY],
        facts=segment_facts(
            headers,
            beginnings,
            report,
            records.text.lengths,
            rules,
            before=None if rest is None else rest.before,
            whole=None if rest is None else rest.whole,
        ),
        report_facts={
            name: shared(values)
            for name, values in {
                "incident": incident,
                **filed,
                **ori_table.of_reports(first_headers[:, _ORI]),
                **(rest.relations if rest else relations(first_headers, groups, incident, on_file, filed["on_file"])),
            }.items()
        },
    )


def _whole(rules: RuleSet) -> Bytes:
    """The actions of segments that belong to a whole incident."""
    codes = rules.codes["action_admin"].codes
    return np.array([ord(action) for action in rules.sets["WHOLE"] if action in codes], np.uint8)


def _record_keys(beginnings: Bytes) -> npt.NDArray[np.uint64]:
    """uint64[n, 3]: ORI and number of each record."""
    keys = beginnings[:, _KEY.start : _KEY.start + 24].copy().view("<u8")
    keys[:, 2] &= np.uint64((1 << 40) - 1)  # the last three of 24 bytes are not the key's
    return keys


def _reports(keys: npt.NDArray[np.uint64], levels: Bytes, actions: Bytes) -> tuple[Ints, Ints]:
    """The report of each record, and the first record of each report."""
    n = len(levels)
    if not n:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    begins = _begin_runs(keys, levels, actions)
    # a second level 1 segment in a run begins a report of its own
    run = np.flatnonzero(begins)
    seen = np.cumsum(levels == 1)
    before = np.repeat(seen[run] - (levels[run] == 1), np.diff(np.append(run, n)))
    begins |= (levels == 1) & (seen - before > 1)
    return np.cumsum(begins) - 1, np.flatnonzero(begins)


def _begin_runs(keys: npt.NDArray[np.uint64], levels: Bytes, actions: Bytes) -> Bools:
    """bool[n]: the records that begin a report whatever comes before the record before them."""
    of_incident = ((levels >= 1) & (levels <= 6)) | (levels == UNREADABLE)
    deletes = (levels == 1) & (actions == _DELETE)
    begins = np.ones(len(levels), np.bool_)
    begins[1:] = (keys[1:, 0] != keys[:-1, 0]) | (keys[1:, 1] != keys[:-1, 1]) | (keys[1:, 2] != keys[:-1, 2])
    begins[1:] |= ~of_incident[1:] | ~of_incident[:-1] | deletes[1:] | deletes[:-1]
    return begins

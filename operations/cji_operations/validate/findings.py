"""The findings of `validate`, and their consequences: accepted reports, error rates, the status of every input row."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cji_core.format.records import RowStatus, Status
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.format.records.equal_rows import numbered
from cji_core.format.records.nibrs.records import Unread
from cji_core.operations.validate import NO_RECORD, OF_REJECTED_REPORT, RULE_CODES
from cji_operations.nibrs.relations import GROUP_A, GROUP_B, ZERO
from cji_operations.nibrs.specification import RuleSet
from cji_operations.nibrs.submission import Submission

Strings = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Finding:
    """The findings of one rule in one chunk: k records, and the text of the field that is wrong."""

    records: Ints
    rule: int
    element: str
    of_report: bool
    warning: bool
    final: bool
    message: int
    value: Strings
    sequence: Strings
    offense: Strings
    loss: Strings

    def of(self, chosen: Bools) -> Self:
        """Some of these findings."""
        columns = ("records", "value", "sequence", "offense", "loss")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Reports:
    """`m` reports in their order.

    ori S9, number S12; group S1 (A incident, B arrest, 0 zero report, ? unreadable); action S1; row int64: the first
    input row; segments, errors, warnings int64; accepted bool: no error in any of its segments.
    """

    ori: Strings
    number: Strings
    group: Strings
    action: Strings
    row: Ints
    segments: Ints
    errors: Ints
    warnings: Ints
    accepted: Bools


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rates:
    """Per ORI, in order of the ORI: reports, rejected ones, errors, and rejected ones in 10 000, rounded down.

    rule_set S: the one that all of them were checked by.
    """

    ori: Strings
    rule_set: Strings
    reports: Ints
    rejected: Ints
    errors: Ints
    rejected_per_10000: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Findings:
    """`k` findings: by report, those of a segment before those of the report, by record, data element, rule, value.

    row int64: the input row; record int64: its number as the Error Data Set counts, from 1 and without blank rows,
    0 for a finding about the report as a whole. level uint8 (8: not readable); element S3; rule uint16; value S12;
    sequence S3 (victim, offender, arrestee), offense S3 (level 2), loss S1 (level 3), blank elsewhere. warning bool;
    message uint16: line of the rule set's rules. agency_start int64: YYYYMMDD, negative where it is not known.
    period S6 (MMYYYY of submission), action S1, ori S9, number S12. positions int64[k, 3] as in `Records`.
    """

    row: Ints
    record: Ints
    level: Bytes
    element: Strings
    rule: npt.NDArray[np.uint16]
    value: Strings
    sequence: Strings
    offense: Strings
    loss: Strings
    warning: Bools
    message: npt.NDArray[np.uint16]
    agency_start: Ints
    period: Strings
    action: Strings
    ori: Strings
    number: Strings
    positions: Ints | None
    reports: Reports
    rates: Rates
    status: RowStatus
    rules: RuleSet
    as_of: date

    def shifted(self, *, rows: int, records: int) -> Self:
        """The same findings behind other `rows` of the input, which have other `records`."""
        return replace(
            self,
            row=self.row + rows,
            record=np.where(self.record > 0, self.record + records, 0),
            reports=replace(self.reports, row=self.reports.row + rows),
        )


def collect(submission: Submission, found: Iterable[Finding], rules: RuleSet, as_of: date) -> Findings:
    """Sort the findings; accept or reject reports; give every row its status."""
    parts = _without_superseded(submission, [part for part in found if len(part.records)])
    lengths = [len(part.records) for part in parts]

    def each(values: Iterable[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.repeat(np.array(list(values), dtype), lengths)

    def joined(name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.concatenate([np.empty(0, dtype), *(getattr(part, name).astype(dtype) for part in parts)])

    record = joined("records", np.int64)
    rule = each((part.rule for part in parts), np.uint16)
    element = each((part.element for part in parts), "S3")
    of_report = each((part.of_report for part in parts), np.bool_)
    value = joined("value", "S12")
    order = _order(2 * submission.report[record] + of_report, record, element, rule, value)
    record, of_report, rule = record[order], of_report[order], rule[order]
    warning = each((part.warning for part in parts), np.bool_)[order]
    report = submission.report[record]
    starts = submission.report_facts["agency_start"]
    reports, keys = _reports(submission, report, warning), submission.keys[report]
    return Findings(
        row=submission.records.rows[record],
        record=np.where(of_report, 0, record + 1),
        level=submission.levels[record],
        element=element[order],
        rule=rule,
        value=value[order],
        sequence=joined("sequence", "S3")[order],
        offense=joined("offense", "S3")[order],
        loss=joined("loss", "S1")[order],
        warning=warning,
        message=each((part.message for part in parts), np.uint16)[order],
        agency_start=(starts[report] if len(starts) > 1 else np.repeat(starts, len(report))).astype(np.int64),
        period=_strings(submission.headers.distinct[submission.headers.which[record], 6:12]),
        action=_strings(submission.actions[record][:, None]),
        ori=_strings(keys[:, :9]),
        number=_strings(keys[:, 9:]),
        positions=None if submission.records.positions is None else submission.records.positions[record],
        reports=reports,
        rates=_rates(reports, rules.name),
        status=_status(submission, record, RULE_CODES + rule.astype(np.int64), warning, reports.accepted),
        rules=rules,
        as_of=as_of,
    )


def _without_superseded(submission: Submission, parts: list[Finding]) -> list[Finding]:
    """Without the findings of reports that have a final one."""
    final = np.zeros(len(submission.firsts), np.bool_)
    for part in parts:
        if part.final:
            final[submission.report[part.records]] = True
    if not final.any():
        return parts
    return [part if part.final else part.of(~final[submission.report[part.records]]) for part in parts]


def _order(
    group: Ints, record: Ints, element: Strings, rule: npt.NDArray[np.uint16], value: Strings
) -> npt.NDArray[np.intp]:
    """The order of findings, see `Findings`; `group` puts those of a segment before those of its report."""
    return np.lexsort(
        (
            _number(value, 4, 8),
            (rule.astype(np.uint64) << 32) + _number(value, 0, 4),
            (record.astype(np.uint64) << 32) + _number(element, 0, 4),
            group,
        )
    )


def _number(values: Strings, first: int, length: int) -> npt.NDArray[np.uint64]:
    """Some bytes of each value as a number: in its order values are in order, and numbers are quicker to sort."""
    wide = np.zeros((len(values), 12), np.uint8)
    wide[:, : values.dtype.itemsize] = values.view(np.uint8).reshape(len(values), values.dtype.itemsize)
    return np.ascontiguousarray(wide[:, first : first + length]).view(f">u{length}")[:, 0].astype(np.uint64)


def _strings(values: Bytes) -> Strings:
    return np.ascontiguousarray(values).view(f"S{values.shape[1]}")[:, 0]


def _reports(submission: Submission, report: Ints, warning: Bools) -> Reports:
    m = len(submission.firsts)
    errors = np.bincount(report[~warning], minlength=m)
    return Reports(
        ori=_strings(submission.keys[:, :9]),
        number=_strings(submission.keys[:, 9:]),
        group=_strings(submission.groups[:, None]),
        action=_strings(submission.actions[submission.firsts][:, None]),
        row=submission.records.rows[submission.firsts],
        segments=np.bincount(submission.report, minlength=m),
        errors=errors,
        warnings=np.bincount(report[warning], minlength=m),
        accepted=(errors == 0) & np.isin(submission.groups, (GROUP_A, GROUP_B, ZERO)),
    )


def _rates(reports: Reports, rule_set: str) -> Rates:
    return rates_of(
        reports.ori,
        reports=np.ones(len(reports.ori), np.int64),
        rejected=(~reports.accepted).astype(np.int64),
        errors=reports.errors,
        rule_set=rule_set,
    )


def rates_of(ori: Strings, *, reports: Ints, rejected: Ints, errors: Ints, rule_set: str) -> Rates:
    """The rates of agencies: S9[m] ORIs, which may repeat, and the numbers of each, int64[m]."""
    number = numbered(ori.view(np.uint8).reshape(len(ori), 9))
    examples = np.empty(int(number.max(initial=-1)) + 1, np.int64)
    examples[number] = np.arange(len(number))
    oris = ori[examples]
    order = np.argsort(oris)
    total, turned_down, wrong = (
        np.bincount(number, weights, len(oris)).astype(np.int64)[order] for weights in (reports, rejected, errors)
    )
    return Rates(
        ori=oris[order],
        rule_set=np.full(len(order), rule_set.encode()),
        reports=total,
        rejected=turned_down,
        errors=wrong,
        rejected_per_10000=turned_down * 10_000 // total,
    )


def _status(submission: Submission, record: Ints, codes: Ints, warning: Bools, accepted: Bools) -> RowStatus:
    """NOT_USABLE: the row's report is rejected, or it is none. WARNED: it has warnings only, or is blank. Else OK."""
    records = submission.records
    row = records.rows[record]
    status = np.zeros(records.input_rows, np.uint8)
    status[records.unread_rows] = np.where(records.unread == Unread.BLANK, Status.WARNED, Status.NOT_USABLE)
    status[row[warning]] = Status.WARNED
    rejected = np.zeros(records.input_rows, np.bool_)
    rejected[records.rows[~accepted[submission.report]]] = True
    status[rejected] = Status.NOT_USABLE
    rejected[row[~warning]] = False  # those have an error of their own
    led = np.flatnonzero(rejected)
    at = np.concatenate((row, led, records.unread_rows))
    all_codes = np.concatenate(
        (codes, np.full(len(led), OF_REJECTED_REPORT), NO_RECORD + records.unread.astype(np.int64))
    ).astype(np.uint16)
    order = np.argsort(at, kind="stable")
    return RowStatus(status=status, rows=at[order], codes=all_codes[order], columns=np.zeros(len(at), np.int16))

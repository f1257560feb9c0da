"""`validate`: the edits of a NIBRS specification, over a whole submission.

Pure: same submission, options and side tables, same findings. It reads a submission chunk by chunk; a chunk is whole
reports. A bad record never fails the job and never hides another one: it gets its finding, and checking goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records.column import Ints
from cji_core.format.records.dates import number_of
from cji_core.format.records.lines import BLANK
from cji_core.format.records.nibrs.records import Records
from cji_operations.nibrs.conditions import Compiler
from cji_operations.nibrs.headers import SEGMENT_FACTS, period
from cji_operations.nibrs.scope import Condition, Run, Scope
from cji_operations.nibrs.side_tables import OnFile, OriTable
from cji_operations.nibrs.specification import RULE_SETS, Rule, RuleSet, rule_set_of
from cji_operations.nibrs.submission import REPORT_FACTS, Rest, read
from cji_operations.nibrs.table import Table
from cji_operations.progress import ProgressCallback
from cji_operations.validate.findings import Finding, Findings, collect

Strings = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`as_of`: the day on which the submission counts as received. `without`: rules switched off.

    `also`: rules to apply although the rule set has withdrawn them or does not have them yet.
    """

    as_of: date
    without: frozenset[int] = frozenset()
    also: frozenset[int] = frozenset()


def validate(
    records: Records,
    *,
    rules: RuleSet | None,
    options: Options,
    ori_table: Sequence[pa.RecordBatch] | None = None,
    on_file: Sequence[pa.RecordBatch] | None = None,
    progress: ProgressCallback | None = None,
    rest: Rest | None = None,
) -> Findings:
    """Check a submission by `rules`; None: by the rule set for its period. With `rest`, check some reports of it.

    Side tables are batches of `nibrs_ori/1` and `nibrs_on_file/1`; rules that need one find nothing without it.
    Raises: Refusal(BAD_PARAMETERS) for a side table with odd values; MemoryError.
    """
    oris = OriTable.empty() if ori_table is None else OriTable.of(ori_table)
    filed = OnFile.empty() if on_file is None else OnFile.of(on_file)
    if rules is None:
        rules = rule_set_of(period(records.beginnings))
    submission = read(records, rules, oris, filed, rest=rest)
    compiled = _compiled()[rules.name]
    in_force = rules.in_force(without=options.without, also=options.also)
    today = number_of(options.as_of)
    constants = {"today": today, "this_month": today // 100}
    found: list[Finding] = []
    for end, chunk, of_tables in submission.chunks(rules):
        run = Run(chunk=chunk, views=rules.views, parts=compiled.parts, constants=constants, unlisted=oris.unlisted)
        for line in in_force:
            found += _check(run, rules.rules[line], compiled.conditions[line], line, of_tables)
        if progress is not None:
            progress("check", 100 * end // len(submission.levels))
    return collect(submission, found, rules, options.as_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """Conditions of a rule set: of its rules, by line, and of the views that are parts of tables."""

    conditions: Mapping[int, Condition]
    parts: Mapping[str, Condition]


def _compile(rules: RuleSet) -> _Compiled:
    facts = {"reports": REPORT_FACTS, **dict.fromkeys(("unreadable", *rules.levels), SEGMENT_FACTS)}
    compiler = Compiler(rules, facts)
    conditions = {
        line: compiler.condition(rule.when, rule.on) for line, rule in enumerate(rules.rules) if rule.when is not None
    }
    return _Compiled(conditions=conditions, parts=compiler.parts())


@cache
def _compiled() -> Mapping[str, _Compiled]:
    """Every rule set, by name; compiled when the first submission is checked, which is the self-test's in a zygote."""
    return {name: _compile(rules) for name, rules in RULE_SETS.items()}


def _check(run: Run, rule: Rule, condition: Condition, line: int, records: Mapping[str, Ints]) -> Iterator[Finding]:
    table = run.table(rule.on)
    if not table.n:
        return
    meant = condition(Scope(run, table))
    if not np.count_nonzero(meant):  # of most rules; several times faster than finding where
        return
    rows = meant.nonzero()[0]
    if rule.at in run.views:  # the finding is where the partners are
        view = run.views[rule.at]
        rows = run.partners(rule.at)[table.climb(view.of)[rows]]
        table = run.table(view.by)
    segments = next(ancestor for ancestor in table.line() if ancestor.name in records)
    positions = table.climb(segments.name)[rows]
    shown = segments.name if rule.at != "report" else ""
    yield Finding(
        records=records[segments.name][positions],
        rule=rule.number,
        element=rule.element,
        of_report=rule.at == "report",
        warning=rule.warning,
        final=rule.final,
        message=line,
        value=table.text(rule.value, rows) if rule.value else _nothing(rows),
        sequence=_sequence(segments, positions) if shown in _PERSONS else _nothing(rows),
        offense=segments.text("offense", positions) if shown == "offenses" else _nothing(rows),
        loss=segments.text("loss", positions) if shown == "properties" else _nothing(rows),
    )


_PERSONS: Final = ("victims", "offenders", "arrestees")


def _sequence(persons: Table, rows: Ints) -> Strings:
    """The number of the victim, offender or arrestee, filled up with zeros to three digits; blank where it is."""
    number = persons.text("sequence", rows)
    digits = number.view(np.uint8).reshape(len(rows), -1)
    filled = np.full((len(rows), 3), ord("0"), np.uint8)
    filled[:, 3 - digits.shape[1] :] = digits
    filled[(digits == BLANK).all(axis=1)] = BLANK
    return filled.view("S3")[:, 0]


def _nothing(rows: Ints) -> Strings:
    return np.zeros(len(rows), "S1")

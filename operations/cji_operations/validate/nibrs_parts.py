"""`validate` of a NIBRS submission in parts: cut between any two rows, and checked as one file.

    survey    what a shard sets for the whole, and its head              ── surveys, standards, heads ──▶
    cut       the beginning of every report, to a task for its number    ── reports ──▶
    relate    numbers that are used again                                ── related ──▶
    check     all rules, on the reports that begin in a shard: findings, verdicts, Error Data Set
    status    of the rows of each shard
    merge     rates of agencies

The head of a shard is its rows in front of the first one that begins a report, whatever comes before the shard. They
are checked with the shard before it; the first shard has no head. Reports are related only where they have one ORI and
number, so all reports of a number go to one task.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Final, Self

import numpy as np
import pyarrow as pa

from cji_core.format.records import METADATA_KEY, RowStatus, arrow
from cji_core.format.records.column import Bytes, Ints, read
from cji_core.format.records.lines import matrix
from cji_core.format.records.nibrs.records import BEGINNING, Records
from cji_core.operations.stages.stage import RESULT_OUTPUT, Edge
from cji_core.operations.validate import (
    EDS,
    HEADS,
    INCIDENTS,
    ON_FILE_SIDE,
    RATES,
    RATES_EDGE,
    RELATED,
    RELATIONS,
    REPORTS,
    STANDARDS,
    STATUSES,
    SURVEYS,
)
from cji_operations.kernels.buckets import buckets
from cji_operations.nibrs.headers import Headers, Standard, period
from cji_operations.nibrs.relations import KEY, relations
from cji_operations.nibrs.side_tables import OnFile
from cji_operations.nibrs.specification import RULE_SETS, RuleSet, rule_set_of
from cji_operations.nibrs.submission import Rest, cut_reports, first_start
from cji_operations.stages.stream_columns import joined, read_columns, write_columns, write_each
from cji_operations.stages.task import StageFunctions, Task
from cji_operations.validate.edits import validate
from cji_operations.validate.findings import Findings, rates_of
from cji_operations.validate.nibrs import ValidateNibrs, batches_of_rates, outputs_of, prepare

_BATCH: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Shard:
    """The reports that begin in a shard, and what is to be known of the others."""

    first_row: int
    first_record: int
    ends: Ints
    records: Records
    rules: RuleSet
    before: Standard
    whole: Standard

    @classmethod
    def read(cls, task: Task) -> Self:
        """From the records of the task and the edges of `_OF_WHOLE`."""
        operation, own = _operation(task), _rows(task)
        surveys = _whole(task, SURVEYS)
        rows, records, head_rows, head_records, periods = (arrow.numbers(surveys.column(i)) for i in range(5))
        has_start = arrow.bools(surveys.column(5))
        rules = operation.rules or rule_set_of(next((int(each) for each in periods if each >= 0), -1))
        pieces = [_standard(row) for row in _whole(task, STANDARDS).to_pylist() if row["rule_set"] == rules.name]
        heads: list[list[pa.Array]] = [[] for _ in rows]
        for shard, batch in task.read(HEADS.name):
            heads[shard].append(arrow.own(batch).column(0))
        number, adopted = task.number, list[pa.Array]()
        if has_start[number]:
            adopted.append(own.slice(int(head_rows[number])))
            for shard in range(number + 1, len(rows)):
                adopted += heads[shard]
                if has_start[shard]:
                    break
        return cls(
            first_row=int(rows[:number].sum() + head_rows[number]),
            first_record=int(records[:number].sum() + head_records[number]),
            ends=np.cumsum(rows),
            records=operation.read(arrow.concat(adopted, pa.binary())),
            rules=rules,
            before=reduce(Standard.then, pieces[: 2 * number + 1]),
            whole=reduce(Standard.then, pieces),
        )


def _survey(task: Task) -> None:
    operation, rows = _operation(task), _rows(task)
    records = operation.read(rows)
    start = 0 if task.number == 0 else first_start(records)
    n = len(records.rows)
    head_records = n if start is None else start
    head_rows = 0 if task.number == 0 else records.input_rows if start is None else int(records.rows[start])
    facts = [len(rows), n, head_rows, head_records, period(records.beginnings), start is not None]
    write_columns(
        task, SURVEYS, [pa.array([fact], kind) for fact, kind in zip(facts, SURVEYS.schema.types, strict=True)]
    )
    known = [operation.rules] if operation.rules else list(RULE_SETS.values())
    for rules in known:
        for piece in (slice(0, head_records), slice(head_records, n)):
            beginnings = records.beginnings[piece]
            lengths = records.text.lengths[piece]
            standard = Standard.of(Headers.of(beginnings), beginnings, lengths, rules)
            write_columns(task, STANDARDS, _columns_of(rules, standard))
    write_columns(task, HEADS, [rows.slice(0, head_rows)])


def _cut(task: Task) -> None:
    shard = _Shard.read(task)
    cut, beginnings = cut_reports(shard.records, shard.rules), shard.records.beginnings
    firsts, m = beginnings[cut.firsts], len(cut.firsts)
    facts = (arrow.from_numpy(each) for each in (cut.groups, cut.incident))
    columns = [arrow.from_numpy(np.arange(m)), _binary(firsts), *facts]
    target = buckets(_binary(firsts[:, KEY]), task.tasks["relate"], task.bucket_hash)
    write_each(task, REPORTS, columns, target)


def _relate(task: Task) -> None:
    producers, batches = list[int](), list[pa.RecordBatch]()
    for producer, batch in task.read(REPORTS.name):
        producers += [producer] * batch.num_rows
        batches.append(arrow.own(batch))
    reports = joined(batches, REPORTS)
    firsts = _matrix(reports[1], BEGINNING)
    groups, incident = arrow.numbers(reports[2]), arrow.bools(reports[3])
    side = task.context.sides.get(ON_FILE_SIDE)
    on_file = OnFile.empty() if side is None else OnFile.of(side)
    filed = on_file.of_reports(firsts, groups)["on_file"]
    found = relations(firsts, groups, incident, on_file, filed)
    columns = [reports[0], *(arrow.from_numpy(found[name]) for name in RELATIONS)]
    write_each(task, RELATED, columns, np.array(producers, np.int64))


def _check(task: Task) -> None:
    operation, shard = _operation(task), _Shard.read(task)
    related = _whole(task, RELATED)
    order = np.argsort(arrow.numbers(related.column(0)), kind="stable")
    found = validate(
        shard.records,
        rules=shard.rules,
        options=operation.options,
        ori_table=operation.ori_table,
        on_file=operation.on_file,
        progress=task.progress,
        rest=Rest(
            before=shard.before,
            whole=shard.whole,
            relations={name: arrow.bools(related.column(name))[order] for name in RELATIONS},
        ),
    ).shifted(rows=shard.first_row, records=shard.first_record)
    _output(task, found, is_last=task.number == len(shard.ends) - 1)
    first = shard.first_row
    for owner in range(task.number, len(shard.ends)):
        last = min(int(shard.ends[owner]), shard.first_row + shard.records.input_rows)
        for at in range(first, last, _BATCH):
            piece = found.status.slice(at - shard.first_row, min(at + _BATCH, last) - shard.first_row)
            task.write(STATUSES.name, piece.to_batch(0), to=owner)
        first = max(first, last)


def _output(task: Task, found: Findings, *, is_last: bool) -> None:
    outputs = outputs_of(found)
    for name, batches in ((RESULT_OUTPUT, outputs.result), (INCIDENTS.name, outputs.parts[INCIDENTS.name])):
        for batch in batches:
            task.output(name, batch)
    for batch in outputs.parts[RATES.name]:
        task.write(RATES_EDGE.name, batch)
    left = len(found.row) + is_last  # a submission has one last record
    for batch in outputs.parts[EDS.name]:
        task.output(EDS.name, batch.slice(0, left))
        left = max(left - batch.num_rows, 0)


def _status(task: Task) -> None:
    for _, batch in task.read(STATUSES.name):
        task.status(RowStatus.from_batch(batch))


def _merge(task: Task) -> None:
    rates = _whole(task, RATES_EDGE)
    if not rates.num_rows:
        return
    of_agency = rates.to_pydict()
    numbers = {name: np.array(of_agency[name], np.int64) for name in ("reports", "rejected", "errors")}
    oris = np.array([ori or b"" for ori in of_agency["ori"]], "S9")
    for batch in batches_of_rates(rates_of(oris, **numbers, rule_set=of_agency["rule_set"][0].decode())):
        task.output(RATES.name, batch)


def _operation(task: Task) -> ValidateNibrs:
    return prepare(task.parameters, task.schema.metadata[METADATA_KEY].decode(), task.context)


def _rows(task: Task) -> pa.Array:
    """The rows of a shard, in memory of their own."""
    return arrow.concat([arrow.own(batch).column(0) for batch in task.records()], pa.binary())


def _columns_of(rules: RuleSet, standard: Standard) -> list[pa.Array]:
    return [
        pa.array([rules.name], pa.utf8()),
        *(pa.array([each.tobytes()], pa.binary()) for each in (standard.month, standard.state)),
        *(pa.array([each.tobytes()], pa.binary()) for each in (standard.lengths, standard.differs)),
        *(pa.array([each], pa.bool_()) for each in (standard.has_month, standard.has_state)),
    ]


def _standard(row: dict[str, bytes]) -> Standard:
    return Standard(
        month=np.frombuffer(row["month"], np.uint8).reshape(-1, 6),
        state=np.frombuffer(row["state"], np.uint8).reshape(-1, 2),
        has_month=bool(row["has_month"]),
        has_state=bool(row["has_state"]),
        lengths=np.frombuffer(row["lengths"], np.int64),
        differs=np.frombuffer(row["differs"], np.bool_),
    )


def _whole(task: Task, edge: Edge) -> pa.RecordBatch:
    """All streams of an edge as one batch."""
    return pa.RecordBatch.from_arrays(read_columns(task, edge), schema=edge.schema)


def _binary(values: Bytes) -> pa.Array:
    """The rows of uint8[n, width] as binary values."""
    return arrow.from_bytes(values, np.full(len(values), values.shape[1]), pa.binary())


def _matrix(array: pa.Array, width: int) -> Bytes:
    text = read(array)
    return matrix(text, np.arange(len(text.lengths)), width)


NIBRS_FUNCTIONS: Final[StageFunctions] = {
    "survey": _survey,
    "cut": _cut,
    "relate": _relate,
    "check": _check,
    "status": _status,
    "merge": _merge,
}

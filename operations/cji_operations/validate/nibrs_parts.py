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
from functools import partial, reduce
from typing import Final, Self

import numpy as np
import pyarrow as pa

from cji_core.format.records import METADATA_KEY, ROW_STATUS_SCHEMA, RowStatus, arrow
from cji_operations.in_parts import Edge, InParts, Stage, Task, Width
from cji_operations.kernels.buckets import buckets
from cji_operations.kernels.column import Bytes, Ints, read
from cji_operations.kernels.lines import matrix
from cji_operations.nibrs.headers import Headers, Standard, period
from cji_operations.nibrs.records import BEGINNING, Records
from cji_operations.nibrs.relations import KEY, relations
from cji_operations.nibrs.side_tables import OnFile
from cji_operations.nibrs.specification import RULE_SETS, RuleSet, rule_set_of
from cji_operations.nibrs.submission import Rest, cut_reports, first_start
from cji_operations.part_streams import joined, read_columns, write_columns, write_each
from cji_operations.shard_parts import RESULT
from cji_operations.validate.edits import validate
from cji_operations.validate.findings import Findings, rates_of
from cji_operations.validate.nibrs import ON_FILE_SIDE, ORI_SIDE, ValidateNibrs, batches_of_rates, outputs_of, prepare
from cji_operations.validate.outputs import EDS, INCIDENTS, RATES

_BATCH: Final = 16_384
_RELATIONS: Final = ("again", "shared_number", "same_arrest", "arrest_on_file")

_SURVEYS: Final = Edge(
    name="surveys",
    schema=pa.schema(
        [
            *((name, pa.int64()) for name in ("rows", "records", "head_rows", "head_records", "period")),
            ("has_start", pa.bool_()),
        ]
    ),
)
_STANDARDS: Final = Edge(
    name="standards",
    schema=pa.schema(
        [
            ("rule_set", pa.utf8()),
            *((name, pa.binary()) for name in ("month", "state", "lengths", "differs")),
            *((name, pa.bool_()) for name in ("has_month", "has_state")),
        ]
    ),
)
"""Of each rule set that may apply: of the head, then of the rest of a shard."""
_HEADS: Final = Edge(name="heads", schema=pa.schema([("row", pa.binary())]))
_REPORTS: Final = Edge(
    name="reports",
    schema=pa.schema(
        [("number", pa.int64()), ("beginning", pa.binary()), ("group", pa.uint8()), ("incident", pa.bool_())]
    ),
    each=True,
)
_RELATED: Final = Edge(
    name="related",
    schema=pa.schema([("number", pa.int64()), *((name, pa.bool_()) for name in _RELATIONS)]),
    each=True,
)
_STATUSES: Final = Edge(name="statuses", schema=ROW_STATUS_SCHEMA, each=True)
_RATES: Final = Edge(name="rates", schema=RATES.schema.arrow)
_OF_WHOLE: Final = (_SURVEYS, _STANDARDS, _HEADS)


def nibrs_parts() -> InParts:
    """The stages; they are the same for all parameters."""
    shards = partial(Stage, width=Width.SHARDS)
    of_whole = tuple(edge.name for edge in _OF_WHOLE)
    return InParts(
        stages=(
            shards(name="survey", run=_survey, records=True, writes=_OF_WHOLE),
            shards(name="cut", run=_cut, records=True, reads=of_whole, writes=(_REPORTS,)),
            shards(name="relate", run=_relate, sides=(ON_FILE_SIDE,), reads=(_REPORTS.name,), writes=(_RELATED,)),
            shards(
                name="check",
                run=_check,
                records=True,
                sides=(ORI_SIDE, ON_FILE_SIDE),
                reads=(*of_whole, _RELATED.name),
                writes=(_STATUSES, _RATES),
                outputs=(RESULT, INCIDENTS.name, EDS.name),
            ),
            shards(name="status", run=_status, reads=(_STATUSES.name,), outputs=("row_status",)),
            Stage(name="merge", width=Width.ONE, run=_merge, reads=(_RATES.name,), outputs=(RATES.name,)),
        )
    )


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
        surveys = _whole(task, _SURVEYS)
        rows, records, head_rows, head_records, periods = (arrow.numbers(surveys.column(i)) for i in range(5))
        has_start = arrow.bools(surveys.column(5))
        rules = operation.rules or rule_set_of(next((int(each) for each in periods if each >= 0), -1))
        pieces = [_standard(row) for row in _whole(task, _STANDARDS).to_pylist() if row["rule_set"] == rules.name]
        heads: list[list[pa.Array]] = [[] for _ in rows]
        for shard, batch in task.read(_HEADS.name):
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
        task, _SURVEYS, [pa.array([fact], kind) for fact, kind in zip(facts, _SURVEYS.schema.types, strict=True)]
    )
    known = [operation.rules] if operation.rules else list(RULE_SETS.values())
    for rules in known:
        for piece in (slice(0, head_records), slice(head_records, n)):
            beginnings = records.beginnings[piece]
            lengths = records.text.lengths[piece]
            standard = Standard.of(Headers.of(beginnings), beginnings, lengths, rules)
            write_columns(task, _STANDARDS, _columns_of(rules, standard))
    write_columns(task, _HEADS, [rows.slice(0, head_rows)])


def _cut(task: Task) -> None:
    shard = _Shard.read(task)
    cut, beginnings = cut_reports(shard.records, shard.rules), shard.records.beginnings
    firsts, m = beginnings[cut.firsts], len(cut.firsts)
    facts = (arrow.from_numpy(each) for each in (cut.groups, cut.incident))
    columns = [arrow.from_numpy(np.arange(m)), _binary(firsts), *facts]
    target = buckets(_binary(firsts[:, KEY]), task.tasks["relate"], task.bucket_hash)
    write_each(task, _REPORTS, columns, target)


def _relate(task: Task) -> None:
    producers, batches = list[int](), list[pa.RecordBatch]()
    for producer, batch in task.read(_REPORTS.name):
        producers += [producer] * batch.num_rows
        batches.append(arrow.own(batch))
    reports = joined(batches, _REPORTS)
    firsts = _matrix(reports[1], BEGINNING)
    groups, incident = arrow.numbers(reports[2]), arrow.bools(reports[3])
    side = task.context.sides.get(ON_FILE_SIDE)
    on_file = OnFile.empty() if side is None else OnFile.of(side)
    filed = on_file.of_reports(firsts, groups)["on_file"]
    found = relations(firsts, groups, incident, on_file, filed)
    columns = [reports[0], *(arrow.from_numpy(found[name]) for name in _RELATIONS)]
    write_each(task, _RELATED, columns, np.array(producers, np.int64))


def _check(task: Task) -> None:
    operation, shard = _operation(task), _Shard.read(task)
    related = _whole(task, _RELATED)
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
            relations={name: arrow.bools(related.column(name))[order] for name in _RELATIONS},
        ),
    ).shifted(rows=shard.first_row, records=shard.first_record)
    _output(task, found, is_last=task.number == len(shard.ends) - 1)
    first = shard.first_row
    for owner in range(task.number, len(shard.ends)):
        last = min(int(shard.ends[owner]), shard.first_row + shard.records.input_rows)
        for at in range(first, last, _BATCH):
            piece = found.status.slice(at - shard.first_row, min(at + _BATCH, last) - shard.first_row)
            task.write(_STATUSES.name, piece.to_batch(0), to=owner)
        first = max(first, last)


def _output(task: Task, found: Findings, *, is_last: bool) -> None:
    outputs = outputs_of(found)
    for name, batches in ((RESULT, outputs.result), (INCIDENTS.name, outputs.parts[INCIDENTS.name])):
        for batch in batches:
            task.output(name, batch)
    for batch in outputs.parts[RATES.name]:
        task.write(_RATES.name, batch)
    left = len(found.row) + is_last  # a submission has one last record
    for batch in outputs.parts[EDS.name]:
        task.output(EDS.name, batch.slice(0, left))
        left = max(left - batch.num_rows, 0)


def _status(task: Task) -> None:
    for _, batch in task.read(_STATUSES.name):
        task.status(RowStatus.from_batch(batch))


def _merge(task: Task) -> None:
    rates = _whole(task, _RATES)
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

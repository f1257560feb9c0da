"""`link`: which records are of one person, in one table or across two, and the evidence for it.

Fellegi-Sunter linkage: pairs that a blocking rule brings together are compared field by field, every outcome has a
weight that is estimated from these records (`train`, `score`), and pairs from the match threshold on join their records
to clusters. Pairs between the two thresholds are for clerical review; they join nothing.

Outputs besides the result, which is the records with their cluster: `pairs`, from the lower threshold on; `patterns`,
each weight explained in words; `blocks`, the blocks of every rule. A row without a key for any rule was compared with
none: it is its own cluster and not usable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from worker.compute.kernels.column import Ints
from worker.compute.kernels.components import components
from worker.compute.operations.link.blocking import Blocking, plan
from worker.compute.operations.link.codes import Code
from worker.compute.operations.link.columns import DATES, Table, has, read_table
from worker.compute.operations.link.comparison import comparer
from worker.compute.operations.link.model import Model
from worker.compute.operations.link.parameters import Link
from worker.compute.operations.link.person_model import model_for, split_for
from worker.compute.operations.link.report import Report
from worker.compute.operations.link.score import Pairs, Scorer, gather, log2_odds
from worker.compute.operations.link.training import train
from worker.compute.parameters import bad_parameters
from worker.compute.status_codes import ValueCode
from worker.errors import Reason, Refusal, Stage
from worker.progress import ProgressCallback
from worker.records import RowStatus, Status

MEMORY: Final = 4 << 30
"""Bytes for pairs and blocks; a job that needs more is refused before the first pair is compared."""
_PAIR_BYTES: Final = 72  # of a pair that is kept: 24, held twice while sorted, and its batch of the output
_ROW_BYTES: Final = 64  # of a row, besides its records: codes, blocks, cluster
_DATE_TESTS: Final = frozenset(("date", "date_slip", "year", "year_month"))
_DATE_FORMS: Final = frozenset(("year", "year_month", "month_day"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Linked:
    """The result for `n` records.

    cluster int64[n]: the lowest row of the records of one person. `status` is that of the records; `report` has the
    pairs.
    """

    cluster: Ints
    status: RowStatus
    report: Report


def bind(parameters: Link, schema: pa.Schema) -> Model:
    """The model for records of these columns.

    Raises: Refusal(BAD_PARAMETERS) at COMPUTE where the model names a column that the records do not have, uses a
    column as a date that is none, or where the default has no blocking rule for them.
    """
    model = model_for(schema) if parameters.model is None else parameters.model
    model = replace(model, split=model.split or split_for(schema))
    keys = [*model.split, *(key for rule in (*model.blocking, *model.deterministic_rules) for key in rule.keys)]
    conditions = [c for comparison in model.comparisons for level in comparison.levels for c in level.conditions]
    named = {key.column for key in keys} | {name for condition in conditions for name in condition.columns}
    of_dates = {key.column for key in keys if key.form in _DATE_FORMS} | {
        condition.column for condition in conditions if condition.test in _DATE_TESTS
    }
    if not all(has(schema, name) for name in named) or not of_dates <= DATES:
        raise bad_parameters(Stage.COMPUTE)
    if not model.comparisons or not model.blocking:
        raise bad_parameters(Stage.COMPUTE)
    return model


def link(
    records: Sequence[pa.RecordBatch],
    schema: pa.Schema,
    parameters: Link,
    progress: ProgressCallback,
    *,
    side: Sequence[pa.RecordBatch] | None = None,
    memory: int = MEMORY,
) -> Linked:
    """Link the records of one table, or with those of `side`. Same input and parameters, same output.

    Raises: Refusal(BAD_PARAMETERS) as `bind` does, Refusal(LIMIT_EXCEEDED) where blocks, pairs or memory exceed the
    limits, all at COMPUTE.
    """
    model = bind(parameters, schema)
    names = frozenset(key.column for rule in (*model.blocking, *model.deterministic_rules) for key in rule.keys)
    names |= {key.column for key in model.split} | {name for one in model.comparisons for name in one.columns}
    progress("count", 0)
    table = read_table(records, side or (), names, linking=side is not None)
    blocking = plan(table, model.blocking, model.split, parameters)
    if blocking.pairs * _PAIR_BYTES + table.n * _ROW_BYTES * len(model.blocking) > memory:
        raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
    deterministic = plan(table, model.deterministic_rules if model.prior is None else (), model.split, parameters)
    progress("train", 0)
    comparers = [comparer(comparison, table) for comparison in model.comparisons]
    trained = train(model, table, comparers, parameters, blocking=blocking, deterministic_rules=deterministic)
    scorer = Scorer(comparers, trained)
    pairs, new = _scored(blocking, scorer, log2_odds(parameters.clerical_review_threshold), progress)
    progress("cluster", 0)
    match = log2_odds(parameters.match)
    matches = np.flatnonzero(pairs.weight >= match)
    root = components(table.n, pairs.left[matches].astype(np.int64), pairs.right[matches].astype(np.int64))
    n = table.n if table.first_of_second is None else table.first_of_second
    progress("cluster", 100)
    return Linked(
        cluster=root[:n],
        status=_status(table, blocking, schema, n),
        report=Report(
            pairs=pairs,
            scorer=scorer,
            model=model,
            trained=trained,
            blocking=blocking,
            new_pairs=new,
            least=match,
            first_of_second=table.first_of_second,
        ),
    )


def _scored(blocking: Blocking, scorer: Scorer, least: float, progress: ProgressCallback) -> tuple[Pairs, Ints]:
    """(the pairs of at least this weight, int64 by rule: how many pairs no rule before it has)."""
    pieces, new = list[Pairs](), np.zeros(len(blocking.rules), np.int64)
    done, per_cent = 0, -1
    for rule, total, left, right in blocking.chunks():
        pieces.append(scorer.score(left, right, least))
        new[rule] += len(left)
        done += total
        if done * 100 // blocking.pairs > per_cent:
            per_cent = done * 100 // blocking.pairs
            progress("compare", per_cent)
    return gather(pieces), new


def _status(table: Table, blocking: Blocking, schema: pa.Schema, n: int) -> RowStatus:
    """Rows without a key for any rule are not usable; rows with a value that is not a date are partly used."""
    status = RowStatus.all_ok(n)
    status = status.found(np.flatnonzero(~blocking.keyed[:n]), status=Status.NOT_USABLE, code=Code.NO_BLOCKING_KEY)
    for name, wrong in table.not_dates.items():
        rows = np.flatnonzero(wrong[:n])
        column = schema.names.index(name) if name in schema.names else -1
        status = status.found(rows, status=Status.PARTLY_USED, code=ValueCode.NOT_A_DATE, column=column)
    return status

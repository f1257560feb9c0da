"""`link`: which records are of one person, in one table or across two, and the evidence for it.

Fellegi-Sunter linkage: pairs that a blocking rule brings together are compared field by field, every outcome has a
weight that is estimated from these records (`train`, `score`), and clusters of records are formed by these weights
(`clusters`). Pairs between the two thresholds are for clerical review.

Outputs besides the result, which is the records with their cluster: `report` and `clusters` list them. A row without a
key for any rule was compared with none: it is its own cluster and not usable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.errors import Stage
from cji_core.format.records import RowStatus, Status
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import Code, Link
from cji_core.operations.link.model import Model, Rule, has
from cji_core.operations.link.person_model import model_for, split_for
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.status_codes import ValueCode
from cji_core.operations.tables import Missing
from cji_operations.link.blocking import Blocking, plan
from cji_operations.link.columns import DATES, Table, read_ids, read_table
from cji_operations.link.comparison import comparer
from cji_operations.link.conclusion import MEMORY, Conclusion, check_memory, conclude, least_kept
from cji_operations.link.facts import facts_of
from cji_operations.link.observation import observe
from cji_operations.link.report import Report
from cji_operations.link.score import Pairs, Scorer, gather
from cji_operations.link.training import train
from cji_operations.link.weight_report import OwnWeights, beside_themselves, count_weights, no_weights
from cji_operations.progress import ProgressCallback

_DATE_TESTS: Final = frozenset(("date", "date_slip", "year", "year_month", "days"))
_DATE_FORMS: Final = frozenset(("year", "year_month", "month_day"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Linked:
    """The result for `n` records.

    cluster int64[n]: the lowest row of the records of one person. `status` is that of the records, `concluded` the
    other outputs.
    """

    cluster: Ints
    status: RowStatus
    concluded: Conclusion

    def parts(self) -> dict[str, Iterator[pa.RecordBatch]]:
        """The outputs besides the records, by name."""
        return self.concluded.parts()

    @property
    def report(self) -> Report:
        """The report on pairs."""
        return self.concluded.report


def bind(parameters: Link, schema: pa.Schema) -> Model:
    """The model for records of these columns.

    Raises: Refusal(BAD_PARAMETERS) at COMPUTE where the model names a column that the records do not have, uses a
    column as a date that is none, or where the default has no blocking rule for them, or none to learn the prior from.
    """
    model = model_for(schema.names) if parameters.model is None else parameters.model
    model = replace(model, split=model.split or split_for(schema.names))
    keys = [*model.split, *(key for rule in model.rules for key in rule.keys)]
    conditions = [c for comparison in model.comparisons for level in comparison.levels for c in level.conditions]
    named = {name for key in keys for name in key.columns} | {name for one in conditions for name in one.columns}
    of_dates = {name for key in keys if key.form in _DATE_FORMS for name in key.columns} | {
        condition.column for condition in conditions if condition.test in _DATE_TESTS
    }
    of_dates |= {name for one in model.comparisons if one.missing == "no_day" for name in one.columns}
    if not all(has(schema.names, name) for name in named) or not of_dates <= DATES:
        raise bad_parameters(Stage.COMPUTE)
    if not model.comparisons or not model.blocking or (model.prior is None and not model.deterministic_rules):
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
    missing: Missing | None = None,
) -> Linked:
    """Link the records of one table, or with those of `side`; `missing` is the shipped table by default.

    Same input and parameters, same output. Raises: Refusal(BAD_PARAMETERS) as `bind` does, Refusal(LIMIT_EXCEEDED) for
    blocks, pairs or memory beyond the limits, all at COMPUTE.
    """
    model = bind(parameters, schema)
    progress("count", 0)
    table = read_table(records, side or (), columns_of(model), linking=side is not None, missing=missing)
    check_memory(table.n, 0, memory)
    blocking, deterministic, relatives = (plan(table, rules, model.split, parameters) for rules in rule_sets(model))
    progress("train", 0)
    facts = facts_of(table, model)
    comparers = [comparer(comparison, table) for comparison in model.comparisons]
    observed = observe(
        comparers, facts, parameters, model=model, blocking=blocking, deterministic=deterministic, relatives=relatives
    )
    trained = train(model, facts, observed, parameters)
    weights, own = no_weights(), OwnWeights(model, trained, facts, parameters)
    scorer = Scorer(comparers, trained, facts, partial(count_weights, weights))
    pairs, new = _scored(blocking, scorer, least_kept(parameters), memory, progress)
    for pattern, counts in beside_themselves(comparers, table, model, {k: c.counts for k, c in table.columns.items()}):
        own.add(pattern, counts)
    progress("cluster", 0)
    n = table.n if table.first_of_second is None else table.first_of_second
    status = row_status(table, blocking, schema, n)
    del comparers, table, deterministic, relatives
    found = conclude(
        pairs,
        ids=read_ids(records, side or (), linking=side is not None),
        model=model,
        facts=facts,
        trained=trained,
        counted=[one.counted for one in blocking.rules],
        new_pairs=new,
        own=own,
        weights=weights,
        parameters=parameters,
    )
    progress("cluster", 100)
    return Linked(cluster=found.root[:n], status=status, concluded=found)


def columns_of(model: Model) -> frozenset[str]:
    """The columns that rules and comparisons look at."""
    names = frozenset(name for rule in model.rules for key in rule.keys for name in key.columns)
    return names | {key.column for key in model.split} | {name for one in model.comparisons for name in one.columns}


def rule_sets(model: Model) -> tuple[tuple[Rule, ...], tuple[Rule, ...], tuple[Rule, ...]]:
    """The rules that bring pairs together, those that the prior is estimated from, and the one of relatives."""
    return (
        model.blocking,
        model.deterministic_rules if model.prior is None else (),
        () if model.relatives is None else (model.relatives,),
    )


def _scored(
    blocking: Blocking, scorer: Scorer, least: float, memory: int, progress: ProgressCallback
) -> tuple[Pairs, Ints]:
    """(the pairs of at least this weight, int64 by rule: how many pairs no rule before it has)."""
    pieces, new = list[Pairs](), np.zeros(len(blocking.rules), np.int64)
    kept = 0
    for some in scorer.scored(_shown(blocking, progress), new, least):
        pieces.append(some)
        kept += len(some)
        check_memory(blocking.table.n, kept, memory)
    return gather(pieces), new


def _shown(blocking: Blocking, progress: ProgressCallback) -> Iterator[tuple[int, int, Ints, Ints]]:
    """`Blocking.chunks`, with their progress."""
    done, per_cent = 0, -1
    for chunk in blocking.chunks():
        yield chunk
        done += chunk[1]
        if done * 100 // blocking.pairs > per_cent:
            per_cent = done * 100 // blocking.pairs
            progress("compare", per_cent)


def row_status(table: Table, blocking: Blocking, schema: pa.Schema, n: int) -> RowStatus:
    """Rows without a key for any rule are not usable; those with an invalid date or a placeholder, partly."""
    status = RowStatus.all_ok(n)
    status = status.found(np.flatnonzero(~blocking.keyed[:n]), status=Status.NOT_USABLE, code=Code.NO_BLOCKING_KEY)
    faults = ((table.not_dates, ValueCode.NOT_A_DATE), (table.placeholders, ValueCode.PLACEHOLDER))
    for name, wrong, code in ((name, wrong, code) for by_name, code in faults for name, wrong in by_name.items()):
        source = name if name in schema.names else "NAM"
        column = schema.names.index(source) if source in schema.names else -1
        rows = np.flatnonzero(wrong[:n])
        status = status.found(rows, status=Status.PARTLY_USED, code=code, column=column)
    return status

"""`link`: which records are of one person, in one table or across two, and the evidence for it.

Fellegi-Sunter linkage: pairs that a blocking rule brings together are compared field by field, every outcome has a
weight that is estimated from these records (`train`, `score`), and clusters of records are formed by these weights
(`clusters`). Pairs between the two thresholds are for clerical review.

Outputs besides the result, which is the records with their cluster: `report` and `clusters` list them. A record without
a key for any rule was compared with none: it is its own cluster, and its rows are not usable.

What is compared are units, see `units`. `admit` decides whether a job is too large, here and where its records are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from cji_core.errors import Limit, Stage
from cji_core.format.records import RowStatus
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Model, Rule, has
from cji_core.operations.link.person_model import model_for, split_for
from cji_core.operations.parameters import bad_parameters
from cji_core.operations.tables import Missing
from cji_operations.link.blocking import Blocking, are_too_many, plan, too_many
from cji_operations.link.columns import DATES, Table, read_ids
from cji_operations.link.comparison import bound_to
from cji_operations.link.conclusion import MEMORY, Conclusion, conclude, exceeds_memory, least_kept
from cji_operations.link.facts import facts_of
from cji_operations.link.frequent import sampled, too_frequent, without
from cji_operations.link.marks import marked, marks_of
from cji_operations.link.observation import observe
from cji_operations.link.read import RowFacts, read_rows
from cji_operations.link.report import Report
from cji_operations.link.score import Pairs, Scorer, gather
from cji_operations.link.training import Trained, train
from cji_operations.link.units import Units, united
from cji_operations.link.weight_report import OwnWeights, beside_themselves, count_weights, no_weights
from cji_operations.progress import ProgressCallback

_DATE_TESTS: Final = frozenset(("date", "date_slip", "year", "year_month", "days", "years_apart"))
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


def bind(parameters: Link, schema: pa.Schema, *, linking: bool) -> Model:
    """The model for records of these columns; `linking`: there are two tables.

    Raises: Refusal(BAD_PARAMETERS) at COMPUTE where the model names a column that the records do not have, uses a
    column as a date that is none, where the default has no blocking rule for them, or none to learn the prior from, or
    for sources without duplicates in two tables.
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
    named |= parameters.columns | parameters.placeholders.keys()
    if not all(has(schema.names, name) for name in named) or not of_dates <= DATES:
        raise bad_parameters(Stage.COMPUTE)
    if not set(parameters.separators) <= set(schema.names) or (linking and not parameters.duplicates_in_source):
        raise bad_parameters(Stage.COMPUTE)
    if not model.comparisons or not model.blocking or (model.prior is None and not model.deterministic_rules):
        raise bad_parameters(Stage.COMPUTE)
    return model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Admitted:
    """A job's units and all its blocks; `rows` are those of its table, before they were made units.

    `exceeds`: the limit of rows or pairs that it is beyond, if any.
    """

    model: Model
    table: Table
    units: Units
    rows: RowFacts
    blocking: Blocking
    deterministic: Blocking
    relatives: Blocking
    exceeds: Limit | None


def admit(
    records: Sequence[pa.RecordBatch],
    schema: pa.Schema,
    parameters: Link,
    *,
    side: Sequence[pa.RecordBatch] | None = None,
    memory: int = MEMORY,
    missing: Missing | None = None,
) -> Admitted:
    """Count what a job would compare. Raises: Refusal(BAD_PARAMETERS) as `bind` does."""
    model = bind(parameters, schema, linking=side is not None)
    names = looked_at(model, parameters)
    read = read_rows(records, side, names, parameters, missing)
    found = united(read.table, read.row, names, parameters)
    frequent = too_frequent(sampled(found.table, found.units.n, parameters))
    table = without(found.table, frequent)
    sets = [plan(table, rules, model.split, parameters, found.table) for rules in rule_sets(model)]
    blocking, deterministic, relatives = sets
    return Admitted(
        model=model,
        table=table,
        units=found.units,
        rows=read.with_frequent(frequent).with_cut(found.cut),
        blocking=blocking,
        deterministic=deterministic,
        relatives=relatives,
        exceeds=Limit.LINK_MEMORY
        if exceeds_memory(found.units.n, 0, memory)
        else Limit.PAIRS
        if any(are_too_many([one.counted for one in rules.rules], parameters) for rules in sets)
        else None,
    )


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
    pairs or memory beyond the limits, all at COMPUTE.
    """
    progress("count", 0)
    job = admit(records, schema, parameters, side=side, memory=memory, missing=missing)
    if job.exceeds is not None:
        raise too_many(job.exceeds)
    model, blocking = job.model, job.blocking
    trained, pairs, new, weights, own = _weighed(job, parameters, memory, progress)
    progress("cluster", 0)
    n = sum(batch.num_rows for batch in records)
    status = job.rows.status(blocking.keyed[job.units.of_row[:n]], schema)
    units, marks = job.units, marks_of(marked(job.table, parameters), job.table.units, parameters)
    counted = [one.counted for one in blocking.rules]
    del job, blocking
    found = conclude(
        pairs,
        units=units,
        marks=marks,
        ids=read_ids(records, side or (), linking=side is not None),
        first_of_second=None if side is None else n,
        model=model,
        trained=trained,
        counted=counted,
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


def looked_at(model: Model, parameters: Link) -> tuple[str, ...]:
    """All columns that are looked at, in order."""
    return tuple(sorted(columns_of(model) | parameters.columns))


def rule_sets(model: Model) -> tuple[tuple[Rule, ...], tuple[Rule, ...], tuple[Rule, ...]]:
    """The rules that bring pairs together, those that the prior is estimated from, and the one of relatives."""
    return (
        model.blocking,
        model.deterministic_rules if model.prior is None else (),
        () if model.relatives is None else (model.relatives,),
    )


def _weighed(
    job: Admitted, parameters: Link, memory: int, progress: ProgressCallback
) -> tuple[Trained, Pairs, Ints, Ints, OwnWeights]:
    """(the trained model, the pairs that are kept, by rule how many are new, the weights of all, and of all units)."""
    model = job.model
    progress("train", 0)
    facts = facts_of(job.table, model)
    comparers = [bound_to(comparison, job.table) for comparison in model.comparisons]
    observed = observe(
        comparers,
        facts,
        parameters,
        model=model,
        blocking=job.blocking,
        deterministic=job.deterministic,
        relatives=job.relatives,
    )
    trained = train(model, facts, observed, parameters)
    weights, own = no_weights(), OwnWeights(model, trained, facts, parameters)
    scorer = Scorer(comparers, trained, facts, partial(count_weights, weights))
    pairs, new = _scored(job, scorer, least_kept(parameters), memory, progress)
    counts = {name: column.counts for name, column in job.table.columns.items()}
    for pattern, of_values in beside_themselves(comparers, job.table, model, counts):
        own.add(pattern, of_values)
    return trained, pairs, new, weights, own


def _scored(job: Admitted, scorer: Scorer, least: float, memory: int, progress: ProgressCallback) -> tuple[Pairs, Ints]:
    """(the pairs of at least this weight, int64 by rule: how many pairs no rule before it has)."""
    pieces, new = list[Pairs](), np.zeros(len(job.blocking.rules), np.int64)
    kept = 0
    for some in scorer.scored(_shown(job.blocking, progress), new, least):
        pieces.append(some)
        kept += len(some)
        if exceeds_memory(job.units.n, kept, memory):
            raise too_many(Limit.LINK_MEMORY)
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

"""From records to decisions: what `clear` finds about some records that hold the whole history of their subjects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from cji_core.format.records import RowStatus, Status
from cji_core.operations.clear.declaration import DETERMINATIONS, NOT_DECIDED, Clear, Code
from cji_core.operations.parameters import known
from cji_core.progress import ProgressCallback
from cji_operations.clear.decide import decide
from cji_operations.clear.facts import Columns, gather, status_of
from cji_operations.clear.report import determinations, not_decided, reliefs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Outcome:
    """Of n rows: their status, the relief utf8[n] of each, and the parts by name, whose `row` counts these rows."""

    status: RowStatus
    relief: pa.Array
    parts: Mapping[str, Iterable[pa.RecordBatch]]


def outcome(parameters: Clear, columns: Columns, progress: ProgressCallback) -> Outcome:
    """Decide on all convictions."""
    progress("facts", 0)
    facts = gather(columns, known(parameters.table), known(parameters.as_of))
    progress("decide", 0)
    decision = decide(facts, county=parameters.county)
    status = status_of(facts.rows, columns).found(facts.row[decision.open], status=Status.WARNED, code=Code.NOT_DECIDED)
    progress("decide", 100)
    subjects = columns.text("subject")
    return Outcome(
        status=status,
        relief=reliefs(facts, decision),
        parts={
            DETERMINATIONS.name: determinations(facts, decision, subjects),
            NOT_DECIDED.name: not_decided(facts, decision, subjects),
        },
    )

"""The risk of re-identification of a table, before and after: `disclosure_risk/1`, one row a measure.

    rows, persons, classes   how many there are; a class is as `people` describes; without `person` there are no persons
                    to count, and below each row is one
    smallest_class  k: every row is among so many persons
    unique_rows     rows in classes of one person at most
    rows_below_k    rows in classes of fewer persons than the k that was asked for
    highest_risk    1 / smallest_class: of an attacker who knows that a person is in the table, and the person's
                    quasi-identifiers (the prosecutor of K. El Emam)
    average_risk    the same on average over the rows: 1 / the persons of a row's class
    loss            of a column, 0 to 1, on average over its rows: see `generalisation`
    rows_at_step    of a column: rows that took this step of its hierarchy; no step: rows that lost the value
    l_distinct      of a sensitive column: every class has at least so many of its values
    l_entropy       the same, as many as would give the class its entropy if they were equally frequent
                    (A. Machanavajjhala and others, "l-Diversity", 2007)
    highest_share   of a sensitive column: the largest share of a class's persons who have the same value; 1 where a
                    class gives the value away
    t               of a sensitive column: the largest distance of its distribution in a class from that in the table,
                    0 to 1, all values being equally far from each other (N. Li and others, "t-Closeness", 2007)

Of persons with several rows in a class, l and t are about the set of their values there. Null is a value like any
other. Shares have six digits.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.deidentify.declaration import DISCLOSURE_RISK
from cji_operations.deidentify.generalisation import LOST, SUPPRESSED
from cji_operations.deidentify.people import People, Persons, weighted

Measure = tuple[str, str, str | None, int | None, float]
"""stage, measure, column, step, value."""


def of_classes(stage: str, together: Ints, people: People, k: int) -> list[Measure]:
    """The measures of the classes int64[m] of m groups, 0 to c - 1, each of at least one group."""
    sizes, rows = people.sizes(together), weighted(together, people.rows)
    n = int(rows.sum())
    smallest = int(sizes.min()) if n else 0
    risk = 1 / np.maximum(sizes, 1)
    found = {
        "rows": n,
        **({"persons": people.number(~people.missing)} if isinstance(people, Persons) else {}),
        "classes": len(sizes),
        "smallest_class": smallest,
        "unique_rows": int(rows[sizes <= 1].sum()),
        "rows_below_k": int(rows[sizes < k].sum()),
        "highest_risk": float(risk.max(initial=0)),
        "average_risk": float(rows @ risk) / max(n, 1),
    }
    return [(stage, name, None, None, float(value)) for name, value in found.items()]


def of_sensitive(stage: str, together: Ints, people: People, column: str, values: Ints) -> list[Measure]:
    """Diversity l and closeness t of a sensitive column, whose value in each group is the code `values` int64[m]."""
    if not len(values):
        return []
    of_class, value, weight = people.units(together, values)
    d, n = int(value.max()) + 1, int(weight.sum())
    sizes = weighted(of_class, weight)
    pair, which = np.unique(of_class * d + value, return_inverse=True)
    of_class, pair_value = pair // d, pair % d
    share, overall = weighted(which, weight) / sizes[of_class], np.bincount(value, weight, d) / n
    there = sizes > 0
    distinct = np.bincount(of_class, minlength=len(sizes))[there]
    entropy = np.bincount(of_class, -share * np.log(share), len(sizes))[there]
    # half of all differences: those of values that a class has, and the share of those that it has not
    apart = np.bincount(of_class, np.abs(share - overall[pair_value]) - overall[pair_value], len(sizes))[there]
    found = {
        "l_distinct": distinct.min(),
        "l_entropy": np.exp(entropy.min()),
        "highest_share": _highest_share(together, people, values, sizes),
        "t": ((apart + 1) / 2).max(),
    }
    return [(stage, name, column, None, float(number)) for name, number in found.items()]


def _highest_share(together: Ints, people: People, values: Ints, sizes: Ints) -> float:
    of_class, value, weight = people.holders(together, values)
    d = int(value.max()) + 1
    pair, which = np.unique(of_class * d + value, return_inverse=True)
    return float((weighted(which, weight) / sizes[pair // d]).max())


def of_steps(column: str, steps: Ints, loss: Ints, rows: Ints, count: int) -> list[Measure]:
    """The losses of a column: the step int64[m] that each group took, or SUPPRESSED, the loss of each, and its rows."""
    lost = float(loss.astype(np.int64) @ rows)
    found: list[Measure] = [("after", "loss", column, None, lost / LOST / max(int(rows.sum()), 1))]
    taken = [("after", "rows_at_step", column, step, float(rows[steps == step].sum())) for step in range(count)]
    return [*found, *taken, ("after", "rows_at_step", column, None, float(rows[steps == SUPPRESSED].sum()))]


def batch(measures: Iterable[Measure]) -> pa.RecordBatch:
    """All measures as `disclosure_risk/1`."""
    rows = list(measures)
    schema: pa.Schema = DISCLOSURE_RISK.schema.arrow
    columns: Mapping[str, Sequence[object]] = {
        "stage": [row[0] for row in rows],
        "measure": [row[1] for row in rows],
        "column": [row[2] for row in rows],
        "step": [row[3] for row in rows],
    }
    value = arrow.from_numpy(np.round(np.array([row[4] for row in rows], np.float64), 6))
    arrays = [pa.array(each, schema.field(name).type) for name, each in columns.items()]
    return pa.RecordBatch.from_arrays([*arrays, value], schema=schema)

"""The person that each order is about, of those that `link` finds in the index.

An order is about one person where its likeliest one reaches `match` and no other one reaches
`clerical_review_threshold`. An order that names its subject is about that one, if the index has it: so a clerk's
decision comes back. Lines of one order are about the same person; a person with several rows in the index, as under
several names, is as likely as the likeliest of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import SCHEMAS, arrow, tagged
from cji_core.format.records.column import Ints
from cji_core.operations.link import Link
from cji_core.operations.link.outputs import PAIRS
from cji_core.operations.match_orders import OUTCOMES, PERSON_SCHEMA, MatchOrders
from cji_operations.kernels.distinct import codes
from cji_operations.link.linkage import link
from cji_operations.match_orders.orders import Lines, text_of, trimmed

Floats = npt.NDArray[np.float64]

_NONE: Final = -1
OUTCOME_NAMES: Final = tuple(OUTCOMES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Found:
    """For each of `n` orders or lines the two likeliest subjects, -1 for none, and how likely they are.

    subjects: `binary`, distinct. A probability is NaN where the order names its subject. outcome int64[n]: positions
    in OUTCOMES; `applied` until it is known that no event fits.
    """

    subjects: pa.Array
    best: Ints
    probability: Floats
    second: Ints
    second_probability: Floats
    outcome: Ints

    def take(self, order: Ints) -> "Found":
        """Those of the orders of lines."""
        return Found(
            subjects=self.subjects,
            best=self.best[order],
            probability=self.probability[order],
            second=self.second[order],
            second_probability=self.second_probability[order],
            outcome=self.outcome[order],
        )


def find(
    lines: Lines, orders: Sequence[pa.RecordBatch], persons: Sequence[pa.RecordBatch], parameters: MatchOrders
) -> Found:
    """The persons that the lines are about. Raises: as `link` does."""
    encoded = pc.dictionary_encode(
        trimmed(arrow.concat((text_of(batch, "record_id") for batch in persons), pa.binary()))
    )
    of_person = arrow.numbers(pc.fill_null(encoded.indices, _NONE)).astype(np.int64)
    found = _two_best(
        encoded.dictionary,
        *_candidates(lines, orders, persons, of_person, parameters),
        n=int(lines.order.max(initial=-1)) + 1,
    )
    least = parameters.clerical_review_threshold
    possible, sure = found.probability >= least, (found.probability >= parameters.match) & (found.best != _NONE)
    found.outcome[possible] = _code("possible")
    found.outcome[sure] = _code("applied")
    found.outcome[found.second_probability >= least] = _code("several")
    _take_named(lines, found)
    of_line = found.take(lines.order)
    of_line.outcome[~lines.usable] = _code("unusable")
    return of_line


def _code(outcome: str) -> int:
    return OUTCOME_NAMES.index(outcome)


def _candidates(
    lines: Lines,
    orders: Sequence[pa.RecordBatch],
    persons: Sequence[pa.RecordBatch],
    of_person: Ints,
    parameters: MatchOrders,
) -> tuple[Ints, Ints, Floats]:
    """(order, person, probability) of all pairs that `link` lists, the likeliest one of each order and person."""
    side = [_persons_of(batch) for batch in orders]
    least = Link(
        match=parameters.match,
        clerical_review_threshold=min(parameters.clerical_review_threshold, 0.01),
        seed=parameters.seed,
        linkage="components",
    )
    if not lines.n or not len(of_person):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    found = link(persons, persons[0].schema, least, lambda *_: None, side=side)
    pairs = list(found.report.batches()[PAIRS.name])
    left, right, chance = (
        arrow.numbers(arrow.concat((batch[name] for batch in pairs), kind))
        for name, kind in (("left", pa.uint64()), ("right", pa.uint64()), ("probability", pa.float64()))
    )
    person = of_person[left.astype(np.int64)]
    return lines.order[right.astype(np.int64)], person, chance


def _persons_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of orders that describe the person, as a table of persons."""
    names = [name for name in batch.schema.names if name in SCHEMAS[PERSON_SCHEMA].columns]
    return pa.RecordBatch.from_arrays(
        [batch[name] for name in names], schema=tagged(PERSON_SCHEMA, [batch.schema.field(name) for name in names])
    )


def _two_best(subjects: pa.Array, order: Ints, person: Ints, chance: Floats, *, n: int) -> Found:
    """For each of `n` orders the likeliest person and the next other one; nobody where there is none."""
    at = np.lexsort((-chance, person, order))
    order, person, chance = order[at], person[at], chance[at]
    first = np.ones(len(order), np.bool_)  # of an order and person; rows without an id are persons of their own
    first[1:] = (np.diff(order) != 0) | (np.diff(person) != 0) | (person[1:] == _NONE)
    order, person, chance = order[first], person[first], chance[first]
    at = np.lexsort((-chance, order))
    order, person, chance = order[at], person[at], chance[at]
    starts = np.flatnonzero(np.diff(order, prepend=-1))
    more = starts[np.diff(np.append(starts, len(order))) > 1] + 1
    found = Found(
        subjects=subjects,
        best=np.full(n, _NONE),
        probability=np.zeros(n),
        second=np.full(n, _NONE),
        second_probability=np.zeros(n),
        outcome=np.full(n, _code("no_person")),
    )
    found.best[order[starts]], found.probability[order[starts]] = person[starts], chance[starts]
    found.second[order[more]], found.second_probability[order[more]] = person[more], chance[more]
    return found


def _take_named(lines: Lines, found: Found) -> None:
    """Orders that name their subject are about that one."""
    named = np.flatnonzero(arrow.present(lines.subject))
    order = lines.order[named]
    where = pc.index_in(lines.subject.take(arrow.from_numpy(named)), value_set=found.subjects)
    at = arrow.numbers(pc.fill_null(where, _NONE)).astype(np.int64)
    given, k = codes(lines.subject)
    lowest, highest = np.full(len(found.best), k), np.full(len(found.best), _NONE)
    np.minimum.at(lowest, order, given[named])
    np.maximum.at(highest, order, given[named])
    known = (lowest == highest)[order] & (at != _NONE)
    found.best[order] = np.where(known, at, _NONE)
    found.second[order] = _NONE
    found.probability[order], found.second_probability[order] = np.nan, np.nan
    found.outcome[order] = np.where(known, _code("applied"), _code("unknown_subject"))

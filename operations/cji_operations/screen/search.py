"""`screen`: inquiries against a reference in memory, by the search rules of NCIC and III.

An inquiry is a hit, no hit, or not screenable, and every row has one of these outcomes: "not screenable" means that
nothing was searched, which is not the same as "no hit". A hit means that a record may be about the person, not that it
is.

The classes of hits, the best first:

    identifier   an identifier that is searched by agrees in full
    strong       found by name, dates of birth equal, and at least `strong` bits of the model in sum
    possible     found by name and a date of birth that could be compared in full
    name_only    found by name; what is known of the two dates of birth does not contradict

Rows of the reference with the same NIC are one record, with its aliases and further dates of birth. A record is one
hit: the best of its rows, and the number of those that are hits. Hits of an inquiry are listed by class, then score,
then row of the reference; of more than `max_hits` the first, and the number of all.
"""

import enum
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import RowStatus, Status, arrow
from cji_core.format.records.column import Bools, Bytes, Ints
from cji_core.operations.parameters import known
from cji_core.operations.screen import HITS, OUTCOMES, SHOWN, Code, Screen
from cji_core.operations.status_codes import ValueCode
from cji_core.operations.tables.screening import Model
from cji_operations.screen.candidates import Candidates, Limits, Plan, plan
from cji_operations.screen.index import Index
from cji_operations.screen.reader import read_people
from cji_operations.screen.rules import Weights, weights
from cji_operations.screen.score import LEVEL, Floats, Scores, score, words_of

LIMITS: Final = Limits()


class Outcome(enum.IntEnum):
    """The outcome of an inquiry."""

    HIT = 0
    NO_HIT = 1
    NOT_SCREENABLE = 2


class HitClass(enum.IntEnum):
    """The basis of a hit, the best first; NONE where there is no hit."""

    IDENTIFIER = 0
    STRONG = 1
    POSSIBLE = 2
    NAME_ONLY = 3
    NONE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Screened:
    """The result for n inquiries.

    outcome, best uint8[n] (Outcome, HitClass); found, listed int64[n]. Of the listed hits: row, reference_row int64[m],
    hit_class uint8[m], scores, rows int64[m]: rows of the record that are hits, restricted bool[m], and `shown`,
    columns of the reference. status: of the inquiries.
    """

    outcome: Bytes
    best: Bytes
    found: Ints
    listed: Ints
    row: Ints
    reference_row: Ints
    hit_class: Bytes
    bits: Floats
    pattern: Ints
    rows: Ints
    restricted: Bools
    shown: pa.RecordBatch
    status: RowStatus
    status_only: bool

    def outcomes(self, first_row: int) -> pa.RecordBatch:
        """A batch of `outcomes/1` for inquiries that are numbered from `first_row` on."""
        n = len(self.outcome)
        row = arrow.from_numpy(np.arange(first_row, first_row + n), pa.uint64())
        best = _names(HitClass, self.best)
        counts = [arrow.from_numpy(each, pa.uint64()) for each in (self.found, self.listed)]
        if self.status_only:
            best, counts = pa.nulls(n, pa.utf8()), [pa.nulls(n, pa.uint64())] * 2
        return pa.RecordBatch.from_arrays([row, _names(Outcome, self.outcome), best, *counts], schema=OUTCOMES.arrow)

    def hits(self, first_row: int) -> pa.RecordBatch:
        """A batch of `hits/1`."""
        n, schema = len(self.row), HITS.schema.arrow
        if not n:
            return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
        starts = np.cumsum(self.listed) - self.listed
        rank = np.arange(n) - starts[self.row] + 1
        pattern = pc.dictionary_encode(arrow.from_numpy(self.pattern))
        words = pa.array([words_of(each) for each in pattern.dictionary.to_pylist()], pa.utf8())
        shown = {name: self.shown.column(name).cast(pa.binary()) for name in self.shown.schema.names}
        return pa.RecordBatch.from_arrays(
            [
                arrow.from_numpy(self.row + first_row, pa.uint64()),
                arrow.from_numpy(rank, pa.uint32()),
                _names(HitClass, self.hit_class),
                arrow.from_numpy(self.bits, pa.float64()),
                words.take(pattern.indices),
                *(arrow.from_numpy(each, pa.uint64()) for each in (self.reference_row, self.rows)),
                arrow.from_numpy(self.restricted),
                *(shown.get(name, pa.nulls(n, pa.binary())) for name in SHOWN),
            ],
            schema=schema,
        )


def run(batch: pa.RecordBatch, index: Index, parameters: Screen, model: Model, *, limits: Limits = LIMITS) -> Screened:
    """Screen a batch of inquiries, `person/1` or `hotfile/1`. Inquiries are independent of each other.

    Raises: Refusal(LIMIT_EXCEEDED) where the batch would take more comparisons than `limits` has.
    """
    rules, n = known(parameters.rules), batch.num_rows
    inquiries = read_people(batch)
    planned = plan(inquiries, index, rules, limits)
    bits = weights(model)
    found, best = np.zeros(n, np.int64), np.full(n, HitClass.NONE, np.uint8)
    kept = list[_Hits]()
    for candidates in planned.chunks():
        hits = _scored(candidates, planned, parameters, bits, model.strong)
        found += np.bincount(hits.row, minlength=n)
        np.minimum.at(best, hits.row, hits.hit_class)
        kept.append(hits.first_of_each(parameters.max_hits))
    hits = _Hits.concatenate(kept)
    if parameters.status_only:
        hits = hits.take(np.empty(0, np.int64))
    missed = ~planned.searched | planned.too_many
    outcome = np.select([missed, found > 0], [Outcome.NOT_SCREENABLE, Outcome.HIT], Outcome.NO_HIT)
    status = inquiries.status
    for column, codes, table in (("SEX", inquiries.sex, rules.sex), ("RAC", inquiries.race, rules.race)):
        unknown = np.flatnonzero((codes != 0) & ~np.isin(codes, [ord(code) for code in table]))
        at = batch.schema.get_field_index(column)
        status = status.found(unknown, status=Status.PARTLY_USED, code=ValueCode.NOT_IN_TABLE, column=at)
    for rows, code in ((~planned.searched, Code.NOT_SCREENABLE), (planned.too_many, Code.TOO_MANY_CANDIDATES)):
        status = status.found(np.flatnonzero(rows), status=Status.NOT_USABLE, code=code)
    return Screened(
        outcome=outcome.astype(np.uint8),
        best=best,
        found=found,
        listed=np.bincount(hits.row, minlength=n),
        row=hits.row,
        reference_row=index.row[hits.position].astype(np.int64),
        hit_class=hits.hit_class,
        bits=hits.bits,
        pattern=hits.pattern,
        rows=hits.rows,
        restricted=index.restricted[hits.position],
        shown=index.shown.take(arrow.from_numpy(hits.position)),
        status=status,
        status_only=parameters.status_only,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Hits:
    """Of each hit: inquiry, position in the index, class, score, pattern, rows; by inquiry, the best first."""

    row: Ints
    position: Ints
    hit_class: Bytes
    bits: Floats
    pattern: Ints
    rows: Ints

    def take(self, which: Ints) -> "_Hits":
        return _Hits(**{name: getattr(self, name)[which] for name in self.__slots__})

    def first_of_each(self, most: int) -> "_Hits":
        number = np.arange(len(self.row))
        start = np.maximum.accumulate(np.where(np.diff(self.row, prepend=-1) != 0, number, 0))
        return self.take(np.flatnonzero(number - start < most))

    def of_records(self, record: Ints) -> "_Hits":
        """The best hit of each record, `record` int64[m], of an inquiry, with the number of all of them."""
        several = _several(self.row)
        number = self.row[several] * (int(record.max(initial=0)) + 1) + record[several]
        _, first, count = np.unique(number, return_index=True, return_counts=True)
        kept, rows = np.ones(len(self.row), np.bool_), self.rows.copy()
        kept[several] = False
        kept[several[first]] = True
        rows[several[first]] = count
        return replace(self, rows=rows).take(np.flatnonzero(kept))

    @classmethod
    def concatenate(cls, pieces: list["_Hits"]) -> "_Hits":
        return cls(
            row=np.concatenate([np.empty(0, np.int64), *(each.row for each in pieces)]),
            position=np.concatenate([np.empty(0, np.int64), *(each.position for each in pieces)]),
            hit_class=np.concatenate([np.empty(0, np.uint8), *(each.hit_class for each in pieces)]),
            bits=np.concatenate([np.empty(0, np.float64), *(each.bits for each in pieces)]),
            pattern=np.concatenate([np.empty(0, np.int64), *(each.pattern for each in pieces)]),
            rows=np.concatenate([np.empty(0, np.int64), *(each.rows for each in pieces)]),
        )


def _scored(found: Candidates, planned: Plan, parameters: Screen, bits: Weights, strong: float) -> _Hits:
    """The candidates that are hits."""
    index, kept = planned.index, planned.listed(found)
    kept[planned.confined(found)] = True
    found = found.take(np.flatnonzero(kept))  # of most candidates only the sound and the day agree: do not weigh those
    if not parameters.include_restricted:
        found = found.take(np.flatnonzero(~index.restricted[found.position]))
    found = found.once(len(index))  # a record that was found in two ways is one candidate
    listed = planned.listed(found)
    scores = score(found, planned, bits)
    hit_class, of_reference = _classes(scores, listed, strong), index.row[found.position]
    order, several = np.arange(len(hit_class)), _several(found.row)
    keys = (of_reference, -scores.bits, hit_class, found.row)
    order[several] = several[np.lexsort([key[several] for key in keys])]
    if parameters.min_score is not None:
        order = order[listed[order] | (scores.bits[order] >= parameters.min_score)]
    every = _Hits(
        row=found.row[order],
        position=found.position[order],
        hit_class=hit_class[order],
        bits=scores.bits[order],
        pattern=scores.pattern[order],
        rows=np.ones(len(order), np.int64),
    )
    return every.of_records(index.record[every.position].astype(np.int64))


def _several(row: Ints) -> Ints:
    """The positions of those that have their row, ascending, in common with others; most inquiries have one hit."""
    same = np.diff(row) == 0
    return np.flatnonzero(np.append(same, [False]) | np.append([False], same))


def _classes(scores: Scores, listed: Bools, strong: float) -> Bytes:
    date, level = scores.level("DOB"), LEVEL["DOB"]
    return np.select(
        [
            listed,
            date == level["partial"],
            (date == level["equal"]) & (scores.bits >= strong),
        ],
        [HitClass.IDENTIFIER, HitClass.NAME_ONLY, HitClass.STRONG],
        HitClass.POSSIBLE,
    ).astype(np.uint8)


def _names(kind: type[enum.IntEnum], values: Bytes) -> pa.Array:
    """utf8[n]: the names of the members, null for NONE."""
    names = [None if member.name == "NONE" else member.name.lower() for member in kind]
    return pa.array(names, pa.utf8()).take(arrow.from_numpy(values))

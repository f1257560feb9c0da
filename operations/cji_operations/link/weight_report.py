"""The report of `link` on all weights: how many pairs have each, and how much each record weighs beside itself.

weights       in steps of one bit: weight (the lower end), pairs that were compared, rows: records whose weight with
              themselves is in this step; weights of pairs that are far too low to be listed are without dependence
completeness  records by the comparisons that they have a value for: present, missing, rows, below_match, below_review
              (records that stay below the threshold even beside themselves), weight (the highest of these)

A record that does not reach a threshold beside itself reaches it beside no other one, except by exchanged names. Of
equal records, those count that are compared, see `units`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import RARE, Comparison, Model
from cji_core.operations.link.outputs import COMPLETENESS, WEIGHTS
from cji_operations.link.columns import Table
from cji_operations.link.comparison import Comparer, levels
from cji_operations.link.facts import Facts, frequency_columns
from cji_operations.link.patterns import Radix
from cji_operations.link.score import Weights, frequency_weights, log2_odds
from cji_operations.link.training import Trained

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]

_LOWEST: Final = -128
STEPS: Final = 256
"""Steps of one bit from -128 on; what is beyond either end is in the last one."""
_ROWS: Final = 1 << 14  # at once; with the rows of 15 values each, a MiB


def no_weights() -> Ints:
    """int64[STEPS]: for `count_weights`."""
    return np.zeros(STEPS, np.int64)


def count_weights(steps: Ints, weights: Floats) -> None:
    """Add these weights to int64[STEPS]."""
    place = (weights - _LOWEST).clip(0, STEPS - 1).astype(np.int64)
    steps += np.bincount(place, minlength=STEPS)


def beside_themselves(
    comparers: Sequence[Comparer], table: Table, model: Model, counts: Mapping[str, Ints]
) -> Iterator[tuple[Ints, Counts]]:
    """Every unit compared with itself, some at a time: for `OwnWeights.add`. counts int64[k] by column."""
    radix, names = Radix.of(model.comparisons), frequency_columns(model)
    of_value = [(table.columns[name].code, np.append(counts[name], 0).astype(np.uint32)) for name in names]
    for start in range(0, table.units, _ROWS):
        units = np.arange(start, min(start + _ROWS, table.units))
        starts = table.starts[start : start + len(units) + 1]
        some = slice(starts[0], starts[-1])
        found = np.empty((len(names), len(units)), np.uint32)
        for line, (code, units_with) in zip(found, of_value, strict=True):
            line[:] = _rarest(units_with[code[some]], starts[:-1] - starts[0], table)
        yield radix.numbers(levels(comparers, units, units)), found


def _rarest(counts: Counts, starts: Ints, table: Table) -> Counts:
    """uint32[u]: of each unit, how many have the value of its that the fewest have; 0 without any."""
    if table.unit is None:
        return counts
    least: Counts = np.minimum.reduceat(counts - np.uint32(1), starts) + np.uint32(1)  # 0 becomes the highest number
    return least


class OwnWeights:
    """How much rows weigh beside themselves: whole numbers, which add up over any parts of the rows."""

    def __init__(self, model: Model, trained: Trained, facts: Facts, parameters: Link) -> None:
        """By the trained model."""
        self.steps = no_weights()
        self._model, self._facts, self._trained = model, facts, trained
        self._weights = Weights(model.comparisons, trained)
        self._names = frequency_columns(model)
        self._thresholds = log2_odds(parameters.match), log2_odds(parameters.clerical_review_threshold)
        self._fields = fields(model.comparisons)
        self._found = dict[int, list[int]]()
        self._most = dict[int, float]()

    @property
    def columns(self) -> int:
        """How many columns have a term frequency."""
        return len(self._names)

    def add(self, pattern: Ints, counts: Counts) -> None:
        """Rows: int64[k]: the pattern of each with itself; uint32[f, k]: how many rows have its value of each column.

        The columns are those with a term frequency, in order.
        """
        found = self._weights.radix.levels(pattern)
        weight = self._weigh(found, counts)
        count_weights(self.steps, weight)
        present = np.zeros(len(pattern), np.int64)
        for bit, field in enumerate(self._fields):
            present |= (found[:, field] >= 0).astype(np.int64) << bit
        of_group, group = np.unique(present, return_inverse=True)
        n = len(of_group)
        rows = [np.ones(len(weight), np.bool_), *(weight < least for least in self._thresholds)]
        added = np.stack([np.bincount(group, which, n).astype(np.int64) for which in rows], axis=1)
        most = np.full(n, -np.inf)
        np.maximum.at(most, group, weight)
        for key, numbers, highest in zip(of_group.tolist(), added.tolist(), most.tolist(), strict=True):
            before = self._found.setdefault(key, [0, 0, 0])
            self._found[key] = [one + other for one, other in zip(before, numbers, strict=True)]
            self._most[key] = max(self._most.get(key, highest), highest)

    def _weigh(self, found: npt.NDArray[np.int8], counts: Counts) -> Floats:
        rare = list[Floats | None]()
        for i, (one, of_u) in enumerate(zip(self._model.comparisons, self._trained.u, strict=True)):
            bits = np.zeros(len(found))
            for number, level in enumerate(one.levels):
                if name := level.tf_adjustment_column:
                    rows = np.flatnonzero(found[:, i] == number)
                    of_value = counts[self._names.index(name)][rows].astype(np.int64)
                    bits[rows] = frequency_weights(one, number, of_u, of_value, self._facts)
            rare.append(bits)
        return self._weights.weigh(np.ascontiguousarray(found.T), rare)

    def batches(self, pairs: Ints) -> dict[str, Iterator[pa.RecordBatch]]:
        """The parts by name; pairs int64[STEPS]: the weights of all compared pairs."""
        return {WEIGHTS.name: iter([self._of_all(pairs)]), COMPLETENESS.name: iter([self._completeness()])}

    def _of_all(self, pairs: Ints) -> pa.RecordBatch:
        there = np.flatnonzero(pairs + self.steps)
        some = np.arange(there.min(initial=STEPS), there.max(initial=-1) + 1)
        columns = ((some + _LOWEST).astype(np.float64), pairs[some], self.steps[some])
        schema = WEIGHTS.schema.arrow
        arrays = [arrow.from_numpy(column, kind) for kind, column in zip(schema.types, columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _completeness(self) -> pa.RecordBatch:
        """The most rows below a threshold first."""
        names = [self._model.comparisons[field].name for field in self._fields]
        order = sorted(self._found, key=lambda key: (*(-rows for rows in reversed(self._found[key])), key))
        present = [", ".join(name for bit, name in enumerate(names) if key >> bit & 1) for key in order]
        missing = [", ".join(name for bit, name in enumerate(names) if not key >> bit & 1) for key in order]
        numbers = zip(*(self._found[key] for key in order), strict=True) if order else ((), (), ())
        schema = COMPLETENESS.schema.arrow
        columns = (present, missing, *numbers, [self._most[key] for key in order])
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def fields(comparisons: Sequence[Comparison]) -> list[int]:
    """The comparisons that stand for fields of a record: not those of columns that all have one of their own.

    Nor those of columns in which most persons have nothing.
    """
    alone = {one.columns for one in comparisons if len(one.columns) == 1}
    return [
        number
        for number, one in enumerate(comparisons)
        if (len(one.columns) == 1 and one.columns[0] not in RARE) or not all((name,) in alone for name in one.columns)
    ]

"""The report of `link`: the pairs, their weights explained in words, and the blocks of each rule.

pairs     left, right, weight, frequency (how much of the weight is due to how rare the values are), probability,
          pattern, match (False: for clerical review); by left, then right
patterns  of every pattern one line for each comparison and one for the prior: comparison, level, words, m, u,
          weight; the weights of a pattern and the pair's frequency add up to the weight of the pair
blocks    of every rule, in their order: rule, blocks, rows in the largest one, pairs, new_pairs (that no rule before
          it has), left_out (it has more than it may), split (blocks that were too large), split_rows (rows in those)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.compute.kernels.column import Ints
from worker.compute.operations.link.blocking import Blocking
from worker.compute.operations.link.comparison import MISSING
from worker.compute.operations.link.model import Comparison, Level, Model
from worker.compute.operations.link.outputs import BLOCKS, PAIRS, PATTERNS
from worker.compute.operations.link.score import Pairs, Scorer, probability
from worker.compute.operations.link.training import Trained
from worker.records import arrow

_BATCH: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Report:
    """The further outputs of one job; `new_pairs` int64 by rule, `least` is the weight from which a pair is a match."""

    pairs: Pairs
    scorer: Scorer
    model: Model
    trained: Trained
    blocking: Blocking
    new_pairs: Ints
    least: float
    first_of_second: int | None

    def batches(self) -> dict[str, Iterator[pa.RecordBatch]]:
        """The parts by name."""
        codes, pattern = np.unique(self.pairs.pattern, return_inverse=True)
        levels = self.scorer.levels_of(codes)
        return {
            PAIRS.name: self._pairs(pattern, self.scorer.weights_of(levels)),
            PATTERNS.name: iter([self._patterns(levels, np.bincount(pattern, minlength=len(codes)))]),
            BLOCKS.name: iter([self._blocks()]),
        }

    def _pairs(self, pattern: Ints, weights: npt.NDArray[np.float64]) -> Iterator[pa.RecordBatch]:
        moved = 0 if self.first_of_second is None else self.first_of_second
        for start in range(0, len(self.pairs), _BATCH):
            part = slice(start, start + _BATCH)
            weight = self.pairs.weight[part]
            yield _batch(
                PAIRS.schema.arrow,
                self.pairs.left[part],
                self.pairs.right[part] - moved,
                weight,
                weight - weights[pattern[part]],
                probability(weight),
                pattern[part],
                weight >= self.least,
            )

    def _patterns(self, levels: npt.NDArray[np.int8], counts: Ints) -> pa.RecordBatch:
        """The lines that there can be are few: one for each level of each comparison. Patterns refer to them."""
        lines = [_line("", 0, self._prior(), self.scorer.base)]
        offsets = list[int]()
        for one, m, u, weights in zip(
            self.model.comparisons, self.trained.m, self.trained.u, self.scorer.weights, strict=True
        ):
            offsets.append(len(lines) + 1)  # level MISSING is in front of level 0
            lines.append(_line(one.name, MISSING, f"{one.name}: missing in a record, no weight", 0.0))
            for number, level in enumerate(one.levels):
                of_m, of_u = float(m[number]), float(u[number])
                words = _words(one, level, of_m, of_u)
                lines.append(_line(one.name, number, words, float(weights[number]), m=of_m, u=of_u))
        which = np.hstack((np.zeros((len(levels), 1), np.int64), levels + np.array(offsets, np.int64)))
        taken = arrow.from_numpy(which.reshape(-1))
        pattern = np.repeat(np.arange(len(levels)), which.shape[1])
        schema = PATTERNS.schema.arrow
        numbers = _batch(pa.schema(list(schema)[:2]), pattern, counts[pattern])
        of_line = [pa.array([line[field.name] for line in lines], field.type).take(taken) for field in list(schema)[2:]]
        return pa.RecordBatch.from_arrays([*numbers.columns, *of_line], schema=schema)

    def _prior(self) -> str:
        return f"of two records taken at random, one pair in {_short(1 / self.trained.prior)} is of one person"

    def _blocks(self) -> pa.RecordBatch:
        rules = self.blocking.rules
        return pa.RecordBatch.from_arrays(
            [
                pa.array([one.rule.label for one in rules], pa.utf8()),
                pa.array([one.number for one in rules], pa.uint64()),
                pa.array([one.largest for one in rules], pa.uint64()),
                pa.array([one.pairs for one in rules], pa.uint64()),
                pa.array(self.new_pairs.tolist(), pa.uint64()),
                pa.array([one.left_out for one in rules], pa.bool_()),
                pa.array([one.split for one in rules], pa.uint64()),
                pa.array([one.split_rows for one in rules], pa.uint64()),
            ],
            schema=BLOCKS.schema.arrow,
        )


def _line(
    comparison: str, level: int, words: str, weight: float, *, m: float | None = None, u: float | None = None
) -> dict[str, object]:
    return {"comparison": comparison, "level": level, "words": words, "m": m, "u": u, "weight": weight}


def _words(comparison: Comparison, level: Level, m: float, u: float) -> str:
    """The weight of a level in words: `surname: the same; in 81.2 % of pairs of one person, ...`."""
    if m >= u:
        verdict = f"{_short(m / u)} times as likely for one person"
    else:
        verdict = f"{_short(u / m)} times as likely for different persons"
    frequency = "; a rarer value says more" if level.tf_adjustment_column else ""
    shares = f"in {_short(100 * m)} % of pairs of one person, in {_short(100 * u)} % of pairs of different persons"
    return f"{comparison.name}: {level.label}; {shares}: {verdict}{frequency}"


def _short(number: float) -> str:
    """Three digits, without an exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(number)))) if number < 100 else 0
    return f"{number:.{digits}f}"


def _batch(schema: pa.Schema, *columns: npt.NDArray[Any]) -> pa.RecordBatch:
    arrays = [arrow.from_numpy(column, kind) for kind, column in zip(schema.types, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

"""The report of `link` on pairs: their weights explained in words, and the blocks of each rule.

pairs     left, right, their record ids, weight, frequency (how much of the weight is due to how rare the values are),
          probability, pattern, match (False: for clerical review), joined (in one cluster); by left, then right
patterns  pattern, pairs, weight without frequency, dependence (what the weights of levels that come together add to
          their sum), relatives (what they take off the weight), the level of each comparison in the order of `levels`
          (-1: a value is missing), words: what adds up to the weight
levels    the prior, the odds of one person against relatives if there are any, then of every comparison one line for
          each level: comparison, level, m, u, weight, and the weight in a sentence; its label, the columns that the
          comparison looks at, and those that are equal at this level, with blanks between
blocks    of every rule, in their order: rule, blocks, rows in the largest one, pairs, new_pairs (that no rule before
          it has), left_out (it has more than it may), split (blocks that were too large), split_rows (rows in those),
          oversized (blocks that stayed too large: none of their pairs come from this rule), oversized_rows

Pairs are of the first rows of records. See `copies` for those of equal records, of which `blocks` counts a few.
`false_share` describes `thresholds`. The weight of a pattern and the pair's frequency add up to the weight of the pair.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.model import Comparison, Level, Model, Rule
from cji_core.operations.link.outputs import BLOCKS, LEVELS, PAIRS, PATTERNS, THRESHOLDS
from cji_operations.link.blocking import Counted
from cji_operations.link.false_share import sums, thresholds
from cji_operations.link.rows import Rows, batch, parts
from cji_operations.link.score import Pairs, Weights, probability
from cji_operations.link.training import Trained

Floats = npt.NDArray[np.float64]

_PATTERNS: Final = 1 << 12  # in a batch: their words are long


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Summary:
    """Common to all pairs of one job; `new_pairs` int64 by rule. `scores` are those of `thresholds`."""

    weights: Weights
    model: Model
    trained: Trained
    blocks: Sequence[tuple[Rule, Counted]]
    new_pairs: Ints
    scores: Sequence[float]

    def of_pairs(self, codes: Ints, counts: Ints, summed: Ints) -> tuple[dict[str, Iterator[pa.RecordBatch]], Floats]:
        """(the parts by name, float64[k]: the weight of each pattern without frequencies).

        codes int64[k], ascending: the patterns of the listed pairs; counts int64[k]: pairs of each; the `sums` of all.
        """
        levels = self.weights.radix.levels(codes)
        weights, dependence, relatives = self.weights.of(levels)
        found = {
            PATTERNS.name: self._patterns(levels, (weights, dependence, relatives), counts),
            LEVELS.name: iter([self._levels()]),
            BLOCKS.name: iter([self._blocks()]),
            THRESHOLDS.name: thresholds(summed, self.scores),
        }
        return found, weights

    def _patterns(
        self, levels: npt.NDArray[np.int8], bits: tuple[Floats, Floats, Floats], counts: Ints
    ) -> Iterator[pa.RecordBatch]:
        weights, dependence, relatives = bits
        words = [
            pa.array([None, *(_added(one, *each) for each in zip(one.levels, of_level, strict=True))], pa.utf8())
            for one, of_level in zip(self.model.comparisons, self.weights.of_level, strict=True)
        ]
        prior = pa.scalar(f"prior {self.weights.base:+.1f}")
        for part in parts(len(levels), _PATTERNS):
            some = np.ascontiguousarray(levels[part])
            n, width = some.shape
            added = [of_one.take(arrow.from_numpy(column + 1)) for of_one, column in zip(words, some.T, strict=True)]
            added.append(_bits("levels that come together", dependence[part]))
            if self.weights.of_relatives is not None:
                added.append(_bits("relatives", relatives[part]))
            offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
            yield batch(
                PATTERNS,
                np.arange(part.start, part.start + n),
                counts[part],
                weights[part],
                dependence[part],
                relatives[part],
                arrow.from_lists(offsets, some.reshape(-1), pa.list_(pa.int8())),
                pc.binary_join_element_wise(prior, *added, "; ", null_handling="skip"),
            )

    def _levels(self) -> pa.RecordBatch:
        none = None, None, None
        rows: list[tuple[str | int | float | None, ...]] = [
            ("", 0, None, None, self.weights.base, self._prior(), *none)
        ]
        if self.weights.of_relatives is not None:
            rows.append(("relatives", 0, None, None, self.weights.of_relatives, self._relatives(), *none))
        for one, of_m, of_u, weights in zip(
            self.model.comparisons, self.trained.m, self.trained.u, self.weights.of_level, strict=True
        ):
            for number, level in enumerate(one.levels):
                m, u = float(of_m[number]), float(of_u[number])
                same = [condition.column for condition in level.conditions if condition.test == "same"]
                words = _words(one, level, m, u), level.label, " ".join(one.columns), " ".join(dict.fromkeys(same))
                rows.append((one.name, number, m, u, float(weights[number]), *words))
        schema = LEVELS.schema.arrow
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _prior(self) -> str:
        share = f"of two records taken at random, one pair in {_short(1 / self.trained.prior)} is of one person"
        match self.trained.basis:
            case None:
                return f"{share}, as the model has it"
            case 0:
                return f"{share}: assumed, because the deterministic rules find no pair"
            case pairs:
                return f"{share}: estimated from the {pairs} pairs that the deterministic rules find"

    def _relatives(self) -> str:
        shared = ", ".join(one.name for one in self.model.comparisons if one.shared)
        return (
            f"of two records taken at random, one pair in {_short(1 / self.trained.relatives)} is of two relatives, "
            f"who have in common what one person's records have: {shared}; these do not count against relatives"
        )

    def _blocks(self) -> pa.RecordBatch:
        counted = [one for _, one in self.blocks]
        return pa.RecordBatch.from_arrays(
            [
                pa.array([rule.label for rule, _ in self.blocks], pa.utf8()),
                pa.array([one.number for one in counted], pa.uint64()),
                pa.array([one.largest for one in counted], pa.uint64()),
                pa.array([one.pairs for one in counted], pa.uint64()),
                pa.array(self.new_pairs.tolist(), pa.uint64()),
                pa.array([one.left_out for one in counted], pa.bool_()),
                pa.array([one.split for one in counted], pa.uint64()),
                pa.array([one.split_rows for one in counted], pa.uint64()),
                pa.array([one.oversized for one in counted], pa.uint64()),
                pa.array([one.oversized_rows for one in counted], pa.uint64()),
            ],
            schema=BLOCKS.schema.arrow,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Report(Summary):
    """The outputs of one job; `least` is the weight from which a pair is a match.

    `pairs` are of rows, root int64[n] is the lowest row of the cluster of each.
    """

    pairs: Pairs
    root: Ints
    rows: Rows
    least: float

    def batches(self) -> dict[str, Iterator[pa.RecordBatch]]:
        """The parts by name."""
        pairs, root = self.pairs, self.root
        codes, pattern, counts = np.unique(pairs.pattern, return_inverse=True, return_counts=True)
        found, weights = self.of_pairs(codes, counts, sums(pairs.weight, self.scores))
        joined = root[pairs.left] == root[pairs.right]
        return {
            PAIRS.name: pair_batches(pairs, joined, self.rows, least=self.least, pattern=pattern, weights=weights)
        } | found


def pair_batches(
    pairs: Pairs, joined: Bools, rows: Rows, *, least: float, pattern: Ints, weights: Floats
) -> Iterator[pa.RecordBatch]:
    """The output of pairs of `rows`; joined bool[p]: in one cluster. pattern int64[p]: its place in `weights`."""
    for part in parts(len(pairs)):
        left, right, weight = pairs.left[part], pairs.right[part], pairs.weight[part]
        yield batch(
            PAIRS,
            rows.numbered(left),
            rows.positions(right),
            rows.named(left),
            rows.named(right),
            weight,
            weight - weights[pattern[part]],
            probability(weight),
            pattern[part],
            weight >= least,
            joined[part],
        )


def _bits(name: str, bits: Floats) -> pa.Array:
    """`relatives -1.2`; null where nothing is added."""
    return pa.array([f"{name} {value:+.1f}" if value else None for value in bits.tolist()], pa.utf8())


def _added(comparison: Comparison, level: Level, weight: float) -> str:
    """The weight that a level adds: `surname: the same +6.1`."""
    return f"{comparison.name}: {level.label} {weight:+.1f}"


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

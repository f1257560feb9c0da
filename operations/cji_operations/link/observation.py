"""The pairs that training looks at, as patterns: pairs taken at random, and samples of what each rule brings together.

Every draw is a hash of numbers of rows or pairs, so the same pairs are taken however rows are divided and ordered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec.structs import replace

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Model, Rule
from cji_operations.kernels import hashing
from cji_operations.link.blocking import CHUNK, WEIGHT, Blocking, Counted
from cji_operations.link.comparison import Comparer
from cji_operations.link.facts import Facts
from cji_operations.link.patterns import NONE, Patterns, Radix, compared

_RANDOM: Final = 1 << 32
"""The number of a draw that is not of a rule."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Observed:
    """Patterns of random pairs, of every blocking rule, and of the rule of relatives.

    `found`: how many pairs the deterministic rules find.
    """

    random: Patterns
    by_rule: Sequence[tuple[Rule, Counted, Patterns]]
    household: tuple[Counted, Patterns] | None
    found: int


def is_trained(model: Model, facts: Facts) -> bool:
    """Whether some m or u is to be learnt, and there are pairs to learn it from."""
    levels = [level for comparison in model.comparisons for level in comparison.levels]
    return facts.n >= 2 and any(level.m is None or level.u is None for level in levels)


def observe(
    comparers: Sequence[Comparer],
    facts: Facts,
    parameters: Link,
    *,
    model: Model,
    blocking: Blocking,
    deterministic: Blocking,
    relatives: Blocking,
) -> Observed:
    """Of a table with all rows, to which all rules are bound."""
    radix = Radix.of(model.comparisons)
    trained = is_trained(model, facts)
    chunks = random_pairs(facts, parameters, 0, random_total(facts, parameters)) if trained else iter(())
    random = compared(comparers, ((0, left, right, None, None) for left, right in chunks), radix)
    rules = [(blocking, number) for number in range(len(blocking.rules)) if trained]
    households = [(relatives, number) for number in range(len(relatives.rules))]
    found = sampled(comparers, [*rules, *households], facts, parameters)
    by_rule, of_household = found[: len(rules)], found[len(rules) :]
    return Observed(
        random=random.get(0, NONE),
        by_rule=[
            (one.rule, counted(one.counted, patterns, parameters), patterns)
            for one, patterns in zip(blocking.rules, by_rule, strict=False)
        ],
        household=next(
            (
                (counted(one.counted, patterns, parameters), patterns)
                for one, patterns in zip(relatives.rules, of_household, strict=True)
            ),
            None,
        ),
        found=found_by(deterministic),
    )


def counted(found: Counted, sample: Patterns, parameters: Link) -> Counted:
    """A rule's blocks with the number of its pairs, from the sample where blocks may have one several times."""
    return replace(found, pairs=sample.pairs // WEIGHT) if parameters.has_units else found


def sampled(
    comparers: Sequence[Comparer], rules: Sequence[tuple[Blocking, int]], facts: Facts, parameters: Link
) -> list[Patterns]:
    """The patterns of a sample of the pairs that each rule has here, given by a set and its number there.

    Of all tasks' pairs, not many more than `training_pairs` of a rule are taken.
    """
    share = parameters.training_pairs / max(facts.n, 1)

    def chunks() -> Iterator[tuple[int, Ints, Ints, Bools, Ints]]:
        for source, (blocking, number) in enumerate(rules):
            unsplit = blocking.unsplit()
            for left, right, weight in blocking.sample(number, share, parameters.seed):
                yield source, left, right, unsplit.new(number, left, right), weight

    found = compared(comparers, chunks(), Radix.of([one.comparison for one in comparers]))
    return [found.get(source, NONE) for source in range(len(rules))]


def found_by(deterministic: Blocking) -> int:
    """How many pairs these rules find here, each under the first rule in whose keys its rows agree."""
    return sum(len(left) for _, _, left, _ in deterministic.chunks(deterministic.unsplit()))


def random_total(facts: Facts, parameters: Link) -> int:
    """How many pairs are taken at random; all of them where those are fewer."""
    return min(facts.drawn, parameters.random_pairs)


def random_pairs(facts: Facts, parameters: Link, start: int, stop: int) -> Iterator[tuple[Ints, Ints]]:
    """Chunks of the random pairs of these numbers: different units, one of each table where there are two."""
    n, cut = facts.n, facts.first_of_second
    every = facts.drawn <= parameters.random_pairs
    ends = np.cumsum(n - 1 - np.arange(n)) if every and cut is None else np.empty(0, np.int64)
    for first in range(start, stop, CHUNK):
        number = np.arange(first, min(first + CHUNK, stop))
        if every and cut is None:
            left = np.searchsorted(ends, number, side="right")
            yield left, n - (ends[left] - number)
        elif every:
            yield number // (n - (cut or 0)), (cut or 0) + number % (n - (cut or 0))
        else:
            one, other = (hashing.draws(parameters.seed, _RANDOM + side, number) for side in (0, 1))
            if cut is None:
                left = hashing.below(one, n)
                yield left, (left + 1 + hashing.below(other, n - 1)) % n
            else:
                yield hashing.below(one, cut), cut + hashing.below(other, n - cut)

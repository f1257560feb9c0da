"""Estimates m and u of every level, and the prior probability of a match, from the records.

u comes from pairs of rows taken at random, each weighed by the probability that it does not match: where most pairs
that agree on a date of birth are one person's, the agreement of strangers is rarer than the share of pairs that agree.
m comes from blocked pairs by EM, rule by rule; a comparison takes no part for rules that look at one of its columns,
because all pairs there agree. The prior never comes from blocked pairs.

The two depend on each other, so both are repeated a few times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.compute.kernels import em
from worker.compute.kernels.column import Ints
from worker.compute.kernels.em import Levels
from worker.compute.kernels.equal_rows import numbered
from worker.compute.kernels.pairs import blocks
from worker.compute.operations.link.blocking import CHUNK, Blocked, Blocking, every_pair
from worker.compute.operations.link.columns import Table
from worker.compute.operations.link.comparison import Comparer, levels
from worker.compute.operations.link.model import Comparison, Condition, Model
from worker.compute.operations.link.parameters import Link

Floats = npt.NDArray[np.float64]

_ROUNDS: Final = 4
_PRIOR_PAIRS: Final = 20.0
"""The initial m counts as much as this number of matches."""
_DRAWS: Final = 1 << 14
_LEAST_RECALL: Final = 0.05
_LEAST_COMPARISONS: Final = 2
"""With fewer free comparisons, share and m cannot be separated."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trained:
    """m and u of every comparison's levels, and the probability that two records taken at random match."""

    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    prior: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Patterns:
    """Distinct patterns, levels int8[p, c], and how many pairs have each; `free` bool[c]: may be learnt from."""

    levels: Levels
    counts: Floats
    free: npt.NDArray[np.bool_]


def train(
    model: Model,
    table: Table,
    comparers: list[Comparer],
    parameters: Link,
    *,
    blocking: Blocking,
    deterministic_rules: Blocking,
) -> Trained:
    """Train what the model does not give; `blocking` and `deterministic_rules` are its rules, bound to the table."""
    rng = np.random.default_rng(parameters.seed)
    deterministic_pairs = sum(len(left) for _, _, left, _ in deterministic_rules.chunks())
    given = [_given(comparison) for comparison in model.comparisons]
    initial_m = [_initial_m(comparison) for comparison in model.comparisons]
    m = [initial if of_m is None else of_m for initial, (of_m, _) in zip(initial_m, given, strict=True)]
    u = [_initial_u(len(values)) if of_u is None else of_u for values, (_, of_u) in zip(initial_m, given, strict=True)]
    if all(of_m is not None and of_u is not None for of_m, of_u in given) or table.n < 2:
        return Trained(m=tuple(m), u=tuple(u), prior=_prior(model, table, deterministic_pairs, m))
    random = _patterns(comparers, _random_pairs(table, parameters.random_pairs, rng))
    # a sample of the pairs of a wide rule has hardly any matches
    narrow = [one.rule.most_pairs is None or one.blocks.pairs <= parameters.training_pairs for one in blocking.rules]
    by_rule = [
        _patterns(comparers, blocking.sample(i, parameters.training_pairs, rng), one)
        for i, one in enumerate(blocking.rules)
        if one.rule.keys and one.blocks.pairs and (narrow[i] or not any(narrow))
    ]
    by_rule = [one for one in by_rule if np.count_nonzero(one.free) >= min(_LEAST_COMPARISONS, len(comparers))]
    for _ in range(_ROUNDS):
        prior = _prior(model, table, deterministic_pairs, m)
        of_two = random.counts * (1 - em.match_probability(em.log_ratio(random.levels, m, u), prior))
        u = [
            em.shares(column, of_two, np.full(len(old), 0.5 / len(old))) if of_u is None else of_u
            for column, old, (_, of_u) in zip(random.levels.T, u, given, strict=True)
        ]
        found = _matches(by_rule, initial_m, m, u)
        m = [new if of_m is None else of_m for new, (of_m, _) in zip(found, given, strict=True)]
    return Trained(m=tuple(m), u=tuple(u), prior=_prior(model, table, deterministic_pairs, m))


def _prior(model: Model, table: Table, deterministic_pairs: int, m: Sequence[Floats]) -> float:
    """The pairs that deterministic rules find, over their recall and all pairs; at least one pair is taken to match."""
    if model.prior is not None:
        return model.prior
    recall = _recall(model, table, m) if model.recall is None else model.recall
    return min(max(deterministic_pairs / recall, 1.0) / max(table.all_pairs, 1), 0.5)


def _recall(model: Model, table: Table, m: Sequence[Floats]) -> float:
    """The share of matches that the deterministic rules find, if errors in one column are independent of the others.

    A column agrees in a match as often as the first level of its comparison holds, where both records have a value.
    Worked out by chance: _DRAWS matches, and which of their columns agree.
    """
    agrees = {
        comparison.columns[0]: float(of_m[0])
        for comparison, of_m in zip(model.comparisons, m, strict=True)
        if comparison.levels[0].conditions == (Condition(column=comparison.columns[0]),)
    }
    rng = np.random.default_rng(0)
    agree = {
        name: rng.random(_DRAWS) < agrees.get(name, 1.0) * table.columns[name].filled ** 2
        for name in sorted({key.column for rule in model.deterministic_rules for key in rule.keys})
    }
    found = np.zeros(_DRAWS, np.bool_)
    for rule in model.deterministic_rules:
        found |= np.all([agree[key.column] for key in rule.keys], axis=0)
    return max(float(found.mean()), _LEAST_RECALL)


def _given(comparison: Comparison) -> tuple[Floats | None, Floats | None]:
    m = [level.m for level in comparison.levels if level.m is not None]
    u = [level.u for level in comparison.levels if level.u is not None]
    return (np.array(m) if m else None), (np.array(u) if u else None)


def _initial_m(comparison: Comparison) -> Floats:
    """M before training: the model's, or falling from level to level."""
    values = np.array(comparison.initial_m or [0.5**i for i in range(len(comparison.levels))])
    normal: Floats = values / values.sum()
    return normal


def _initial_u(k: int) -> Floats:
    """U before training: agreement is rare."""
    return np.array([*[0.05 / (k - 1)] * (k - 1), 0.95])


def _random_pairs(table: Table, most: int, rng: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    """Chunks of pairs of different rows, one of each table where there are two; all pairs where those are fewer."""
    n, cut = table.n, table.first_of_second
    if table.all_pairs <= most:
        yield from every_pair(blocks(np.zeros(n, np.int32), table.second))
        return
    for start in range(0, most, CHUNK):
        size = min(CHUNK, most - start)
        if cut is None:
            left = rng.integers(0, n, size)
            yield left, (left + rng.integers(1, n, size)) % n
        else:
            yield rng.integers(0, cut, size), rng.integers(cut, n, size)


def _patterns(comparers: list[Comparer], pairs: Iterator[tuple[Ints, Ints]], of: Blocked | None = None) -> _Patterns:
    """The patterns of these pairs: a sample of a rule's, each of which then stands for several, or random ones."""
    distinct, counts = np.empty((0, len(comparers)), np.int8), np.empty(0)
    for left, right in pairs:
        found = np.concatenate((distinct, levels(comparers, left, right).T))
        number = numbered(found.view(np.uint8))
        distinct = np.empty((int(number.max(initial=-1)) + 1, len(comparers)), np.int8)
        distinct[number] = found
        counts = np.bincount(number, np.append(counts, np.ones(len(left))), len(distinct)).astype(np.float64)
    columns = frozenset[str]() if of is None else frozenset(key.column for key in of.rule.keys)
    free = np.array([columns.isdisjoint(one.comparison.columns) for one in comparers])
    weight = 1.0 if of is None else of.blocks.pairs / counts.sum()
    return _Patterns(levels=distinct, counts=weight * counts, free=free)


def _matches(
    by_rule: Sequence[_Patterns], initial_m: Sequence[Floats], m: Sequence[Floats], u: Sequence[Floats]
) -> list[Floats]:
    """M of every comparison: EM for each rule over its free comparisons, pooled by how many matches each rule has."""
    totals = [_PRIOR_PAIRS * values for values in initial_m]
    for one in by_rule:
        free = np.flatnonzero(one.free).tolist()
        seen = np.ascontiguousarray(one.levels[:, free])
        of_u = [u[i] for i in free]
        fit = em.maximise(
            seen,
            one.counts,
            m=[m[i] for i in free],
            u=of_u,
            share=0.3,
            prior_pairs=_PRIOR_PAIRS,
        )
        matches = one.counts * em.match_probability(em.log_ratio(seen, fit.m, of_u), fit.share)
        for i, column in zip(free, seen.T, strict=True):
            present = column >= 0
            totals[i] = totals[i] + np.bincount(column[present], matches[present], len(totals[i]))
    return [values / values.sum() for values in totals]

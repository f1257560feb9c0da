"""Estimates m and u of every level, and the prior probability of a match, from the records.

u comes from pairs of rows taken at random, each weighed by the probability that it does not match: where most pairs
that agree on a date of birth are one person's, the agreement of strangers is rarer than the share of pairs that agree.

m comes from blocked pairs, first by EM, rule by rule. A comparison takes no part for rules that look at one of its
columns, because all pairs there agree. Nor does one that is shared for rules that look at nothing else: most pairs of
one surname and address are of relatives, whom EM would take for one person. The share of matches of a rule is bounded
by the prior, a level's m by its `most_m`, and that of a difference by its u. But the matches of a rule have no error in
its columns, and those with one error then have it in another one; so m is refined over the pairs of all rules, each
weighed by the probability that it matches, with the prior held, and over the matches that all rules miss.

All depend on each other, so both are repeated a few times. Last comes what is not independent: levels that strangers
reach together (`dependence`), learnt when m separates most matches, since a match in the random pairs would look like
a tie of everything to everything; and pairs of one person with many errors (`poor_records`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from cji_core.operations.link.declaration import Link
from cji_core.operations.link.model import Comparison, Model, Rule
from cji_operations.kernels import em
from cji_operations.kernels.em import Levels
from cji_operations.link.blocking import Counted
from cji_operations.link.dependence import Strangers, Ties, learn
from cji_operations.link.facts import Facts
from cji_operations.link.observation import Observed, is_trained
from cji_operations.link.patterns import Patterns, Radix
from cji_operations.link.poor_records import Matches, fit
from cji_operations.link.prior import Prior

Floats = npt.NDArray[np.float64]
_Given = tuple[Floats | None, Floats | None]

_ROUNDS: Final = 4
_REFINEMENTS: Final = 3
_TIE_ROUNDS: Final = 2
_PRIOR_PAIRS: Final = 20.0
"""The initial m counts as much as this number of matches."""
_SLACK: Final = 1.25
"""A rule may find so many times the matches that are expected of it."""
_MOST_SHARE: Final = 0.999
_LEAST_COMPARISONS: Final = 2
"""With fewer free comparisons, share and m cannot be separated."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """m and u of every comparison's levels, and the probability that two records taken at random match.

    `basis`: the number of pairs that the prior was estimated from; None where the model gives it. `relatives`: the
    probability that two records taken at random are of two persons of one household. `ties`: levels that strangers
    reach together. `poor`: m of the pairs of one person in which a record has many errors, and the share of such pairs.
    """

    m: tuple[tuple[float, ...], ...]
    u: tuple[tuple[float, ...], ...]
    prior: float
    basis: int | None
    relatives: float
    ties: Ties
    poor: tuple[tuple[float, ...], ...]
    poor_share: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _OfRule:
    """A rule's patterns, levels int8[p, c], how many pairs have each, and of these, how many are of no earlier rule.

    `narrow`: it has few, or all are in the sample, so that it may have matches.
    """

    rule: Rule
    levels: Levels
    counts: Floats
    first: Floats
    narrow: bool


def train(model: Model, facts: Facts, observed: Observed, parameters: Link) -> Trained:
    """Train what the model does not give."""
    radix = Radix.of(model.comparisons)
    prior = Prior(
        model=model,
        facts=facts,
        found=observed.found,
        household=None if observed.household is None else _scaled(*observed.household, radix)[:2],
    )
    given = [_given(comparison) for comparison in model.comparisons]
    initial_m = [_initial_m(comparison) for comparison in model.comparisons]
    m = [initial if of_m is None else of_m for initial, (of_m, _) in zip(initial_m, given, strict=True)]
    u = [_initial_u(len(values)) if of_u is None else of_u for values, (_, of_u) in zip(initial_m, given, strict=True)]
    strangers, matches = Strangers(u), Matches(m, m, 0.0)
    if is_trained(model, facts):
        random, counts = radix.levels(observed.random.number), observed.random.counts.astype(np.float64)
        by_rule = _by_rule(observed, radix, parameters)
        share = 1 / max(facts.all_pairs, 2)
        for _ in range(_ROUNDS):
            of_two = _of_two(random, counts, m, strangers, share)
            u = [
                em.shares(column, of_two, np.full(len(old), 0.5 / len(old))) if of_u is None else of_u
                for column, old, (_, of_u) in zip(random.T, u, given, strict=True)
            ]
            strangers = Strangers(u)
            found = _matches(by_rule, prior, initial_m, m, strangers)
            m = [new if of_m is None else of_m for new, (of_m, _) in zip(found, given, strict=True)]
            share = prior.estimate(m, strangers)
        for _ in range(_TIE_ROUNDS):
            of_two = _of_two(random, counts, m, strangers, share)
            of_strangers = of_two * prior.are_strangers(random, m, strangers)
            strangers = Strangers(u, learn(random, of_strangers, u, trained=[of_u is None for _, of_u in given]))
        for _ in range(_REFINEMENTS):
            found = _refined(by_rule, prior, initial_m, m, strangers)
            m = [new if of_m is None else of_m for new, (of_m, _) in zip(found, given, strict=True)]
        u = _all_capped(model, m, u, given)
        strangers, matches = Strangers(u, strangers.ties), Matches(m, m, 0.0)
        if by_rule and all(of_m is None for of_m, _ in given):
            matches = _with_poor_records(by_rule, prior, m, strangers)
    return Trained(
        m=tuple(tuple(values.tolist()) for values in m),
        u=tuple(tuple(values.tolist()) for values in u),
        prior=float(prior.estimate(m, strangers)),
        basis=prior.basis,
        relatives=float(prior.relatives(m, strangers)),
        ties=strangers.ties,
        poor=tuple(tuple(values.tolist()) for values in matches.poor),
        poor_share=matches.share,
    )


def _all_capped(model: Model, m: Sequence[Floats], u: Sequence[Floats], given: Sequence[_Given]) -> list[Floats]:
    """U of all comparisons, see `_capped`; what the model gives stays."""
    return [
        _capped(comparison, of_m, old) if of_u is None else of_u
        for comparison, of_m, old, (_, of_u) in zip(model.comparisons, m, u, given, strict=True)
    ]


def _of_two(random: Levels, counts: Floats, m: Sequence[Floats], strangers: Strangers, share: float) -> Floats:
    """float64[p]: how many of the random pairs of each pattern are of two persons."""
    found: Floats = counts * (1 - em.match_probability(strangers.log_ratio(random, m), share))
    return found


def _with_poor_records(by_rule: Sequence[_OfRule], prior: Prior, m: Sequence[Floats], strangers: Strangers) -> Matches:
    """Pairs of one person with few and with many errors, over the pairs of all rules, each pair once."""
    share, relatives = prior.estimate(m, strangers), prior.relatives(m, strangers)
    levels, counts = np.concatenate([one.levels for one in by_rule]), np.concatenate([one.first for one in by_rule])
    return fit(
        np.ascontiguousarray(levels.T),
        counts,
        m,
        prior.posteriors(levels, m, strangers, share=share, relatives=relatives),
    )


def _capped(comparison: Comparison, m: Floats, u: Floats) -> Floats:
    """U of which no level that is capped weighs more than it would in one level with those above it.

    What it has more, the last one has less.
    """
    found = u.copy()
    for number, level in enumerate(comparison.levels):
        if level.capped:
            together = found[: number + 1].sum() / m[: number + 1].sum()
            found[number] = max(found[number], m[number] * together)
    found[-1] = max(found[-1] - (found.sum() - u.sum()), found[-1] / 2)
    normal: Floats = found / found.sum()
    return normal


def _by_rule(observed: Observed, radix: Radix, parameters: Link) -> list[_OfRule]:
    found = list[_OfRule]()
    for rule, counted, patterns in observed.by_rule:
        if counted.pairs and not counted.left_out:
            levels, counts, first = _scaled(counted, patterns, radix)
            narrow = rule.most_pairs is None or counted.pairs <= parameters.training_pairs
            found.append(_OfRule(rule=rule, levels=levels, counts=counts, first=first, narrow=narrow))
    return found


def _scaled(counted: Counted, sample: Patterns, radix: Radix) -> tuple[Levels, Floats, Floats]:
    """(levels, float64[p]: the rule's pairs that each pattern of its sample stands for, and how many are first)."""
    weight = np.float64(counted.pairs / max(sample.pairs, 1))
    return radix.levels(sample.number), weight * sample.counts, weight * sample.first


def _given(comparison: Comparison) -> _Given:
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


def _free(rule: Rule, comparisons: Sequence[Comparison]) -> list[int]:
    """The comparisons that may be learnt from the pairs of a rule; none where there are too few."""
    keys = {name for key in rule.keys for name in key.columns}
    shared = {name for one in comparisons if one.shared for name in one.columns}
    free = [
        i for i, one in enumerate(comparisons) if keys.isdisjoint(one.columns) and not (one.shared and keys <= shared)
    ]
    return free if keys and len(free) >= min(_LEAST_COMPARISONS, len(comparisons)) else []


def _matches(
    by_rule: Sequence[_OfRule],
    prior: Prior,
    initial_m: Sequence[Floats],
    m: Sequence[Floats],
    strangers: Strangers,
) -> list[Floats]:
    """M of every comparison: EM for each rule over its free comparisons, pooled by how many matches each rule has."""
    comparisons, share = prior.model.comparisons, prior.estimate(m, strangers)
    totals = [_PRIOR_PAIRS * values for values in initial_m]
    most = _most(prior.model, strangers.u)
    for one in [of_rule for of_rule in by_rule if of_rule.narrow] or by_rule:
        free = _free(one.rule, comparisons)
        if not free:
            continue
        seen = np.ascontiguousarray(one.levels[:, free])
        of_u = [strangers.u[i] for i in free]
        fit = em.maximise(
            seen,
            one.counts,
            m=[m[i] for i in free],
            most=[most[i] for i in free],
            u=of_u,
            share=0.3,
            most_share=min(_SLACK * prior.expected(one.rule, m, share) / float(one.counts.sum()), _MOST_SHARE),
            prior_pairs=_PRIOR_PAIRS,
        )
        matches = one.counts * em.match_probability(em.log_ratio(seen, fit.m, of_u), fit.share)
        for i, column in zip(free, seen.T, strict=True):
            present = column >= 0
            totals[i] = totals[i] + np.bincount(column[present], matches[present], len(totals[i]))
    return [em.capped(values / values.sum(), limit) for values, limit in zip(totals, most, strict=True)]


def _refined(
    by_rule: Sequence[_OfRule],
    prior: Prior,
    initial_m: Sequence[Floats],
    m: Sequence[Floats],
    strangers: Strangers,
) -> list[Floats]:
    """M of every comparison, over the pairs of all rules, each pair once, and the matches that all rules miss."""
    share, relatives = prior.estimate(m, strangers), prior.relatives(m, strangers)
    totals = [_PRIOR_PAIRS * values for values in initial_m]
    found = 0.0
    for one in by_rule:
        matches = one.first * prior.posteriors(one.levels, m, strangers, share=share, relatives=relatives)()
        for i, column in enumerate(one.levels.T):
            present = column >= 0
            totals[i] = totals[i] + np.bincount(column[present], matches[present], len(totals[i]))
        found += float(matches.sum())
    missed, levels_of = prior.missed([of_rule.rule for of_rule in by_rule], m)
    totals = [
        values + found * missed / (1 - missed) * of_missed for values, of_missed in zip(totals, levels_of, strict=True)
    ]
    most = _most(prior.model, strangers.u)
    return [em.capped(values / values.sum(), limit) for values, limit in zip(totals, most, strict=True)]


def _most(model: Model, u: Sequence[Floats]) -> list[Floats]:
    """The limits of m: those of the model, and u for a comparison's last level, which says that the values differ.

    Where hardly any values differ, as the states of a county's records, m would be what was assumed before that, and
    a difference would be evidence for a match.
    """
    limits = [np.array([level.most_m for level in comparison.levels]) for comparison in model.comparisons]
    for limit, of_u in zip(limits, u, strict=True):
        if limit[:-1].sum() + of_u[-1] > 1:
            limit[-1] = min(limit[-1], of_u[-1])
    return limits

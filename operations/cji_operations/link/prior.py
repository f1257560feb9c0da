"""How many pairs match, and how many are of relatives, by rules that are counted and by m and u.

Deterministic rules find hardly anything but matches: the prior is the number of pairs that they find, without those
that agree by chance, over the share of matches that they can find. It never comes from the blocked pairs that EM looks
at, whose share of matches says nothing of all pairs; the other way round, it bounds that share.

Relatives are alike in what is shared as one person's records are. Of the pairs that the rule `relatives` brings
together, those are of relatives that other comparisons do not show to be of one person.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cji_core.format.records.column import Bools
from cji_core.operations.link.model import Model, Rule
from cji_operations.kernels import em
from cji_operations.kernels.em import Levels
from cji_operations.link.dependence import LN2, Strangers
from cji_operations.link.facts import Facts

Floats = npt.NDArray[np.float64]

_DRAWS: Final = 1 << 14
_LEAST_RECALL: Final = 0.05
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Prior:
    """The rules of a model on all rows; the deterministic ones find `found` pairs.

    household (levels int8[p, c], counts float64[p]): the pairs that the rule of relatives finds, None without one.
    """

    model: Model
    facts: Facts
    found: int
    household: tuple[Levels, Floats] | None = None

    @property
    def basis(self) -> int | None:
        """The number of pairs that the prior is estimated from, None where the model gives it."""
        return self.found if self.model.prior is None else None

    def estimate(self, m: Sequence[Floats], strangers: Strangers) -> float:
        """The share of matches among all pairs; not less than one pair, and at most half of all.

        Where the model gives the recall, its rules are taken to find nothing but matches.
        """
        if self.model.prior is not None:
            return self.model.prior
        if self.model.recall is not None:
            matches = self.found / self.model.recall
        else:
            matches = (self.found - self._by_chance(self.model.deterministic_rules, strangers)) / self._recall(m)
        return min(max(matches, 1.0) / max(self.facts.all_pairs, 1), 0.5)

    def expected(self, rule: Rule, m: Sequence[Floats], prior: float) -> float:
        """How many matches a rule finds, at most: those that have all keys, and agree in those that are whole."""
        agrees, facts = self._agreement(m), self.facts
        share = math.prod(
            (agrees.get(name, 1.0) if key.form == "whole" else 1.0) * facts.share(name) ** 2
            for key in rule.keys
            for name in key.columns
        )
        return prior * self.facts.all_pairs * share

    def relatives(self, m: Sequence[Floats], strangers: Strangers) -> float:
        """The share of pairs of relatives among all pairs."""
        rule = self.model.relatives
        if rule is None or self.household is None or not len(self.household[0]):
            return 0.0
        levels, counts = self.household
        share = em.share_of(self._telling_ratio(levels, m, strangers), counts)
        # a tie of surname and address is what relatives are: without ties, by chance
        others = float(counts.sum()) * (1 - share) - self._by_chance((rule,), Strangers(strangers.u))
        found = self.expected(rule, m, 1.0)  # of all pairs of a household, so many agree in the keys of the rule
        return min(max(others, 0.0) / max(found, 1.0), 0.5)

    def are_strangers(self, levels: Levels, m: Sequence[Floats], strangers: Strangers) -> Floats:
        """float64[p]: the probability that a pair of two persons of each pattern is of no relatives, levels int8[p, c].

        A tie of surname and address that relatives make would count them a second time.
        """
        only = levels.copy()
        only[:, [i for i, comparison in enumerate(self.model.comparisons) if not comparison.shared]] = -1
        return 1 - em.match_probability(strangers.log_ratio(only, m), max(self.relatives(m, strangers), _TINY))

    def posteriors(
        self, levels: Levels, m: Sequence[Floats], strangers: Strangers, *, share: float, relatives: float
    ) -> Callable[..., Floats]:
        """From the excess of one person's levels, bits or nothing, to the probability that a pair of each pattern,
        levels int8[p, c], is a match, neither of strangers nor of relatives: float64[p].
        """  # noqa: D205 - one sentence
        ratio = strangers.log_ratio(levels, m)
        telling = self._telling_ratio(levels, m, strangers) if relatives else None

        def found(excess: Floats | float = 0.0) -> Floats:
            alone = em.match_probability(ratio + LN2 * excess, share)
            if telling is None:
                return alone
            against = em.match_probability(telling + LN2 * excess, share / (share + relatives))
            # odds are the inverse of 1 / p - 1, and the chances of both are added
            both: Floats = 1 / (1 / np.maximum(alone, _TINY) + 1 / np.maximum(against, _TINY) - 1)
            return both

        return found

    def _telling_ratio(self, levels: Levels, m: Sequence[Floats], strangers: Strangers) -> Floats:
        """float64[p]: ln(m/u) of the comparisons that tell relatives apart."""
        only = levels.copy()
        only[:, [i for i, comparison in enumerate(self.model.comparisons) if comparison.shared]] = -1
        return strangers.log_ratio(only, m)

    def _agreement(self, of_level: Sequence[Floats]) -> dict[str, float]:
        """How often two values of a column are equal, by the first level of its comparison; 1 without one."""
        return {
            comparison.columns[0]: float(values[0])
            for comparison, values in zip(self.model.comparisons, of_level, strict=True)
            if comparison.equality(comparison.columns[0]) == 0
        }

    def _by_chance(self, rules: Sequence[Rule], strangers: Strangers) -> float:
        """How many pairs of strangers the rules find, at most, ties between their columns included."""
        agrees, facts = self._agreement(strangers.u), self.facts
        of_rule = [
            math.prod(agrees.get(name, 1.0) * facts.share(name) ** 2 for key in rule.keys for name in key.columns)
            for rule in rules
        ]
        return float(np.array(of_rule) @ np.exp2(strangers.excess(self._agreeing(rules)))) * self.facts.all_pairs

    def _agreeing(self, rules: Sequence[Rule]) -> Levels:
        """int8[c, r]: the levels of pairs that agree in the keys of each rule, and of which nothing else is known."""
        levels = np.full((len(self.model.comparisons), len(rules)), -1, np.int8)
        for i, comparison in enumerate(self.model.comparisons):
            column = comparison.columns[0]
            if comparison.equality(column) == 0:
                for number, rule in enumerate(rules):
                    if any(key.column == column for key in rule.keys):
                        levels[i, number] = 0
        return levels

    def missed(self, rules: Sequence[Rule], m: Sequence[Floats]) -> tuple[float, list[Floats]]:
        """(the share of matches that none of the rules finds, at most half; how often these have each level)."""
        levels, found = self._drawn(rules, m)
        missed = np.flatnonzero(~found)
        return min(len(missed) / _DRAWS, 0.5), [
            np.bincount(column[missed] + 1, minlength=len(of_m) + 1)[1:] / max(len(missed), 1)
            for column, of_m in zip(levels, m, strict=True)
        ]

    def _recall(self, m: Sequence[Floats]) -> float:
        """The share of matches that the deterministic rules find."""
        _, found = self._drawn(self.model.deterministic_rules, m)
        return max(float(found.mean()), _LEAST_RECALL)

    def _drawn(self, rules: Sequence[Rule], m: Sequence[Floats]) -> tuple[Levels, Bools]:
        """(levels int8[c, n] of matches, bool[n]: a rule finds them), drawn as if errors in columns were independent.

        A missing value has no level, and cannot be a key. A whole key is there where the first level of its column's
        comparison holds, another form of it where the values are not wholly different.
        """
        rng = np.random.default_rng(0)
        keys = {name for rule in rules for key in rule.keys for name in key.columns}
        names = sorted(keys.union(*(comparison.columns for comparison in self.model.comparisons)))
        there = {name: rng.random(_DRAWS) < self.facts.share(name) ** 2 for name in names}
        levels = np.empty((len(m), _DRAWS), np.int8)
        of_column = dict[str, int]()
        for i, (comparison, of_m) in enumerate(zip(self.model.comparisons, m, strict=True)):
            level = np.searchsorted(np.cumsum(of_m)[:-1], rng.random(_DRAWS), side="right")
            levels[i] = np.where(np.all([there[name] for name in comparison.columns], axis=0), level, -1)
            if comparison.equality(comparison.columns[0]) == 0:
                of_column[comparison.columns[0]] = i
        found = np.zeros(_DRAWS, np.bool_)
        for rule in rules:
            holds = np.ones(_DRAWS, np.bool_)
            for form, name in ((key.form, name) for key in rule.keys for name in key.columns):
                holds &= there[name]
                if name in of_column:
                    i = of_column[name]
                    holds &= levels[i] <= (0 if form == "whole" else len(m[i]) - 2)
            found |= holds
        return levels, found

"""The decision: for each conviction in scope the first rule that holds, or the fact that is missing to tell."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.clear.rules import When
from cji_operations.clear.conditions import CONDITIONS, Cause, in_county
from cji_operations.clear.facts import Facts
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth

CAUSES: Final = tuple(Cause)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decision:
    """The decision on c convictions.

    decided, open bool[c]: a rule holds; none does, although it is in scope. rule int64[c] is the rule that holds, or
    that cannot be evaluated, or -1; cause int64[c] a position in CAUSES, or -1.
    """

    decided: Bools
    open: Bools
    rule: Ints
    cause: Ints


def decide(facts: Facts, *, county: str) -> Decision:
    """Try the scope, then each rule in order. `county` "" is every county."""
    c, seen = len(facts.row), dict[Any, Truth]()
    rule, cause = np.full(c, -1), np.full(c, -1)
    scope, missing = _hold(facts, facts.rules.scope, seen)
    if county:
        here = in_county(facts, county)
        missing = np.where(here == UNKNOWN, CAUSES.index(Cause.COUNTY), missing)
        scope = np.minimum(scope, here)
    unknown = scope == UNKNOWN
    cause[unknown] = missing[unknown]
    nobody = (scope != NO) & (facts.subject == facts.rows.k)
    cause[nobody] = CAUSES.index(Cause.NO_SUBJECT)
    pending = (scope == YES) & ~nobody
    decided = np.zeros(c, np.bool_)
    for number, each in enumerate(facts.rules.rules):
        if not pending.any():
            break
        truth, missing = _hold(facts, each.when, seen)
        ends = pending & (truth != NO)
        rule[ends] = number
        decided |= ends & (truth == YES)
        unknown = ends & (truth == UNKNOWN)
        cause[unknown] = missing[unknown]
        pending &= ~ends
    cause[pending] = CAUSES.index(Cause.NO_RULE)
    return Decision(decided=decided, open=cause >= 0, rule=rule, cause=cause)


def _hold(facts: Facts, when: When, seen: dict[Any, Truth]) -> tuple[Truth, Ints]:
    """(Truth[c] that all conditions hold, int64[c] the cause of the first unknown one).

    `seen` has the conditions that a rule before had too.
    """
    truth, missing = np.full(len(facts.row), YES), np.full(len(facts.row), -1)
    for name, value in when.conditions():
        if (name, value) not in seen:
            seen[name, value] = CONDITIONS[name].holds(facts, value)
        one = seen[name, value]
        if (unknown := one == UNKNOWN).any():
            missing[unknown & (missing < 0)] = CAUSES.index(CONDITIONS[name].cause)
        truth = np.minimum(truth, one)
    return truth, missing

"""The decision: for each charge in scope the first rule that holds, or the fact that is missing to tell."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.clear.rules import NONE, Rule, Rules
from cji_core.operations.clear.when import When
from cji_operations.clear.conditions import CONDITIONS, Cause, in_county
from cji_operations.clear.counts import cases
from cji_operations.clear.facts import Facts
from cji_operations.clear.truth import NO, UNKNOWN, YES, Truth, any_of

CAUSES: Final = tuple(Cause)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Decision:
    """The decision on c charges.

    decided, open bool[c]: a rule holds; none does, although it is in scope. rule int64[c] is the rule that holds, or
    that cannot be evaluated, a position in `all_rules`, or -1; cause int64[c] a position in CAUSES, or -1.
    """

    decided: Bools
    open: Bools
    rule: Ints
    cause: Ints


def all_rules(rules: Rules) -> tuple[Rule, ...]:
    """The rules that may decide: those of the table, and the one that withholds relief from parts of a case."""
    whole = rules.whole_case
    if whole is None:
        return rules.rules
    return (*rules.rules, Rule(id=whole.id, relief=NONE, reason=whole.reason, source=whole.source))


def decide(facts: Facts, *, county: str) -> Decision:
    """Try the scope, then each rule in order. `county` "" is every county."""
    c, seen = len(facts.row), dict[Any, Truth]()
    rule, cause = np.full(c, -1), np.full(c, -1)
    scope, missing = _hold(facts, facts.rules.scope, seen)
    kind = facts.kinds.among(facts.rules.decides)
    missing = np.where(kind == UNKNOWN, CAUSES.index(Cause.DISPOSITION), missing)
    scope = np.minimum(scope, kind)
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
    found = Decision(decided=decided, open=cause >= 0, rule=rule, cause=cause)
    return found if facts.rules.whole_case is None else _of_whole_cases(facts, found, kind)


def _of_whole_cases(facts: Facts, found: Decision, kind: Truth) -> Decision:
    """A relief is withheld where another charge of the case has none, and left open where one is not decided."""
    relieves = np.array([each.relief != NONE for each in facts.rules.rules])
    relieved = found.decided & relieves[found.rule]
    case = cases(facts)
    groups = int(case.max(initial=-1)) + 1
    of_charge = np.where(kind == NO, NO, np.where(found.open, UNKNOWN, np.where(relieved, NO, YES)))
    known = case >= 0
    hinders = np.append(any_of(of_charge[known], case[known], groups), NO)[case]
    withheld = relieved & known & (hinders == YES)
    cause = found.cause.copy()
    cause[relieved & ~known] = CAUSES.index(Cause.CASE)
    cause[relieved & known & (hinders == UNKNOWN)] = CAUSES.index(Cause.OTHER_CHARGE)
    rule = np.where(withheld, len(facts.rules.rules), found.rule)
    return Decision(decided=found.decided & (cause < 0), open=cause >= 0, rule=rule, cause=cause)


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

"""The conditions on a charge alone, and the charges that they select together."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np

from cji_core.operations.clear.when import Punishable, Which
from cji_operations.clear.charges import Names
from cji_operations.clear.facts import Facts
from cji_operations.clear.truth import YES, Truth, opposite


def _disposition(facts: Facts, kinds: Sequence[str]) -> Truth:
    return facts.kinds.among(kinds)


def _level(facts: Facts, names: tuple[str, ...]) -> Truth:
    return facts.levels.called(names)


def _punishable(facts: Facts, value: Punishable) -> Truth:
    return facts.rows.penalties.at(facts.row).within(value)


def _marks(facts: Facts, words: Sequence[str]) -> Truth:
    return Names(facts.text("marks")).marked(words)


SELECT: Final[Mapping[str, Callable[[Facts, Any], Truth]]] = {
    "disposition": _disposition,
    "level": _level,
    "level_at_least": lambda f, v: f.levels.as_grave(v, at_least=True),
    "level_at_most": lambda f, v: f.levels.as_grave(v, at_least=False),
    "punishable": _punishable,
    "sections": lambda f, v: f.listed(v),
    "not_sections": lambda f, v: opposite(f.listed(v)),
    "marks": _marks,
    "not_marks": lambda f, v: opposite(_marks(f, v)),
}
"""By the names of their fields in a table."""


def selected(facts: Facts, which: Which) -> Truth:
    """Truth[c]: the charge is among those that the conditions select."""
    truths = (SELECT[name](facts, value) for name, value in which.selection())
    return reduce(np.minimum, truths, np.full(len(facts.row), YES))

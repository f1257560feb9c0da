"""A linkage model: how values are compared, which pairs are compared, and the prior probability of a match.

A comparison has levels, tried in order; a pair has the first one whose conditions all hold, and the last one, which has
no condition, if none does. Where a value that a comparison needs is missing, it contributes nothing. `m` and `u` are
the probabilities of a level in pairs of the same person and of different persons; what is None is trained.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from worker.compute.operation import bad_parameters
from worker.errors import Stage

__all__ = ["Comparison", "Condition", "Form", "Key", "Level", "Model", "Parameters", "Rule", "Test", "check"]

Test: TypeAlias = Literal[
    "same",
    "jaro_winkler",
    "soundex",
    "nickname",
    "prefix",
    "date",
    "date_slip",
    "year",
    "year_month",
    "number_slip",
    "exchanged",
    "crossed",
]
"""A test of two records; `jaro_winkler` and `prefix` have a number: the least similarity, the number of bytes.

same         equal bytes, ASCII case and outer blanks aside
jaro_winkler Jaro-Winkler similarity of at least `number`
soundex      equal Soundex codes
nickname     forms of one given name
prefix       the first `number` bytes are equal
date         dates that agree in all known digits, X being an unknown one
date_slip    dates that one slip of the hand turns into each other, as `kernels.edits` lists them
year         dates of one known year
year_month   dates of one known month of one known year
number_slip  equal but for one place or two neighbouring ones in each other's place, X being unknown
exchanged    `column` of each record is equal to column `other` of the other one
crossed      `column` of one record is equal to column `other` of the other one
"""

Form: TypeAlias = Literal["whole", "soundex", "prefix", "year", "year_month", "month_day"]
"""The part of a value that is equal in a block: all of it, its Soundex code, its first bytes, parts of a date."""

MAX_COMPARISONS: Final = 24
MAX_LEVELS: Final = 12
MAX_RULES: Final = 48
_MAX_PREFIX: Final = 64
_NUMBERED: Final = frozenset(("jaro_winkler", "prefix"))
_OF_TWO: Final = frozenset(("exchanged", "crossed"))


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Condition(_Table, frozen=True, kw_only=True):
    """A test of the values of one column on both sides, or of two columns; see `Test` for `number` and `other`."""

    column: str
    test: Test = "same"
    number: float = 0.0
    other: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column, self.other) if self.other else (self.column,)


class Level(_Table, frozen=True, kw_only=True):
    """A level of agreement: it holds where all its conditions hold.

    With a `tf_adjustment_column`, the term frequency (the share of records that have the value; the more frequent of
    the two values) replaces u of the comparison's first level, to the power of `tf_adjustment_weight` (0 to 1).
    """

    label: str
    conditions: tuple[Condition, ...] = ()
    m: float | None = None
    u: float | None = None
    tf_adjustment_column: str = ""
    tf_adjustment_weight: float = 1.0


class Comparison(_Table, frozen=True, kw_only=True):
    """Levels from the strongest to the one that always holds; `initial_m` is m before training, one for each level."""

    name: str
    levels: tuple[Level, ...]
    initial_m: tuple[float, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all conditions, each once."""
        conditions = [condition for level in self.levels for condition in level.conditions]
        return tuple(dict.fromkeys(name for condition in conditions for name in condition.columns))


class Key(_Table, frozen=True, kw_only=True):
    """A part of a blocking key; `length` is the bytes of a prefix."""

    column: str
    form: Form = "whole"
    length: int = 0


class Rule(_Table, frozen=True, kw_only=True):
    """Compares the pairs whose keys are all present and equal; without a key, all pairs.

    A rule with more than `most_pairs` pairs is left out and reported.
    """

    keys: tuple[Key, ...]
    most_pairs: int | None = None

    @property
    def label(self) -> str:
        """The rule as people read it: `last soundex + DOB year`."""
        parts = (f"{key.column} {_FORM_LABELS[key.form].format(key.length)}".strip() for key in self.keys)
        return " + ".join(parts) or "all pairs"


_FORM_LABELS: Final[dict[Form, str]] = {
    "whole": "",
    "soundex": "soundex",
    "prefix": "first {}",
    "year": "year",
    "year_month": "year and month",
    "month_day": "month and day",
}


class Model(_Table, frozen=True, kw_only=True):
    """Comparisons, blocking rules, and how many pairs match.

    `prior` is the probability that two records taken at random are of one person. Where it is None, it is the number of
    pairs that the `deterministic_rules` rules find, divided by `recall` (the share of matches that they are expected to
    find) and by the number of all pairs. It is never learnt from blocked pairs, which are not a random sample.
    Oversized blocks are split by the keys of `split`, one after the other; without any, by those for persons.
    """

    comparisons: tuple[Comparison, ...]
    blocking: tuple[Rule, ...]
    deterministic_rules: tuple[Rule, ...] = ()
    recall: float | None = None
    prior: float | None = None
    split: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A job's parameters, and what they are unless it says otherwise.

    `model` None: the default for persons, of those columns that the records have. A pair is a match from the
    probability `match` on, and one for a clerk from `clerical` on. Blocks of more than `block_rows` rows are split by
    the keys of the model, or refused; blocks that stay too large are refused. More than `pairs` pairs, or more than
    `memory` bytes for them, are refused before the first one is compared.
    `random_pairs` are compared to learn u, at most `training_pairs` of each blocking rule to learn m.
    """

    model: Model | None = None
    match: float = 0.9
    clerical_review_threshold: float = 0.01
    oversized: Literal["split", "refuse"] = "split"
    block_rows: int = 5_000
    pairs: int = 200_000_000
    memory: int = 4 << 30
    random_pairs: int = 500_000
    training_pairs: int = 100_000
    seed: int = 1


def check(parameters: Parameters) -> None:
    """Refuse parameters that are wrong for every input. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    p = parameters
    counts = (
        2 <= p.block_rows <= 1 << 20
        and 1 <= p.pairs <= 1 << 34
        and p.memory >= 1 << 20
        and 1_000 <= p.random_pairs <= 1 << 26
        and 1_000 <= p.training_pairs <= 1 << 26
        and 0 <= p.seed < 1 << 63
    )
    if not (counts and 0 < p.clerical_review_threshold <= p.match < 1 and p.oversized in {"split", "refuse"}):
        raise bad_parameters(Stage.ADMIT)
    if p.model is not None and not _is_model(p.model):
        raise bad_parameters(Stage.ADMIT)


def _is_model(model: Model) -> bool:
    names = [comparison.name for comparison in model.comparisons]
    rules = (*model.blocking, *model.deterministic_rules)
    return (
        0 < len(names) == len(set(names)) <= MAX_COMPARISONS
        and all(map(_is_comparison, model.comparisons))
        and math.prod(len(comparison.levels) + 1 for comparison in model.comparisons) < 1 << 62
        and 0 < len(model.blocking) <= MAX_RULES
        and len(model.deterministic_rules) <= MAX_RULES
        and all(_is_key(key) for rule in rules for key in rule.keys)
        and all(map(_is_key, model.split))
        and (model.recall is None or 0 < model.recall <= 1)
        and (bool(model.deterministic_rules) if model.prior is None else 0 < model.prior < 1)
    )


def _is_comparison(comparison: Comparison) -> bool:
    levels, initial_m = comparison.levels, comparison.initial_m
    given = [level.m for level in levels if level.m is not None], [level.u for level in levels if level.u is not None]
    return (
        bool(comparison.name)
        and 2 <= len(levels) <= MAX_LEVELS
        and all(level.conditions for level in levels[:-1])
        and not levels[-1].conditions
        and all(map(_is_level, levels))
        and all(not values or len(values) == len(levels) for values in given)
        and (not initial_m or (len(initial_m) == len(levels) and min(initial_m) > 0))
        and all(level.tf_adjustment_column in {"", *comparison.columns} for level in levels)
    )


def _is_level(level: Level) -> bool:
    given = [value for value in (level.m, level.u) if value is not None]
    return (
        bool(level.label)
        and all(0 < value < 1 for value in given)
        and 0 <= level.tf_adjustment_weight <= 1
        and all(map(_is_condition, level.conditions))
    )


def _is_condition(condition: Condition) -> bool:
    number = condition.number
    return (
        condition.test in get_args(Test)
        and (condition.other not in {"", condition.column} if condition.test in _OF_TWO else not condition.other)
        and (condition.test in _NUMBERED or number == 0)
        and (condition.test != "jaro_winkler" or 0 < number <= 1)
        and (condition.test != "prefix" or (1 <= number <= _MAX_PREFIX and number == int(number)))
    )


def _is_key(key: Key) -> bool:
    is_prefix = key.form == "prefix"
    return key.form in get_args(Form) and (1 <= key.length <= _MAX_PREFIX if is_prefix else key.length == 0)

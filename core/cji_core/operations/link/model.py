"""A linkage model: how values are compared, which pairs are compared, and the prior probability of a match.

A comparison has levels, tried in order; a pair has the first one whose conditions all hold, and the last one, which has
no condition, if none does. Where a value that a comparison needs is missing, it contributes nothing. `m` and `u` are
the probabilities of a level in pairs of the same person and of different persons; what is None is trained, m up to
`most_m`.
"""

import math
from collections.abc import Collection
from functools import cached_property
from typing import Final, Literal, TypeAlias, get_args

import msgspec

Test: TypeAlias = Literal[
    "same",
    "alike",
    "parts",
    "part",
    "jaro_winkler",
    "soundex",
    "nickname",
    "prefix",
    "date",
    "date_slip",
    "year",
    "year_month",
    "number_slip",
    "levenshtein",
    "damerau_levenshtein",
    "days",
    "exchanged",
    "crossed",
    "rearranged",
    "years_apart",
    "unlike",
]
"""A test of two records; `_NUMBERED` ones have a number: the least similarity, how many bytes, the most edits or days.

same         equal, case, outer blanks and in names the signs between their parts aside
alike        the same, accents and in names blanks aside; letters of other alphabets as written in the Latin one
parts        names with the same parts, in any order and with any particles
part         one name has all parts of the other one
jaro_winkler Jaro-Winkler similarity of at least `number`
unlike       neither forms of one given name, nor one a part of the other, nor Jaro-Winkler of `number` or more
soundex      equal Soundex codes
nickname     forms of one given name
prefix       the first `number` characters are equal
date         dates that agree in all known digits, X being an unknown one
date_slip    dates that one slip of the hand turns into each other, as `kernels.edits` lists them
year         dates of one known year
year_month   dates of one known month of one known year
number_slip  equal but for one place or two neighbouring ones in each other's place, X being unknown
levenshtein  at most `number` (1) bytes replaced, added or left out; of a date, as YYYY-MM-DD
damerau_levenshtein  the same, or two neighbouring bytes in each other's place
days         whole days of the calendar that are at most `number` days apart
exchanged    `column` of each record is alike to column `other` of the other one, and the two columns differ
crossed      `column` of one record is alike to column `other` of the other one, and each column differs
years_apart  dates of known years, at least `number` apart
rearranged   the names in `column` and the columns `other` have the same parts, some of them in another column
"""

Missing: TypeAlias = Literal["any", "every", "no_day", "never"]
"""When a comparison has nothing to compare: `any` of the columns that it needs is missing in a record; `every` one is,
in one record or the other; any is missing or has `no_day` of the calendar; or `never`, the last level holds.
"""

Form: TypeAlias = Literal["whole", "soundex", "prefix", "year", "year_month", "month_day"]
"""The part of a value that is equal in a block: all of it, its Soundex code, its first characters, parts of a date.

Values are plain: without accents, names without blanks.
"""

MAX_COMPARISONS: Final = 24
MAX_LEVELS: Final = 12
MAX_RULES: Final = 48
_MAX_PREFIX: Final = 64
_MOST_DAYS: Final = 1 << 22
_MOST_COLUMNS: Final = 4  # of one condition
_NUMBERED: Final = frozenset(
    ("jaro_winkler", "prefix", "levenshtein", "damerau_levenshtein", "days", "years_apart", "unlike")
)
EDITS: Final = frozenset(("levenshtein", "damerau_levenshtein"))
_OF_TWO: Final = frozenset(("exchanged", "crossed", "rearranged"))


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Condition(_Table, frozen=True, kw_only=True):
    """A test of the values of one column on both sides, or of several; see `Test` for `number` and `other`.

    `other` is a column; of `rearranged`, columns with a blank between them.
    """

    column: str
    test: Test = "same"
    number: float = 0.0
    other: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column, *self.other.split())


class Level(_Table, frozen=True, kw_only=True):
    """A level of agreement: it holds where all its conditions hold.

    With a `tf_adjustment_column`, the term frequency (the share of records that have the value; the more frequent of
    the two values) replaces u of the level of equality of that column, to the power of `tf_adjustment_weight` (0 to 1).
    Training takes m no higher than `most_m`: where people of one household are alike in all but a value, what is learnt
    of them must not become what is learnt of one person. A level that is `capped` weighs no more than it would in one
    level with those above it, however rare it is. Where a level holds, the comparisons that it `settles` have nothing
    to compare.
    """

    label: str
    conditions: tuple[Condition, ...] = ()
    m: float | None = None
    u: float | None = None
    most_m: float = 1.0
    capped: bool = False
    settles: tuple[str, ...] = ()
    tf_adjustment_column: str = ""
    tf_adjustment_weight: float = 1.0


class Comparison(_Table, frozen=True, kw_only=True, dict=True):
    """Levels from the strongest to the one that always holds; `initial_m` is m before training, one for each level.

    It `needs` all its columns, or those that are named; a condition on any other missing value does not hold. What is
    `shared` is alike for relatives who live together as it is for one person.
    """

    name: str
    levels: tuple[Level, ...]
    initial_m: tuple[float, ...] = ()
    missing: Missing = "any"
    needs: tuple[str, ...] = ()
    shared: bool = False

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of all conditions, each once."""
        conditions = [condition for level in self.levels for condition in level.conditions]
        return tuple(dict.fromkeys(name for condition in conditions for name in condition.columns))

    def equality(self, column: str) -> int | None:
        """The level of equality of this column and of nothing else."""
        same = (Condition(column=column),)
        return next((number for number, level in enumerate(self.levels) if level.conditions == same), None)


class Key(_Table, frozen=True, kw_only=True):
    """A part of a blocking key; `length` is the characters of a prefix.

    With an `other` column, the values of both, whichever of the two has which.
    """

    column: str
    form: Form = "whole"
    length: int = 0
    other: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column, self.other) if self.other else (self.column,)

    @property
    def label(self) -> str:
        """The key for display: `last soundex`, `last or first`."""
        return f"{' or '.join(self.columns)} {_FORM_LABELS[self.form].format(self.length)}".strip()


class Rule(_Table, frozen=True, kw_only=True):
    """Compares the pairs whose keys are all present and equal; without a key, all pairs.

    A key of two columns needs one of a single column beside it.

    A rule with more than `most_pairs` pairs is left out and reported.
    """

    keys: tuple[Key, ...]
    most_pairs: int | None = None

    @property
    def label(self) -> str:
        """The rule for display: `last soundex + DOB year`."""
        return " + ".join(key.label for key in self.keys) or "all pairs"


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

    The rule `relatives` brings together records of one household. With it, two records may be of one person, of
    strangers, or of relatives, of whom only comparisons that are not `shared` tell one person apart.
    """

    comparisons: tuple[Comparison, ...]
    blocking: tuple[Rule, ...]
    deterministic_rules: tuple[Rule, ...] = ()
    recall: float | None = None
    prior: float | None = None
    split: tuple[Key, ...] = ()
    relatives: Rule | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All of them."""
        return (*self.blocking, *self.deterministic_rules, *(() if self.relatives is None else (self.relatives,)))


def is_model(model: Model) -> bool:
    """Whether the model is complete, and every number of it in its range."""
    names = [comparison.name for comparison in model.comparisons]
    return (
        0 < len(names) == len(set(names)) <= MAX_COMPARISONS
        and all(map(_is_comparison, model.comparisons))
        and math.prod(len(comparison.levels) + 1 for comparison in model.comparisons) < 1 << 62
        and 0 < len(model.blocking) <= MAX_RULES
        and len(model.deterministic_rules) <= MAX_RULES
        and all(_is_key(key) for rule in model.rules for key in rule.keys)
        and all(not rule.keys or any(not key.other for key in rule.keys) for rule in model.rules)
        and all(_is_key(key) and not key.other for key in model.split)
        and all(set(level.settles) <= set(names) - {one.name} for one in model.comparisons for level in one.levels)
        and (model.relatives is None or len({one.shared for one in model.comparisons}) > 1)
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
        and not (levels[0].capped or levels[-1].capped)
        and all(map(_is_level, levels))
        and all(not values or len(values) == len(levels) for values in given)
        and (not initial_m or (len(initial_m) == len(levels) and min(initial_m) > 0))
        and comparison.missing in get_args(Missing)
        and set(comparison.needs) <= set(comparison.columns)
        and sum(level.most_m for level in levels) > 1
        and all(comparison.equality(name) is not None for level in levels if (name := level.tf_adjustment_column))
    )


def _is_level(level: Level) -> bool:
    given = [value for value in (level.m, level.u) if value is not None]
    return (
        bool(level.label)
        and all(0 < value < 1 for value in given)
        and 0 < level.most_m <= 1
        and 0 <= level.tf_adjustment_weight <= 1
        and all(map(_is_condition, level.conditions))
    )


def _is_condition(condition: Condition) -> bool:
    number = condition.number
    return (
        condition.test in get_args(Test)
        and (_has_other(condition) if condition.test in _OF_TWO else not condition.other)
        and (condition.test in _NUMBERED or number == 0)
        and (condition.test not in {"jaro_winkler", "unlike"} or 0 < number <= 1)
        and (condition.test != "prefix" or (1 <= number <= _MAX_PREFIX and number == int(number)))
        and (condition.test not in EDITS or number == 1)
        and 0 <= number <= _MOST_DAYS
    )


def _has_other(condition: Condition) -> bool:
    columns = condition.columns
    several = len(columns) == 2 or (condition.test == "rearranged" and 2 <= len(columns) <= _MOST_COLUMNS)
    return several and len(set(columns)) == len(columns)


def _is_key(key: Key) -> bool:
    is_prefix = key.form == "prefix"
    return (
        key.form in get_args(Form)
        and (1 <= key.length <= _MAX_PREFIX if is_prefix else key.length == 0)
        and key.other != key.column
    )


OF_OTHERS: Final = {"last": ("NAM",), "first": ("NAM",), "middle": ("NAM",), "suffix": ("last", "NAM")}
"""Columns that can be made from others: the first of these that has one."""


RARE: Final = frozenset(("suffix",))
"""Columns in which most persons have nothing."""


def has(names: Collection[str], name: str) -> bool:
    """Whether records with columns of these names have the column, or one that it can be made from."""
    return name in names or any(other in names for other in OF_OTHERS.get(name, ()))

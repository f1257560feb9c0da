"""Tables of rules from TOML: `read_rules` reads one, and names every mistake with its place and a remedy."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from cji_core.documents import convert
from cji_core.errors import OperationsError
from cji_core.operations.clear.rules import Level, Rule, Rules, WholeCase
from cji_core.operations.clear.sections import read_pattern
from cji_core.operations.clear.when import (
    ARREST,
    CONVICTION,
    OF_SECTIONS,
    PENDING,
    Count,
    Punishable,
    Waited,
    When,
    Which,
    days_of,
)

MAX_BYTES: Final = 256 << 10
"""Of the TOML text."""
MAX_ENCODED_BYTES: Final = 20 << 10
"""Of the table as JSON in the header of a job, which has room for little more."""


class Problem(NamedTuple):
    """A mistake in a table, and how to mend it."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class RulesError(OperationsError, ValueError):
    """A table is not valid; `problems` has all that is wrong with it."""

    code = "clearing-rules-invalid"
    remedy = "Correct the table as each problem says."

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def read_rules(data: bytes) -> Rules:
    """The table in a TOML text of at most MAX_BYTES. Raises: RulesError."""
    if len(data) > MAX_BYTES:
        raise RulesError((Problem("table", f"more than {MAX_BYTES >> 10} KiB", "Split the table by kind of relief."),))
    try:
        table = msgspec.toml.decode(data)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise RulesError((Problem("table", f"not TOML: {error}", "Correct the text at this place."),)) from None
    rules = _converted(table)
    if found := problems(rules):
        raise RulesError(found)
    return rules


def _converted(table: dict[str, Any]) -> Rules:
    try:
        return convert(table, Rules)
    except (ValueError, RecursionError) as error:
        what, _, path = str(error).partition(" - at ")
        where, fields = _place(table, path.strip("`"))
        remedy = f"The fields here are {', '.join(fields)}; docs/operations.md describes them."
        raise RulesError((Problem(where, what, remedy),)) from None


_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    ".when": When.__struct_fields__,
    ".at_most": Count.__struct_fields__,
    ".more_than": Count.__struct_fields__,
    ".waited": Waited.__struct_fields__,
    ".restarted_by": Which.__struct_fields__,
    ".punishable": ("from", "above", "below", "to"),
    "transaction_unless": Which.__struct_fields__,
    "whole_case": WholeCase.__struct_fields__,
    "levels": Level.__struct_fields__,
    "scope": When.__struct_fields__,
}
"""The fields that are possible below a place; the last part of a path that is here says."""


def _place(table: dict[str, Any], path: str) -> tuple[str, tuple[str, ...]]:
    """The place that msgspec's path points to, with the id of its rule, and the fields that are possible there."""
    where = path.removeprefix("$").removeprefix(".") or "table"
    fields = Rule.__struct_fields__ if where.startswith("rules[") else Rules.__struct_fields__
    found = [(where.rfind(name), fields) for name, fields in _FIELDS.items() if name in where]
    fields = max(found, default=(0, fields))[1]
    if where.startswith("rules["):
        number = int(where[len("rules[") : where.index("]")])
        rule = table["rules"][number]
        name = rule.get("id") if isinstance(rule, dict) else None
        rest = where.partition("]")[2]
        where = f"rule {name if isinstance(name, str) else number + 1}{rest.replace('.', ', ')}"
    return where, fields


# ---------------------------------------------------------------- mistakes that types do not show


def problems(rules: Rules) -> tuple[Problem, ...]:
    """All mistakes of a table."""
    size = len(msgspec.json.encode(rules))
    if size > MAX_ENCODED_BYTES:
        what = f"it takes {size} bytes in the header of a job, {MAX_ENCODED_BYTES} are possible"
        return (Problem("table", what, "Shorten lists and texts, or split it by kind of relief."),)
    of_conditions = (problem for where, when in rules.whens() for problem in _of(where, when))
    of_selections = (problem for where, one in rules.selections() for problem in _of_selection(where, one, rules))
    return (*_of_table(rules), *_of_sections(rules), *_of_rules(rules), *of_conditions, *of_selections)


def _of_sections(rules: Rules) -> Iterator[Problem]:
    for name, sections in rules.lists.items():
        yield from _unreadable(f"list {name}", sections, rules)
    for where, named in rules.of_sections():
        yield from _unreadable(where, tuple(each for each in named if each not in rules.lists), rules)
    for name in sorted(rules.lists.keys() - set(rules.every_section())):
        yield Problem(f"list {name}", "no condition uses it", "Use it, or remove it.")


def _unreadable(where: str, sections: tuple[str, ...], rules: Rules) -> Iterator[Problem]:
    for section in sections:
        if section[:1].isalpha() and section.islower():
            yield Problem(where, f"no list is called {section}", "Add it under [lists], or write a section of law.")
        elif (pattern := read_pattern(section, hyphenated=rules.hyphens)) is None:
            yield Problem(where, f"{section} is not a section", "Write NUMBER(SUBDIVISION) LAW, as 11357(b) HS.")
        elif rules.dotted_sections and "." not in pattern.number:
            yield Problem(where, f"{section} has no chapter before a dot", "Write CHAPTER.SECTION, as 750.81(2).")
        elif rules.laws and pattern.law not in rules.laws:
            remedy = f"End it with one of {', '.join(rules.laws)}, or add its law to `laws`."
            yield Problem(where, f"{section} names no law of this table", remedy)
        elif pattern.law and not rules.laws:
            yield Problem(where, f"{section} names a law, and `laws` is empty", f'Write laws = ["{pattern.law}"].')
    if len(set(sections)) != len(sections):
        yield Problem(where, "a section twice", "Remove one of the two.")


def _of_rules(rules: Rules) -> Iterator[Problem]:
    seen = set[str]()
    by_conditions = dict[str, str]()
    for position, rule in enumerate(rules.rules):
        where = f"rule {rule.id}"
        if rule.id in seen:
            yield Problem(where, "two rules have this id", "Give each rule an id of its own.")
        seen.add(rule.id)
        if not rule.when.conditions() and position < len(rules.rules) - 1:
            yield Problem(where, "without a condition it leaves nothing to later rules", "Move it to the end.")
        key = repr(rule.when)
        if key in by_conditions:
            remedy = "Remove one of the two, or change its conditions."
            yield Problem(where, f"it has the conditions of rule {by_conditions[key]}, which comes first", remedy)
        by_conditions.setdefault(key, rule.id)


_CONTRADICTIONS: Final = (
    ("age_from", "age_below"),
    ("age_at_conviction_from", "age_at_conviction_below"),
    ("convicted_from", "convicted_before"),
)


def _of(where: str, when: When) -> Iterator[Problem]:
    for low, high in _CONTRADICTIONS:
        least, limit = getattr(when, low), getattr(when, high)
        if least is not None and limit is not None and least >= limit:
            yield Problem(where, f"{low} and {high} never hold together", f"Make {low} less than {high}.")
    if when.counting is not None and when.years_crime_free is None:
        yield Problem(where, "counting without years_crime_free", "Add years_crime_free, or remove counting.")
    for name in ("at_most", "more_than"):
        for count in dict(when.conditions()).get(name, ()):
            if count.same != "subject" and count.by != "charge":
                yield Problem(f"{where}, {name}", "`same` counts charges alone", "Remove `by` or `same`.")
            if count.since is not None and count.within is not None:
                yield Problem(f"{where}, {name}", "since and within together", "Remove one of the two.")


# ---------------------------------------------------------------- names and values that a table gives


def _of_table(rules: Rules) -> Iterator[Problem]:
    if rules.dotted_sections and (rules.hyphens or rules.laws):
        yield Problem("dotted_sections", "sections have laws or hyphens too", "Leave out one of the two.")
    if CONVICTION not in rules.dispositions:
        yield Problem("dispositions", "no kind is called conviction", 'Write conviction = ["CONVICTED"].')
    if ARREST in rules.dispositions:
        yield Problem("dispositions", "arrest is an arrest without a disposition", "Call the kind otherwise.")
    if PENDING in rules.decides:
        yield Problem("decides", "a pending charge cannot be decided on", "Remove pending.")
    yield from _twice("the beginnings of dispositions", [w for words in rules.dispositions.values() for w in words])
    yield from _twice("the names of levels", [level.name for level in rules.levels])
    yield from _twice("the words of levels", [word for level in rules.levels for word in level.words])
    yield from _unknown_kinds("decides", rules.decides, rules)
    reliefs = {rule.relief for rule in rules.rules}
    for relief in rules.petitions:
        if relief not in reliefs:
            yield Problem("petitions", f"no rule gives {relief}", "Use the relief of a rule, or remove it.")
    if rules.whole_case is not None and rules.whole_case.id in {rule.id for rule in rules.rules}:
        yield Problem("whole_case", "a rule has this id", "Give it an id of its own.")
    if sum(level.punishable is not None for level in rules.levels) > 1:
        yield Problem("levels", "two levels have a maximum penalty", "Leave it to one of them.")
    for level in rules.levels:
        if level.punishable is not None:
            yield from _of_punishable(f"level {level.name}", level.punishable)


def _twice(what: str, values: list[str]) -> Iterator[Problem]:
    seen = set[str]()
    for value in values:
        if value.upper() in seen:
            yield Problem(what, f"{value} is there twice", "Remove one of the two.")
        seen.add(value.upper())


def _of_selection(where: str, one: Which, rules: Rules) -> Iterator[Problem]:
    for name in one.__struct_fields__:
        value = getattr(one, name)
        if isinstance(value, tuple) and len(set(value)) != len(value) and name not in OF_SECTIONS:
            yield Problem(where, f"{name} has a value twice", "Remove one of the two.")
    yield from _unknown_kinds(where, one.disposition or (), rules)
    known = {name for level in rules.levels for name in (level.name, level.family) if name is not None}
    for name in one.level or ():
        if name not in known:
            yield Problem(f"{where}, level", f"no level is called {name}", f"Use one of {', '.join(sorted(known))}.")
    ranked = [level.name for level in rules.levels if level.ranked]
    for field in ("level_at_least", "level_at_most"):
        name = getattr(one, field)
        if name is not None and name not in ranked:
            remedy = f"Use one of {', '.join(ranked)}."
            yield Problem(f"{where}, {field}", f"{name} is not the name of a ranked level", remedy)
    if one.punishable is not None:
        yield from _of_punishable(where, one.punishable)


def _unknown_kinds(where: str, kinds: tuple[str, ...], rules: Rules) -> Iterator[Problem]:
    possible = (*rules.dispositions, ARREST)
    for kind in kinds:
        if kind not in possible:
            yield Problem(where, f"no kind of dispositions is called {kind}", f"Use one of {', '.join(possible)}.")


def _of_punishable(where: str, one: Punishable) -> Iterator[Problem]:
    least = [days_of(length) + (word == "above") for word, length in one.bounds() if word in {"from", "above"}]
    most = [days_of(length) - (word == "below") for word, length in one.bounds() if word in {"below", "to"}]
    if len(least) > 1 or len(most) > 1 or not (least or most):
        yield Problem(
            f"{where}, punishable",
            "it needs one bound of each side at most, and one of them",
            "Write one of from and above, one of below and to, or both.",
        )
    elif least and most and least[0] > most[0]:
        yield Problem(f"{where}, punishable", "its bounds never hold together", "Make the first less than the second.")

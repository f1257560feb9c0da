"""The rules of a state as a table: `read_rules` reads one from TOML, and names every mistake with a remedy.

A table decides on the convictions in its `scope`. Its rules are tried in order: the first one whose conditions all hold
gives the relief, and a condition that cannot be evaluated ends the search without one. `lists` gives names to lists of
sections of law, which conditions then use; `laws` has the abbreviations of codes that stand behind a section.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from cji_core.documents import convert
from cji_core.errors import OperationsError
from cji_core.operations.clear.sections import Patterns, read_pattern

MAX_BYTES: Final = 256 << 10
"""Of the TOML text."""
MAX_ENCODED_BYTES: Final = 20 << 10
"""Of the table as JSON in the header of a job, which has room for little more."""

_Words = Annotated[str, Meta(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z")]
_Law = Annotated[str, Meta(pattern=r"^[A-Z]{1,8}\Z")]
_Section = Annotated[str, Meta(min_length=1, max_length=64)]
_Sections = Annotated[tuple[_Section, ...], Meta(min_length=1, max_length=512)]
_Text = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,62}[!-~])?\Z")]
_Texts = Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=32)]
_Years = Annotated[int, Meta(ge=1, le=150)]
Level = Literal["felony", "misdemeanor", "infraction"]
Counted = Literal["conviction", "felony_conviction", "arrest"]

OF_SECTIONS: Final = ("sections", "not_sections", "only_sections", "ever_sections", "never_sections")
"""The conditions whose values are sections of law or names of lists."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class When(_Table, frozen=True, kw_only=True):
    """Conditions, which hold together; None leaves one out. `conditions` has the meaning of each."""

    level: Annotated[tuple[Level, ...], Meta(min_length=1)] | None = None
    sections: _Sections | None = None
    not_sections: _Sections | None = None
    convicted_from: date | None = None
    convicted_before: date | None = None
    age_at_conviction_from: _Years | None = None
    age_at_conviction_below: _Years | None = None
    age_from: _Years | None = None
    age_below: _Years | None = None
    years_since_conviction: _Years | None = None
    sentence: _Texts | None = None
    not_sentence: _Texts | None = None
    years_since_sentence: _Years | None = None
    all_sentences_ended: Literal[True] | None = None
    years_crime_free: _Years | None = None
    counting: Annotated[tuple[Counted, ...], Meta(min_length=1)] | None = None
    only_sections: _Sections | None = None
    ever_sections: _Sections | None = None
    never_sections: _Sections | None = None
    without_events: _Texts | None = None
    deceased: bool | None = None

    def conditions(self) -> tuple[tuple[str, Any], ...]:
        """(name, value) of each condition, in the order in which they are evaluated.

        The value of `years_crime_free` has the events that count beside the number of years.
        """
        found = {name: getattr(self, name) for name in self.__struct_fields__ if name != "counting"}
        if self.years_crime_free is not None:
            found["years_crime_free"] = (self.years_crime_free, self.counting or ("conviction",))
        return tuple((name, value) for name, value in found.items() if value is not None)


class Rule(_Table, frozen=True, kw_only=True):
    """One rule: the `relief` that it gives (`none`: that none is given), and the reason for a clerk to read."""

    id: _Id
    relief: _Name
    reason: _Words
    source: _Words
    when: When = When()


class Rules(_Table, frozen=True, kw_only=True):
    """A table. `convicted` are the beginnings of dispositions that are convictions.

    With `hyphenated_sections` a hyphen between digits belongs to the number of a section, as in Utah's 76-6-404;
    otherwise it joins two sections.
    """

    version: Literal[1]
    state: _Words
    title: _Words
    sources: Annotated[tuple[_Words, ...], Meta(min_length=1, max_length=64)]
    notice: Annotated[str, Meta(max_length=2000)] = ""
    laws: Annotated[tuple[_Law, ...], Meta(max_length=64)] = ()
    hyphenated_sections: bool = False
    convicted: _Texts = ("CONVICTED",)
    lists: Annotated[dict[_Name, _Sections], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    scope: When
    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=128)]

    def patterns(self, named: tuple[str, ...]) -> Patterns:
        """The sections of a condition: those of the lists that it names, and those that it has itself."""
        sections = [section for name in named for section in self.lists.get(name, (name,))]
        return Patterns.of(sections, hyphenated=self.hyphenated_sections)

    def every_section(self) -> tuple[str, ...]:
        """All sections and names of lists that conditions have."""
        return tuple(name for _, when in self.whens() for field in OF_SECTIONS for name in getattr(when, field) or ())

    def whens(self) -> Iterator[tuple[str, When]]:
        """(its place in the table, conditions): the scope's and each rule's."""
        yield "scope", self.scope
        for rule in self.rules:
            yield f"rule {rule.id}", rule.when


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


def _place(table: dict[str, Any], path: str) -> tuple[str, tuple[str, ...]]:
    """The place that msgspec's path points to, with the id of its rule, and the fields that are possible there."""
    where, fields = path.removeprefix("$").removeprefix(".") or "table", Rules.__struct_fields__
    if where.startswith("rules["):
        number = int(where[len("rules[") : where.index("]")])
        rule = table["rules"][number]
        name = rule.get("id") if isinstance(rule, dict) else None
        rest = where.partition("]")[2]
        fields = When.__struct_fields__ if rest.startswith(".when") else Rule.__struct_fields__
        where = f"rule {name if isinstance(name, str) else number + 1}{rest.replace('.', ', ')}"
    elif where.startswith("scope"):
        fields = When.__struct_fields__
    return where, fields


# ---------------------------------------------------------------- mistakes that types do not show


def problems(rules: Rules) -> tuple[Problem, ...]:
    """All mistakes of a table."""
    size = len(msgspec.json.encode(rules))
    if size > MAX_ENCODED_BYTES:
        what = f"it takes {size} bytes in the header of a job, {MAX_ENCODED_BYTES} are possible"
        return (Problem("table", what, "Shorten lists and texts, or split it by kind of relief."),)
    of_conditions = (problem for where, when in rules.whens() for problem in _of(where, when))
    return (*_of_sections(rules), *_of_rules(rules), *of_conditions)


def _of_sections(rules: Rules) -> Iterator[Problem]:
    for name, sections in rules.lists.items():
        yield from _unreadable(f"list {name}", sections, rules)
    for where, when in rules.whens():
        for field in OF_SECTIONS:
            own = tuple(each for each in getattr(when, field) or () if each not in rules.lists)
            yield from _unreadable(f"{where}, {field}", own, rules)
    for name in sorted(rules.lists.keys() - set(rules.every_section())):
        yield Problem(f"list {name}", "no condition uses it", "Use it, or remove it.")


def _unreadable(where: str, sections: tuple[str, ...], rules: Rules) -> Iterator[Problem]:
    for section in sections:
        if section[:1].isalpha() and section.islower():
            yield Problem(where, f"no list is called {section}", "Add it under [lists], or write a section of law.")
        elif (pattern := read_pattern(section, hyphenated=rules.hyphenated_sections)) is None:
            yield Problem(where, f"{section} is not a section", "Write NUMBER(SUBDIVISION) LAW, as 11357(b) HS.")
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
    for name, value in when.conditions():
        if isinstance(value, tuple) and len(set(value)) != len(value) and name not in OF_SECTIONS:
            yield Problem(where, f"{name} has a value twice", "Remove one of the two.")

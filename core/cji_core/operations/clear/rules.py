"""The rules of a state as a table.

A table decides on the charges in its `scope`. Its rules are tried in order: the first one whose conditions all hold
gives the relief, and a condition that cannot be evaluated ends the search without one. `lists` gives names to lists of
sections of law, which conditions then use; `laws` has the abbreviations of codes that stand behind a section.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.operations.clear.sections import Patterns
from cji_core.operations.clear.when import (
    CONVICTION,
    OF_SECTIONS,
    Name,
    Names,
    Penalty,
    Punishable,
    Sections,
    Table,
    Texts,
    When,
    Which,
    Words,
)

_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z")]
NONE: Final = "none"
"""The relief of a rule that decides without giving one."""
_Law = Annotated[str, Meta(pattern=r"^[A-Z]{1,8}\Z")]


class Level(Table, frozen=True, kw_only=True):
    """A level or grade: its words in the records, and the family of levels that it belongs to besides its own name.

    One that is not `ranked` is neither graver nor less grave than others. `penalty` is the maximum penalty of offenses
    of this level where the records have none. An offense with a maximum penalty of `punishable` is of this level
    whatever the records call it.
    """

    name: Name
    words: Texts
    family: Name | None = None
    ranked: bool = True
    penalty: Penalty | None = None
    punishable: Punishable | None = None

    def is_called(self, names: tuple[str, ...]) -> bool:
        """Its name or family is one of these."""
        return self.name in names or self.family in names


LEVELS: Final = (
    Level(name="felony", words=("F", "FELONY")),
    Level(name="misdemeanor", words=("M", "MISDEMEANOR")),
    Level(name="infraction", words=("I", "INFRACTION")),
)
"""The levels of a table that names none, the gravest first."""


class Rule(Table, frozen=True, kw_only=True):
    """One rule: the `relief` that it gives (`none`: that none is given), and the reason for a clerk to read."""

    id: _Id
    relief: Name
    reason: Words
    source: Words
    when: When = When()


class WholeCase(Table, frozen=True, kw_only=True):
    """Cases are relieved as a whole: the rule that withholds a relief where another charge of the case has none."""

    id: _Id
    reason: Words
    source: Words


class Rules(Table, frozen=True, kw_only=True):
    """A table.

    `dispositions` are the beginnings of dispositions by their kind; the longest beginning has the kind. One that is not
    listed may be a conviction, unless `unlisted` says that it is none. The table decides on charges of the kinds
    `decides`. `levels` are the levels of offenses, the gravest first; `imprisonment` the words of sentences that
    imprison; `petitions` the reliefs that a person asks a court for. Charges of one transaction count once where `by`
    is `transaction`, unless one of them is selected by `transaction_unless`.

    With `hyphenated_sections` a hyphen between digits belongs to the number of a section, as in Utah's 76-6-404;
    otherwise it joins two sections. With `titled_sections` a citation begins with the number of its title, which a
    hyphen joins to the section: `18 Pa.C.S. § 3903(a)` is 18-3903(A). With `dotted_sections` every section has its
    chapter before a dot, as Michigan's 750.110a: a citation of another form is none, and 750.812 may be 750.81(2).
    """

    version: Literal[1]
    state: Words
    title: Words
    sources: Annotated[tuple[Words, ...], Meta(min_length=1, max_length=64)]
    notice: Annotated[str, Meta(max_length=2000)] = ""
    laws: Annotated[tuple[_Law, ...], Meta(max_length=64)] = ()
    hyphenated_sections: bool = False
    titled_sections: bool = False
    dotted_sections: bool = False
    dispositions: Annotated[dict[Name, Texts], Meta(max_length=16)]
    unlisted: Literal["unknown", "no_conviction"] = "unknown"
    decides: Names = (CONVICTION,)
    levels: Annotated[tuple[Level, ...], Meta(min_length=1, max_length=32)] = LEVELS
    imprisonment: Texts = ("PRISON", "JAIL")
    petitions: Annotated[tuple[Name, ...], Meta(max_length=32)] = ()
    transaction_unless: Annotated[tuple[Which, ...], Meta(max_length=8)] = ()
    whole_case: WholeCase | None = None
    lists: Annotated[dict[Name, Sections], Meta(max_length=64)] = msgspec.field(default_factory=dict)
    scope: When
    rules: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=128)]

    @property
    def hyphens(self) -> bool:
        """A hyphen belongs to the number of a section."""
        return self.hyphenated_sections or self.titled_sections

    def patterns(self, named: tuple[str, ...]) -> Patterns:
        """The sections of a condition: those of the lists that it names, and those that it has itself."""
        sections = [section for name in named for section in self.lists.get(name, (name,))]
        return Patterns.of(sections, hyphenated=self.hyphens)

    def of_sections(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(its place in the table, sections and names of lists) of each condition on sections."""
        for where, one in self.selections():
            for field in OF_SECTIONS:
                if (named := getattr(one, field, None)) is not None:
                    yield f"{where}, {field}", named

    def every_section(self) -> tuple[str, ...]:
        """All sections and names of lists that conditions have."""
        return tuple(name for _, named in self.of_sections() for name in named)

    def kinds(self) -> frozenset[str]:
        """The kinds of dispositions of charges that the table looks at: those it decides on, counts or names."""
        named = (kind for _, one in self.selections() for kind in one.disposition or ())
        return frozenset((CONVICTION, *self.decides, *named))

    def whens(self) -> Iterator[tuple[str, When]]:
        """(its place in the table, conditions): the scope's and each rule's."""
        yield "scope", self.scope
        for rule in self.rules:
            yield f"rule {rule.id}", rule.when

    def selections(self) -> Iterator[tuple[str, Which]]:
        """(its place in the table, conditions) of all that selects charges."""
        for where, when in self.whens():
            yield from ((where + place, one) for place, one in when.selections())
        yield from (("transaction_unless", one) for one in self.transaction_unless)

"""The conditions of a table of rules, as types that msgspec reads.

`Which` are the conditions on a charge alone, which also select the charges that a count or a waiting period looks at;
`When` adds those on the subject and the history.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Words = Annotated[str, Meta(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=32)]
Section = Annotated[str, Meta(min_length=1, max_length=64)]
Sections = Annotated[tuple[Section, ...], Meta(min_length=1, max_length=512)]
Text = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,62}[!-~])?\Z")]
Texts = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=64)]
Length = Annotated[str, Meta(pattern=r"^[0-9]{1,4}[DMY]\Z")]
Penalty = Annotated[str, Meta(pattern=r"^([0-9]{1,4}[DMY]|LIFE)\Z")]
_Years = Annotated[int, Meta(ge=1, le=150)]
_Number = Annotated[int, Meta(ge=0, le=1000)]

Counted = Literal["conviction", "felony_conviction", "arrest"]
By = Literal["charge", "case", "transaction"]
Same = Literal["subject", "case", "section"]
Start = Literal["conviction", "sentence_end", "release"]
Owed = Literal["restitution", "fines"]

CONVICTION: Final = "conviction"
"""The kind of dispositions that convict, which every table names."""
PENDING: Final = "pending"
"""The kind of dispositions of charges that are open."""
ARREST: Final = "arrest"
"""The kind of an arrest without a disposition, and without one in its cycle."""
LIFE: Final = "LIFE"

OF_SECTIONS: Final = ("sections", "not_sections", "only_sections", "ever_sections", "never_sections")
"""The conditions whose values are sections of law or names of lists."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a table of rules: an unknown field is refused."""


class Punishable(Table, frozen=True, kw_only=True):
    """The longest imprisonment that the law has for the offense: `from_` and `to` include the length itself."""

    from_: Penalty | None = msgspec.field(default=None, name="from")
    above: Penalty | None = None
    below: Penalty | None = None
    to: Penalty | None = None

    def bounds(self) -> tuple[tuple[str, str], ...]:
        """(word, length) of each bound."""
        found = (("from", self.from_), ("above", self.above), ("below", self.below), ("to", self.to))
        return tuple((word, length) for word, length in found if length is not None)


class Which(Table, frozen=True, kw_only=True):
    """Conditions on a charge alone, which hold together; None leaves one out."""

    disposition: Names | None = None
    level: Names | None = None
    level_at_least: Name | None = None
    level_at_most: Name | None = None
    punishable: Punishable | None = None
    sections: Sections | None = None
    not_sections: Sections | None = None
    marks: Texts | None = None
    not_marks: Texts | None = None

    def selection(self) -> tuple[tuple[str, Any], ...]:
        """(name, value) of each condition; convictions are meant where no disposition is named."""
        found = {name: getattr(self, name) for name in Which.__struct_fields__}
        found["disposition"] = self.disposition or (CONVICTION,)
        return tuple((name, value) for name, value in found.items() if value is not None)


class Count(Which, frozen=True, kw_only=True):
    """A number of charges: of the subject, or of the `same` case or section as the charge that is decided on.

    `since` and `within` leave older ones out. `by` counts cases or transactions instead of charges.
    """

    number: _Number
    since: date | None = None
    within: Length | None = None
    by: By = "charge"
    same: Same = "subject"


class Waited(Table, frozen=True, kw_only=True):
    """A time that has passed since the latest of some days, and since the last charge that restarts it."""

    time: Length
    since: Annotated[tuple[Start, ...], Meta(min_length=1)]
    restarted_by: Which | None = None


_Counts = Count | Annotated[tuple[Count, ...], Meta(min_length=1, max_length=8)]


class When(Which, frozen=True, kw_only=True):
    """Conditions, which hold together; None leaves one out. docs/operations.md has the meaning of each."""

    convicted_from: date | None = None
    convicted_before: date | None = None
    age_at_conviction_from: _Years | None = None
    age_at_conviction_below: _Years | None = None
    age_from: _Years | None = None
    age_below: _Years | None = None
    years_since_conviction: _Years | None = None
    sentence: Texts | None = None
    not_sentence: Texts | None = None
    years_since_sentence: _Years | None = None
    all_sentences_ended: Literal[True] | None = None
    years_crime_free: _Years | None = None
    counting: Annotated[tuple[Counted, ...], Meta(min_length=1)] | None = None
    only_sections: Sections | None = None
    ever_sections: Sections | None = None
    never_sections: Sections | None = None
    at_most: _Counts | None = None
    more_than: _Counts | None = None
    waited: Waited | None = None
    no_pending: Literal[True] | None = None
    paid: Annotated[tuple[Owed, ...], Meta(min_length=1)] | None = None
    without_events: Texts | None = None
    deceased: bool | None = None

    def conditions(self) -> tuple[tuple[str, Any], ...]:
        """(name, value) of each condition, in the order in which they are evaluated.

        The value of `years_crime_free` has the events that count beside the number of years; those of `at_most` and
        `more_than` are always several counts.
        """
        found = {name: getattr(self, name) for name in self.__struct_fields__ if name != "counting"}
        if self.years_crime_free is not None:
            found["years_crime_free"] = (self.years_crime_free, self.counting or ("conviction",))
        for name in ("at_most", "more_than"):
            if isinstance(found[name], Count):
                found[name] = (found[name],)
        return tuple((name, value) for name, value in found.items() if value is not None)

    def selections(self) -> Iterator[tuple[str, Which]]:
        """(its place, conditions) of all that is selected: by the conditions themselves, counts and waiting periods."""
        yield "", self
        for name, value in self.conditions():
            if name in {"at_most", "more_than"}:
                yield from ((f", {name}", each) for each in value)
        if self.waited is not None and self.waited.restarted_by is not None:
            yield ", waited, restarted_by", self.waited.restarted_by


def days_of(length: str) -> int:
    """A length of imprisonment in days, to compare lengths: a year has 365 and a month 30, and LIFE has no end."""
    if length == LIFE:
        return LIFELONG
    number, unit = int(length[:-1]), length[-1]
    if unit == "D":
        return number
    years, months = divmod(number * (12 if unit == "Y" else 1), 12)
    return 365 * years + 30 * months


LIFELONG: Final = 10_000 * 365
"""Longer than any length that is written as a number of years."""

"""The facts that conditions were evaluated on, in words, for some charges by position.

Each function returns the pieces of a text, in order: words for all of them, and utf8 arrays with one value each. They
are joined once, because a charge has several.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.clear.when import Count, Waited
from cji_core.operations.clear.words import STARTS, counted_words
from cji_operations.clear.counts import bounds, start
from cji_operations.clear.facts import Facts, years_between

Pieces = tuple[str | pa.Array, ...]


def _text(values: Ints) -> pa.Array:
    return arrow.from_numpy(values).cast(pa.utf8())


def level(facts: Facts, at: Ints) -> Pieces:
    """The name of the level."""
    names = pa.array([*(level.name for level in facts.levels.all), "no level"], pa.utf8())
    position = facts.levels.of_row[at]
    return (names.take(arrow.from_numpy(np.where(position < 0, len(names) - 1, position))),)


def disposition(facts: Facts, at: Ints) -> Pieces:
    """The kind of the disposition."""
    kinds = facts.kinds
    names = pa.array([*kinds.names, "no kind"], pa.utf8())
    kind = kinds.of_row[at]
    return (names.take(arrow.from_numpy(np.where(kind < 0, len(kinds.names), kind))),)


def penalty(facts: Facts, at: Ints) -> Pieces:
    """The maximum penalty, as the records have it."""
    return ("maximum penalty ", _column(facts, "max_penalty", at))


def marks(facts: Facts, at: Ints) -> Pieces:
    """The marks, as the records have them."""
    return ("marks ", _column(facts, "marks", at))


def counted(facts: Facts, at: Ints, value: tuple[Count, ...]) -> Pieces:
    """The number of each count."""
    found = list[str | pa.Array]()
    for count in value:
        least, most = bounds(facts, count)
        same = least[at] == most[at]
        up_to = pa.array(["", " to "], pa.utf8()).take(arrow.from_numpy((~same).astype(np.int64)))
        beyond = pc.if_else(arrow.from_numpy(same), pa.scalar("", pa.utf8()), _text(most[at]))
        found += ["; " if found else "", f"{counted_words(count)}: ", _text(least[at]), up_to, beyond]
    return tuple(found)


def waited(facts: Facts, at: Ints, value: Waited) -> Pieces:
    """The days from which a waiting period is counted."""
    found = list[str | pa.Array]()
    for name in value.since:
        found += ["; " if found else "", f"{STARTS[name]} ", _text(start(facts, name)[at])]
    return tuple(found)


def paid(_facts: Facts, _at: Ints, value: tuple[str, ...]) -> Pieces:
    """The amounts that are paid."""
    return (f"{' and '.join(value)} paid",)


def _column(facts: Facts, name: str, at: Ints) -> pa.Array:
    """utf8: a column of the records; other characters than ASCII are left out."""
    column = facts.text(name).take(arrow.from_numpy(at))
    return pc.replace_substring_regex(column, rb"[^ -~]", b"").view(pa.utf8()).fill_null("none")


def section(facts: Facts, at: Ints) -> Pieces:
    """The citation."""
    return (facts.citations.text(at).view(pa.utf8()).fill_null("no section"),)


def date(facts: Facts, at: Ints) -> Pieces:
    """The date of conviction."""
    return ("convicted ", _text(facts.date[at]))


def since(facts: Facts, at: Ints) -> Pieces:
    """Whole years since the conviction."""
    return (_text(years_between(facts.date[at], facts.as_of)), " years since conviction")


def age(facts: Facts, at: Ints) -> Pieces:
    """The age on the day of decision."""
    return ("age ", _text(years_between(facts.rows.born[facts.subject[at]], facts.as_of)))


def age_then(facts: Facts, at: Ints) -> Pieces:
    """The age on the day of conviction."""
    return ("age at conviction ", _text(years_between(facts.rows.born[facts.subject[at]], facts.date[at])))


def end(facts: Facts, at: Ints) -> Pieces:
    """The day on which the sentence ended."""
    return ("sentence ended ", _text(facts.sentences.end[at]))


def kind(facts: Facts, at: Ints) -> Pieces:
    """The kind of the sentence's first part."""
    return ("sentence ", facts.sentences.first_kind(at).fill_null("none"))


def convictions(facts: Facts, at: Ints) -> Pieces:
    """The number of the subject's convictions."""
    return ("convictions of the subject: ", _text(facts.convictions[facts.subject[at]]))


def last(facts: Facts, at: Ints) -> Pieces:
    """The date of the subject's last conviction."""
    return ("last conviction ", _text(facts.latest[facts.subject[at]]))


def constant(words: str) -> Callable[[Facts, Ints], Pieces]:
    """The same words for every conviction."""
    return lambda _facts, _at: (words,)


def deceased(facts: Facts, at: Ints) -> Pieces:
    """Deceased or not; never unknown where a rule holds."""
    words = pa.array(["not deceased", "", "deceased"], pa.utf8())
    return (words.take(arrow.from_numpy(facts.rows.deceased[facts.subject[at]].astype(np.int64))),)

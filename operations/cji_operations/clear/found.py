"""The facts that conditions were evaluated on, in words, for some convictions by position.

Each function returns the pieces of a text, in order: words for all of them, and utf8 arrays with one value each. They
are joined once, because a conviction has several.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_operations.clear.facts import LEVELS, Facts, years_between

Pieces = tuple[str | pa.Array, ...]


def _text(values: Ints) -> pa.Array:
    return arrow.from_numpy(values).cast(pa.utf8())


def level(facts: Facts, at: Ints) -> Pieces:
    """Felony, misdemeanor or infraction."""
    return (pa.array(LEVELS, pa.utf8()).take(arrow.from_numpy(facts.level[at])),)


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

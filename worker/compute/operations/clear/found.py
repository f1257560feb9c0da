"""The facts that conditions were evaluated on, in words: utf8, for convictions by position."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.compute.kernels.column import Ints
from worker.compute.operations.clear.facts import LEVELS, Facts, years_between
from worker.records import arrow


def _said(before: str, values: Ints | pa.Array, after: str = "") -> pa.Array:
    text = arrow.from_numpy(values) if isinstance(values, np.ndarray) else values
    ends = [pa.scalar(part, pa.utf8()) for part in (before, after, "")]
    return pc.binary_join_element_wise(ends[0], text.cast(pa.utf8()), ends[1], ends[2])


def level(facts: Facts, at: Ints) -> pa.Array:
    """Felony, misdemeanor or infraction."""
    return pa.array(LEVELS, pa.utf8()).take(arrow.from_numpy(facts.level[at]))


def section(facts: Facts, at: Ints) -> pa.Array:
    """The citation."""
    return facts.citations.text().take(arrow.from_numpy(at)).cast(pa.utf8()).fill_null("no section")


def date(facts: Facts, at: Ints) -> pa.Array:
    """The date of conviction."""
    return _said("convicted ", facts.date[at])


def since(facts: Facts, at: Ints) -> pa.Array:
    """Whole years since the conviction."""
    return _said("", years_between(facts.date[at], facts.as_of), " years since conviction")


def age(facts: Facts, at: Ints) -> pa.Array:
    """The age on the day of decision."""
    return _said("age ", years_between(facts.birth()[0][at], facts.as_of))


def age_then(facts: Facts, at: Ints) -> pa.Array:
    """The age on the day of conviction."""
    return _said("age at conviction ", years_between(facts.birth()[0][at], facts.date[at]))


def end(facts: Facts, at: Ints) -> pa.Array:
    """The day on which the sentence ended."""
    return _said("sentence ended ", facts.sentences.end[at])


def kind(facts: Facts, at: Ints) -> pa.Array:
    """The kind of the sentence's first part."""
    return _said("sentence ", facts.sentences.first_kind().take(arrow.from_numpy(at)).fill_null("none"))


def convictions(facts: Facts, at: Ints) -> pa.Array:
    """The number of the subject's convictions."""
    number = np.bincount(facts.subject, minlength=facts.rows.k + 1)
    return _said("convictions of the subject: ", number[facts.subject[at]])


def last(facts: Facts, at: Ints) -> pa.Array:
    """The date of the subject's last conviction."""
    latest = np.zeros(facts.rows.k + 1, np.int64)
    np.maximum.at(latest, facts.subject, facts.date)
    return _said("last conviction ", latest[facts.subject[at]])


def constant(words: str) -> Callable[[Facts, Ints], pa.Array]:
    """The same words for every conviction."""
    return lambda _, at: pa.repeat(pa.scalar(words, pa.utf8()), len(at))


def deceased(facts: Facts, at: Ints) -> pa.Array:
    """Deceased or not; never unknown where a rule holds."""
    words = pa.array(["not deceased", "", "deceased"], pa.utf8())
    return words.take(arrow.from_numpy(facts.rows.deceased[facts.subject[at]].astype(np.int64)))

"""The conditions of rules: each evaluates to yes, no or unknown, and puts in words what it found.

`CONDITIONS` has them by the names of their fields in a table; `words.REQUIRES` has what each requires.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow, dates
from cji_core.format.records.column import Bools, Ints, read
from cji_operations.clear import counts, found
from cji_operations.clear.facts import Facts, years_between
from cji_operations.clear.found import Pieces
from cji_operations.clear.selection import SELECT
from cji_operations.clear.truth import Truth, opposite, truth
from cji_operations.kernels.strings import folded, trimmed


class Cause(enum.Enum):
    """The fact for want of which a charge in scope was not decided, in words."""

    NO_SUBJECT = "the row names no subject"
    COUNTY = "the county is missing"
    SECTION = "the section of law is missing, or too short to distinguish from a listed one"
    DISPOSITION = "the disposition is not one that the table lists, or the cycle of the arrest is missing"
    LEVEL = "the level of the offense, or the maximum penalty that decides on it, is missing"
    PENALTY = "the maximum penalty of the offense is missing"
    MARKS = "the record has no marks of the offense"
    CONVICTION_DATE = "the date of the event is missing, partial or in the future"
    BIRTH_DATE = "the date of birth is missing, partial, contradictory, or later than the conviction"
    AGE_AT_CONVICTION = "the date of birth or that of the event is missing, partial or contradictory"
    SENTENCE = "the sentence, its length or the date of the event is missing"
    OTHER_SENTENCE = "a sentence of the subject has no length or no date"
    OTHER_SECTION = "a conviction of the subject has no section, or one too short to distinguish from a listed one"
    OTHER_EVENT = "an event of the subject has no usable date, no name or no level"
    DECEASED = "the record does not state whether the subject is deceased"
    HISTORY = "a charge of the subject that may count has a fact that is missing"
    WAITING = "a day from which a waiting period is counted, or a charge that may restart it, is missing"
    PENDING = "the record does not state whether a charge is pending"
    PAID = "the record does not state whether restitution or fines are paid"
    CASE = "the case is missing"
    OTHER_CHARGE = "another charge of the case is not decided"
    NO_RULE = "no rule of the table applies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition.

    `holds` is Truth[c] of it with this value, and `cause` the fact that is missing where it is unknown. `found` has the
    fact that was evaluated, for charges by position, given the value too where it depends on it.
    """

    cause: Cause
    holds: Callable[[Facts, Any], Truth]
    found: Callable[[Facts, Ints], Pieces] | None = None
    found_for: Callable[[Facts, Ints, Any], Pieces] | None = None

    def words(self, facts: Facts, at: Ints, value: Any) -> Pieces:
        """The fact that was evaluated, as pieces of a text."""
        if self.found is not None:
            return self.found(facts, at)
        return self.found_for(facts, at, value) if self.found_for is not None else ()


def in_county(facts: Facts, county: str) -> Truth:
    """Truth[c]: the court is in this county; ASCII case and outer blanks make no difference."""
    names = trimmed(folded(facts.county))
    same = pc.equal(names, pa.scalar(county.strip().upper().encode(), pa.binary())).fill_null(False)
    return truth(arrow.bools(same), read(names).filled)


# ---------------------------------------------------------------- the facts of charges


def _age(facts: Facts, holds: Callable[[Ints], Bools]) -> Truth:
    born, known = facts.birth()
    return truth(holds(years_between(born, facts.as_of)), known)


def _age_then(facts: Facts, holds: Callable[[Ints], Bools]) -> Truth:
    born, known = facts.birth()
    return truth(holds(years_between(born, facts.date)), known & (facts.date > 0))


def _dated(facts: Facts, holds: Bools) -> Truth:
    return truth(holds, facts.date > 0)


def _ended(facts: Facts, years: int) -> Truth:
    """The sentence ended at least so many years ago."""
    end = facts.sentences.end
    return truth((end <= facts.as_of) & (years_between(end, facts.as_of) >= years), end > 0)


# ---------------------------------------------------------------- the facts of subjects


def _crime_free(facts: Facts, value: tuple[int, Sequence[str]]) -> Truth:
    """No event that counts lies in the years before the day of decision; one without a date may."""
    years, kinds = value
    rows = facts.rows
    recent = truth(years_between(rows.date, facts.as_of) < years, rows.date > 0)
    counted = np.max([_counts(facts, kind) for kind in kinds], axis=0)
    return opposite(facts.any_event(np.minimum(recent, counted)))


def _counts(facts: Facts, kind: str) -> Truth:
    """Truth[n]: the row is an event of this kind."""
    rows = facts.rows
    if kind == "arrest":
        return rows.event.begins(("ARREST",))
    return rows.convicted if kind == "conviction" else np.minimum(rows.convicted, rows.levels.called(("felony",)))


def _paid(facts: Facts, owed: Sequence[str]) -> Truth:
    found: Truth = np.min([facts.flag(f"{name}_paid") for name in owed], axis=0)
    return found


def _without(facts: Facts, words: Sequence[str]) -> Truth:
    return opposite(facts.any_event(facts.rows.event.begins(words)))


def _never(facts: Facts, of: Truth) -> Truth:
    return opposite(facts.any_conviction(of))


def _alone(name: str, cause: Cause, words: Callable[[Facts, Ints], Pieces]) -> Condition:
    """A condition on a charge alone."""
    return Condition(cause=cause, holds=SELECT[name], found=words)


CONDITIONS: Final[Mapping[str, Condition]] = {
    "disposition": _alone("disposition", Cause.DISPOSITION, found.disposition),
    "level": _alone("level", Cause.LEVEL, found.level),
    "level_at_least": _alone("level_at_least", Cause.LEVEL, found.level),
    "level_at_most": _alone("level_at_most", Cause.LEVEL, found.level),
    "punishable": _alone("punishable", Cause.PENALTY, found.penalty),
    "sections": _alone("sections", Cause.SECTION, found.section),
    "not_sections": _alone("not_sections", Cause.SECTION, found.section),
    "marks": _alone("marks", Cause.MARKS, found.marks),
    "not_marks": _alone("not_marks", Cause.MARKS, found.marks),
    "convicted_from": Condition(
        cause=Cause.CONVICTION_DATE, holds=lambda f, v: _dated(f, f.date >= dates.number_of(v)), found=found.date
    ),
    "convicted_before": Condition(
        cause=Cause.CONVICTION_DATE, holds=lambda f, v: _dated(f, f.date < dates.number_of(v)), found=found.date
    ),
    "age_at_conviction_from": Condition(
        cause=Cause.AGE_AT_CONVICTION, holds=lambda f, v: _age_then(f, lambda age: age >= v), found=found.age_then
    ),
    "age_at_conviction_below": Condition(
        cause=Cause.AGE_AT_CONVICTION, holds=lambda f, v: _age_then(f, lambda age: age < v), found=found.age_then
    ),
    "age_from": Condition(cause=Cause.BIRTH_DATE, holds=lambda f, v: _age(f, lambda age: age >= v), found=found.age),
    "age_below": Condition(cause=Cause.BIRTH_DATE, holds=lambda f, v: _age(f, lambda age: age < v), found=found.age),
    "years_since_conviction": Condition(
        cause=Cause.CONVICTION_DATE,
        holds=lambda f, v: _dated(f, years_between(f.date, f.as_of) >= v),
        found=found.since,
    ),
    "sentence": Condition(cause=Cause.SENTENCE, holds=lambda f, v: f.sentences.has(v), found=found.kind),
    "not_sentence": Condition(cause=Cause.SENTENCE, holds=lambda f, v: opposite(f.sentences.has(v)), found=found.kind),
    "years_since_sentence": Condition(cause=Cause.SENTENCE, holds=_ended, found=found.end),
    "all_sentences_ended": Condition(
        cause=Cause.OTHER_SENTENCE,
        holds=lambda f, _: _never(f, opposite(_ended(f, 0))),
        found=found.constant("all sentences of the subject have ended"),
    ),
    "years_crime_free": Condition(cause=Cause.OTHER_EVENT, holds=_crime_free, found=found.last),
    "only_sections": Condition(
        cause=Cause.OTHER_SECTION, holds=lambda f, v: _never(f, opposite(f.listed(v))), found=found.convictions
    ),
    "ever_sections": Condition(
        cause=Cause.OTHER_SECTION, holds=lambda f, v: f.any_conviction(f.listed(v)), found=found.convictions
    ),
    "never_sections": Condition(
        cause=Cause.OTHER_SECTION, holds=lambda f, v: _never(f, f.listed(v)), found=found.convictions
    ),
    "at_most": Condition(cause=Cause.HISTORY, holds=counts.at_most, found_for=found.counted),
    "more_than": Condition(cause=Cause.HISTORY, holds=counts.more_than, found_for=found.counted),
    "waited": Condition(cause=Cause.WAITING, holds=counts.waited, found_for=found.waited),
    "no_pending": Condition(
        cause=Cause.PENDING,
        holds=lambda f, _: opposite(f.rows.pending[f.subject]),
        found=found.constant("no charge is pending"),
    ),
    "paid": Condition(cause=Cause.PAID, holds=_paid, found_for=found.paid),
    "without_events": Condition(
        cause=Cause.OTHER_EVENT, holds=_without, found=found.constant("no such event of the subject")
    ),
    "deceased": Condition(
        cause=Cause.DECEASED,
        holds=lambda f, v: f.rows.deceased[f.subject] if v else opposite(f.rows.deceased[f.subject]),
        found=found.deceased,
    ),
}
"""By name. A condition that is unknown for a charge leaves it undecided, with its cause."""

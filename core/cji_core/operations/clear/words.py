"""A table of rules in words, for those who have to answer for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from cji_core.operations.clear.rules import Rules, When


def _passed(since: str) -> Callable[[int], str]:
    return lambda years: f"{since} was at least {_count(years)} ago"


def _count(years: int) -> str:
    return "1 year" if years == 1 else f"{years} years"


def _names(intro: str) -> Callable[[Any], str]:
    return lambda values: f"{intro} {' or '.join(values)}"


def _free(value: tuple[int, Sequence[str]]) -> str:
    years, kinds = value
    events = " or ".join(kind.replace("_", " ") for kind in kinds)
    return f"the subject has no {events} within {_count(years)}"


REQUIRES: Final[Mapping[str, Callable[[Any], str]]] = {
    "level": _names("the level is"),
    "sections": _names("the section is among"),
    "not_sections": _names("the section is not among"),
    "convicted_from": "the conviction is of {} or later".format,
    "convicted_before": "the conviction is before {}".format,
    "age_at_conviction_from": "the subject was {} or older at conviction".format,
    "age_at_conviction_below": "the subject was younger than {} at conviction".format,
    "age_from": "the subject is {} or older".format,
    "age_below": "the subject is younger than {}".format,
    "years_since_conviction": _passed("the conviction"),
    "sentence": _names("the sentence has a part of"),
    "not_sentence": _names("the sentence has no part of"),
    "years_since_sentence": _passed("the end of the sentence"),
    "all_sentences_ended": lambda _: "all sentences of the subject have ended",
    "years_crime_free": _free,
    "only_sections": _names("all convictions of the subject are among"),
    "ever_sections": _names("the subject has a conviction among"),
    "never_sections": _names("the subject has no conviction among"),
    "without_events": _names("the subject has no event of"),
    "deceased": lambda v: "the subject is deceased" if v else "the subject is not deceased",
}
"""The requirement of each condition of a table in words, given its value."""


def in_words(rules: Rules) -> Iterator[str]:
    """The lines of a text that explains the whole table."""
    yield f"{rules.state}: {rules.title}"
    if rules.notice:
        yield rules.notice
    yield ""
    yield "Sources"
    yield from (f"  {source}" for source in rules.sources)
    yield ""
    yield f"A conviction is an event whose disposition begins with {' or '.join(rules.convicted)}."
    yield "The table decides on a conviction where"
    yield from _conditions(rules.scope)
    yield ""
    yield "The first rule whose conditions all hold decides. A fact that is missing leaves a conviction undecided."
    for number, rule in enumerate(rules.rules, 1):
        effect = "not eligible" if rule.relief == "none" else rule.relief
        yield ""
        yield f"{number}. {rule.id}: {effect}. {rule.reason}"
        yield from _conditions(rule.when)
        yield f"   Source: {rule.source}"
    for name, sections in rules.lists.items():
        yield ""
        yield f"{name}: {', '.join(sections)}"


def reason_of(rule_id: str, cause: str) -> str:
    """The words of a conviction that was not decided; `rule_id` "" where no rule was reached or none applies."""
    return f"Rule {rule_id} needs a fact: {cause}." if rule_id else f"{cause[:1].upper()}{cause[1:]}."


def _conditions(when: When) -> Iterator[str]:
    conditions = when.conditions()
    if not conditions:
        yield "   - always"
    yield from (f"   - {REQUIRES[name](value)}" for name, value in conditions)

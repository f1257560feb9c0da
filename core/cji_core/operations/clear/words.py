"""A table of rules in words, for those who have to answer for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from cji_core.operations.clear.rules import NONE, Rules
from cji_core.operations.clear.when import LIFE, Count, Punishable, Waited, When, Which


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


def _time(length: str) -> str:
    """A length in words: `7Y` is 7 years."""
    if length == LIFE:
        return "life"
    number, unit = int(length[:-1]), {"D": "day", "M": "month", "Y": "year"}[length[-1]]
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_BOUNDS: Final = {"from": "at least {}", "above": "more than {}", "below": "less than {}", "to": "at most {}"}


def _punishable(value: Punishable) -> str:
    bounds = " and ".join(_BOUNDS[word].format(_time(length)) for word, length in value.bounds())
    return f"the maximum penalty is {bounds}"


_SELECT: Final[Mapping[str, Callable[[Any], str]]] = {
    "disposition": _names("the disposition is"),
    "level": _names("the level is"),
    "level_at_least": "the level is {} or graver".format,
    "level_at_most": "the level is {} or less grave".format,
    "punishable": _punishable,
    "sections": _names("the section is among"),
    "not_sections": _names("the section is not among"),
    "marks": _names("the offense is marked"),
    "not_marks": _names("the offense is not marked"),
}


def selected_words(which: Which) -> str:
    """A selection of charges."""
    conditions = [
        _SELECT[name](value) for name, value in which.selection() if which.disposition or name != "disposition"
    ]
    of = "charges" if which.disposition else "convictions"
    return f"{of} of which {' and '.join(conditions)}" if conditions else of


_SAME: Final = {"subject": "", "case": "of the same case", "section": "of the same section"}
_BY: Final = {"charge": "", "case": "counted by case", "transaction": "counted by transaction"}


def counted_words(count: Count) -> str:
    """The charges that a count is about."""
    when = f"since {count.since}" if count.since else f"within {_time(count.within)}" if count.within else ""
    return " ".join(filter(None, (selected_words(count), _SAME[count.same], when, _BY[count.by])))


def _counts(intro: str) -> Callable[[tuple[Count, ...]], str]:
    return lambda counts: " and ".join(
        f"the subject has {intro} {each.number} {counted_words(each)}" for each in counts
    )


STARTS: Final = {"conviction": "conviction", "sentence_end": "end of the sentence", "release": "release"}
"""The days from which a waiting period is counted."""


def _waited(value: Waited) -> str:
    days = " and ".join(STARTS[name] for name in value.since)
    again = (
        f", and after the last of the {selected_words(value.restarted_by)}" if value.restarted_by is not None else ""
    )
    return f"at least {_time(value.time)} after the {days}{again}"


REQUIRES: Final[Mapping[str, Callable[[Any], str]]] = {
    **_SELECT,
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
    "at_most": _counts("at most"),
    "more_than": _counts("more than"),
    "waited": _waited,
    "no_pending": lambda _: "no charge against the subject is pending",
    "paid": lambda owed: f"all {' and '.join(owed)} are paid",
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
    yield from _of_records(rules)
    yield f"The table decides on a charge of the kind {' or '.join(rules.decides)} where"
    yield from _conditions(rules.scope)
    yield ""
    yield "The first rule whose conditions all hold decides. A fact that is missing leaves a charge undecided."
    for number, rule in enumerate(rules.rules, 1):
        effect = (
            "not eligible"
            if rule.relief == NONE
            else rule.relief + (" by petition" if rule.relief in rules.petitions else "")
        )
        yield ""
        yield f"{number}. {rule.id}: {effect}. {rule.reason}"
        yield from _conditions(rule.when)
        yield f"   Source: {rule.source}"
    for name, sections in rules.lists.items():
        yield ""
        yield f"{name}: {', '.join(sections)}"


def _of_records(rules: Rules) -> Iterator[str]:
    """How the table reads dispositions, levels, transactions and cases."""
    for kind, words in rules.dispositions.items():
        yield f"A disposition that begins with {' or '.join(words)} is of the kind {kind}."
    unlisted = "may be a conviction" if rules.unlisted == "unknown" else "is not a conviction"
    yield f"Another disposition {unlisted}."
    levels = (
        level.name + (f" ({_punishable(level.punishable)})" if level.punishable is not None else "")
        for level in rules.levels
    )
    yield f"The levels, the gravest first, are {', '.join(levels)}."
    if rules.transaction_unless:
        apart = ", or ".join(map(selected_words, rules.transaction_unless))
        yield f"The charges of one transaction count once, unless there are {apart}."
    if rules.whole_case is not None:
        yield f"{rules.whole_case.id}: not eligible. {rules.whole_case.reason} Source: {rules.whole_case.source}"


def reason_of(rule_id: str, cause: str) -> str:
    """The words of a charge that was not decided; `rule_id` "" where no rule was reached or none applies."""
    return f"Rule {rule_id} needs a fact: {cause}." if rule_id else f"{cause[:1].upper()}{cause[1:]}."


def _conditions(when: When) -> Iterator[str]:
    conditions = when.conditions()
    if not conditions:
        yield "   - always"
    yield from (f"   - {REQUIRES[name](value)}" for name, value in conditions)

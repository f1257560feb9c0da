"""A table of rules in words, for those who have to answer for it."""

from collections.abc import Iterator

from cji_operations.clear.conditions import CONDITIONS
from cji_operations.clear.rules import Rules, When


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
        given = "not eligible" if rule.relief == "none" else rule.relief
        yield ""
        yield f"{number}. {rule.id}: {given}. {rule.reason}"
        yield from _conditions(rule.when)
        yield f"   Source: {rule.source}"
    for name, sections in rules.lists.items():
        yield ""
        yield f"{name}: {', '.join(sections)}"


def reason_of(rule_id: str, cause: str) -> str:
    """The words of a conviction that was not decided; `rule_id` "" where no rule was reached or none applies."""
    return f"Rule {rule_id} needs a fact: {cause}." if rule_id else f"{cause[:1].upper()}{cause[1:]}."


def _conditions(when: When) -> Iterator[str]:
    given = when.given()
    if not given:
        yield "   - always"
    yield from (f"   - {CONDITIONS[name].requires(value)}" for name, value in given)

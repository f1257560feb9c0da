"""One change to a valid report brings exactly the rules foreseen; the table is tests/support/nibrs_mutations.py."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from cji_operations.validate import Findings, load_rule_set
from tests.reference import nibrs as nibrs_twin
from tests.support.nibrs_exceptions import EXCEPTIONS, OF_INCIDENTS
from tests.support.nibrs_mutations import MUTATIONS, RULES_WITHOUT, Mutation
from tests.support.nibrs_reports import (
    REPORTS,
    edit,
    lines,
    then,
    with_fields,
)
from tests.support.nibrs_tools import TODAY, as_found, judged

SETS = ("nibrs/2019", "nibrs/3.1", "nibrs/2016")


@pytest.mark.parametrize("rule_set", SETS)
@pytest.mark.parametrize("name", REPORTS)
def test_valid_reports_have_no_findings(name: str, rule_set: str) -> None:
    found = judged(b"\r\n".join(lines(REPORTS[name])), rule_set)
    expected = {85} if (name, rule_set) == ("brawl", "nibrs/2016") else set()
    assert set(found.rule.tolist()) == expected
    assert found.reports.accepted.all() == (not expected)


@pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=[f"{i}-{m.rule:03d}-{m.report.replace(' ', '-')}" for i, m in enumerate(MUTATIONS)]
)
def test_a_change_brings_the_rules_foreseen(mutation: Mutation) -> None:
    _as_foreseen(mutation)


@pytest.mark.parametrize(
    "mutation", EXCEPTIONS, ids=[f"{i}-{m.rule:03d}-{m.report.replace(' ', '-')}" for i, m in enumerate(EXCEPTIONS)]
)
def test_an_exception_is_not_found(mutation: Mutation) -> None:
    assert mutation.rule not in mutation.foreseen
    _as_foreseen(mutation)


def _as_foreseen(mutation: Mutation) -> None:
    found = _judged(mutation)
    assert set(found.rule.tolist()) == mutation.foreseen
    once = set(zip(found.row.tolist(), found.rule.tolist(), found.element.tolist(), strict=True))
    assert len(found.rule) == len(once)  # one fault of a data element is one finding of a rule
    if not mutation.also:  # the twin knows no rules that were withdrawn
        assert as_found(found) == nibrs_twin.judge(
            lines(mutation.change(REPORTS[mutation.report])),
            rule_set=mutation.rule_set,
            today=TODAY,
            agencies=None if mutation.agency is None else {mutation.agency["ori"]: _agency(mutation.agency)},
            filed=[
                (row["kind"], row["ori"].ljust(9) + row["number"].ljust(12), row["sequence"], _day(row["date"]))
                for row in mutation.filed
            ],
        )


@pytest.mark.parametrize("rule", sorted(OF_INCIDENTS))
def test_updates_are_not_asked_to_be_whole_incidents(rule: int) -> None:
    """The same changes in reports of action M, which levels 2, 4 and 5 do not have."""
    for mutation in (one for one in MUTATIONS if one.rule == rule and not one.filed):
        update = replace(mutation, change=then(mutation.change, edit("*", action="M")))
        found = set(_judged(update).rule.tolist())
        assert found
        assert not found & OF_INCIDENTS


def test_a_byte_that_is_not_ascii_is_found_once_by_its_number() -> None:
    made = lines(with_fields(REPORTS["robbery"], "*", number="20\x8012345"))
    assert Counter(judged(b"\n".join(made)).rule.tolist()) == {117: 1, 217: 1, 317: 1, 417: 1, 517: 1, 617: 1}


def _judged(mutation: Mutation) -> Findings:
    return judged(
        b"\n".join(lines(mutation.change(REPORTS[mutation.report]))),
        mutation.rule_set,
        also=mutation.also,
        agencies=None if mutation.agency is None else [mutation.agency],
        filed=mutation.filed,
    )


def _day(text: str) -> int | None:
    return int(text) if text else None


def _agency(row: Mapping[str, str]) -> nibrs_twin.Agency:
    return nibrs_twin.Agency(
        status=row["status"],
        start=_day(row.get("nibrs_start", "")),
        inactive=_day(row.get("inactive_from", "")),
        covered=_day(row.get("covered_from", "")),
        federal=row.get("federal") == "Y",
    )


def test_every_rule_has_a_change_or_a_reason() -> None:
    rules = {rule.number for rule in load_rule_set("nibrs/3.1").rules}
    assert rules == {mutation.rule for mutation in MUTATIONS} | RULES_WITHOUT.keys()
    assert not RULES_WITHOUT.keys() & {mutation.rule for mutation in MUTATIONS}


def test_every_line_of_the_rules_finds_something() -> None:
    """Lines, not rules: one rule may judge several data elements and tables."""
    found: set[int] = set()
    for mutation in MUTATIONS:
        found |= set(_judged(mutation).message.tolist())
    rules = load_rule_set("nibrs/3.1").rules
    missing = [line for line, rule in enumerate(rules) if rule.when is not None and line not in found]
    assert [(rules[line].number, rules[line].on, rules[line].element) for line in missing] == []

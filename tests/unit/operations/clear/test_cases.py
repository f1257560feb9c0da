"""The shipped tables decide each hand-written history as its paragraph of the law says, and so does the slow twin."""

from pathlib import Path

import pytest

from tests.reference.clear import Outcome, determine
from tests.support.clear_cases import CASES, Case, listed, shipped
from tests.support.clear_tools import outcomes, run


def words(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    return outcome.cause or f"{outcome.relief} by {outcome.rule}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.law} {case.says[:24]}")
def test_a_history_is_decided_as_the_law_says(case: Case) -> None:
    found = outcomes(run(case.rows, shipped(case.table), as_of=case.as_of))
    assert [words(found.get(row)) for row in range(len(case.rows))] == case.expected
    assert found == determine(case.rows, shipped(case.table), case.as_of)


@pytest.mark.parametrize("table", sorted({case.table for case in CASES}))
def test_every_rule_of_a_table_decides_a_case(table: str) -> None:
    decided = {outcome.rpartition(" by ")[2] for case in CASES if case.table == table for outcome in case.expected}
    assert {rule.id for rule in shipped(table).rules} - decided == set()


def test_the_cases_are_listed_in_the_documentation() -> None:
    assert Path("docs/clear-cases.md").read_text(encoding="utf-8") == listed()

"""Every determination equals the slow twin's, and a fact that is taken away makes nobody eligible."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.clear import cited, determine, is_among
from tests.support.clear_draws import CONDITION, LISTED, SECTIONS, events, tables
from tests.support.clear_tools import AS_OF, batch, outcomes, run, table
from worker.compute.operations.clear import Rules
from worker.compute.operations.clear.citations import Patterns, read_citations
from worker.compute.operations.clear.conditions import CONDITIONS
from worker.compute.operations.clear.rules import problems


def test_every_condition_of_a_table_is_drawn() -> None:
    assert CONDITION.keys() == CONDITIONS.keys()


@settings(max_examples=600)
@given(st.lists(events, max_size=8), tables(), st.sampled_from(["", "", "HERE"]))
def test_determinations_equal_the_twins(rows: list[dict[str, Any]], rules: Rules, county: str) -> None:
    """Tables that name no list, or shadow a rule, are no valid parameters; the decision does not depend on that."""
    if problems(rules):
        return
    assert outcomes(run(rows, rules, county=county)) == determine(rows, rules, AS_OF, county)


@settings(max_examples=300)
@given(st.lists(events, min_size=1, max_size=6), tables(), st.data())
def test_a_fact_taken_away_makes_nobody_eligible(rows: list[dict[str, Any]], rules: Rules, data: st.DataObject) -> None:
    """Nobody has a relief afterwards who had another one, or none, before: the fact was needed, or it was not."""
    if problems(rules):
        return
    before = outcomes(run(rows, rules))
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(["date", "level", "sentence_length", "sentence", "offense"]))
    if name == "offense" and (rows[at]["offense_code"] or rows[at]["comment"]):
        return  # another text steps in
    if rows[at]["count"] is not None and name == "date":
        return  # the parts of one conviction have the date of the first one
    after = outcomes(run([row | {name: None} if i == at else row for i, row in enumerate(rows)], rules))
    for row, outcome in after.items():
        if outcome.relief is not None:
            assert before[row] == outcome


@settings(max_examples=300)
@given(st.lists(events, max_size=8), tables(), st.data())
def test_order_and_type_of_columns_make_no_difference(
    rows: list[dict[str, Any]], rules: Rules, data: st.DataObject
) -> None:
    if problems(rules):
        return
    records = batch(rows)
    names = data.draw(st.permutations(records.schema.names))
    other = run(batch(rows, names, binary=data.draw(st.booleans())), rules)
    assert outcomes(other) == outcomes(run(records, rules))


@settings(max_examples=500)
@given(
    st.text(alphabet="0123456789.()/-& ABHSPC\n", max_size=24) | st.sampled_from(SECTIONS),
    st.lists(st.sampled_from(LISTED), min_size=1, max_size=3, unique=True),
)
def test_citations_equal_the_twins(text: str, sections: list[str]) -> None:
    rules = table({"sections": tuple(sections)})
    found = read_citations([pa.array([text.encode()], pa.binary())], laws=rules.laws, hyphenated=False)
    expected = cited(text, rules)
    section, second = (None, None) if expected is None else expected
    text_of = None if section is None else f"{section[0]}{''.join(section[1])} {section[2]}".encode()
    assert found.text().to_pylist() == [text_of]
    listed_ = Patterns.of(sections, hyphenated=False)
    truth = found.among(listed_, listed_.alone).tolist()[0]
    assert {0: False, 1: None, 2: True}[truth] == is_among(section, second, sections, rules)

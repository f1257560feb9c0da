"""Every determination equals the slow twin's, and a fact that is taken away makes nobody eligible."""

import datetime
from typing import Any

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cji_core.operations.clear import Count, Level, Punishable, Rules, Waited, When, Which, WholeCase
from cji_core.operations.clear.reading import problems
from cji_core.operations.clear.sections import Patterns
from cji_operations.clear.citations import read_citations
from cji_operations.clear.conditions import CONDITIONS
from tests.reference.clear import cited, determine, is_among
from tests.support.clear_tools import AS_OF, batch, outcomes, run, table

SECTIONS = ["11357(A) HS-POSSESS", "11357(B)(2) HS", "11357 HS", "11358 HS-X", "664/11358 HS", "459 PC-BURGLARY", "???"]
LISTED = ["113* HS", "11357 HS", "11357(a) HS", "11357(b) HS", "11357() HS", "11358 HS", "459 PC"]
days = st.sampled_from(
    [
        "19800229",
        "20040229",
        "2005-03-01",
        "20160201",
        "20160202",
        "20240229",
        "20260201",
        "20260202",
        "2001-XX-01",
        "x",
    ]
)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """These values, or seldom none: a history without facts decides nothing."""
    return st.integers(0, 9).flatmap(lambda chance: values if chance else st.none())


events = st.fixed_dictionaries(
    {
        "subject": maybe(st.sampled_from(["S1", "S1", "S1", "S2"])),
        "DOB": st.sampled_from(["19800229"] * 9 + ["20060201", "?"]),
        "count": maybe(st.sampled_from(["001", "002"])),
        "event": maybe(st.sampled_from(["COURT ACTION", "arrest/cited", "REGISTRATION", "DECEASED"])),
        "date": maybe(days),
        "county": maybe(st.sampled_from(["HERE", "here ", "THERE"])),
        "offense_code": maybe(st.sampled_from(["", "35036", "459 pc"])),
        "offense": maybe(st.sampled_from([*SECTIONS, "SEE COMMENT FOR CHARGE"])),
        "comment": maybe(st.sampled_from(SECTIONS)),
        "level": maybe(st.sampled_from(["F", "misdemeanor", " I", "N", "F2", "ungraded"])),
        "disposition": maybe(
            st.sampled_from(
                ["CONVICTED", "convicted-prob", "CONVICTED", "DISMISSED", "CONVICTED IN ABSENCE", "PENDING"]
            )
        ),
        "sentence": maybe(st.sampled_from(["JAIL", "STATE PRISON", "probation"])),
        "sentence_length": maybe(st.sampled_from(["10D", "16m", "3Y", "0 D", "9999Y", "LIFE"])),
        "deceased": maybe(st.booleans()),
        "cycle": maybe(st.sampled_from(["1", "2"])),
        "case": maybe(st.sampled_from(["C1", "C2"])),
        "transaction": maybe(st.sampled_from(["T1", "T2"])),
        "offense_date": maybe(st.sampled_from(["20000101", "20000102", "20000103", "20000105", "x"])),
        "max_penalty": maybe(st.sampled_from(["92D", "93d", "12M", "1Y", "10Y", " life", "?"])),
        "marks": maybe(st.sampled_from(["NONE", "assaultive;minor", "MINOR", ""])),
        "discharged": st.sampled_from([None, None, "20100101", "20230101", "x"]),
        "released": st.sampled_from([None, None, "20100101", "20220630", "x"]),
        "pending": maybe(st.booleans()),
        "restitution_paid": maybe(st.booleans()),
        "fines_paid": maybe(st.booleans()),
    }
)
listed = st.lists(st.sampled_from([*LISTED, "named"]), min_size=1, max_size=3, unique=True).map(tuple)
years = st.integers(1, 60)
dates = st.sampled_from([datetime.date(2005, 3, 1), datetime.date(2016, 2, 2)])
LEVELS = (
    Level(name="felony", words=("F", "FELONY"), punishable=Punishable(above="1Y")),
    Level(name="second", words=("F2",), family="felony"),
    Level(name="ungraded", words=("UNGRADED",), ranked=False),
    Level(name="misdemeanor", words=("M", "MISDEMEANOR"), penalty="93D"),
    Level(name="infraction", words=("I",)),
)
PUNISHABLE = st.sampled_from(
    [Punishable(to="92D"), Punishable(from_="93D", below="1Y"), Punishable(above="10Y"), Punishable(from_="LIFE")]
)
CHARGE: dict[str, st.SearchStrategy[Any]] = {
    "disposition": st.sampled_from([("conviction",), ("arrest",), ("conviction", "arrest")]),
    "level": st.lists(st.sampled_from(["felony", "misdemeanor", "infraction"]), min_size=1, unique=True).map(tuple),
    **dict.fromkeys(("level_at_least", "level_at_most"), st.sampled_from(["felony", "misdemeanor"])),
    "punishable": PUNISHABLE,
    **dict.fromkeys(("sections", "not_sections"), listed),
    **dict.fromkeys(("marks", "not_marks"), st.sampled_from([("MINOR",), ("minor", "ASSAULTIVE")])),
}
times = st.sampled_from(["1Y", "5Y", "20Y", "60M", "120M", "366D", "9999D"])


@st.composite
def chosen(draw: st.DrawFn, /, kind: type[Any] = Which, **more: st.SearchStrategy[Any]) -> Any:
    names = draw(st.lists(st.sampled_from(sorted(CHARGE)), max_size=2, unique=True))
    return kind(**{name: draw(CHARGE[name]) for name in names}, **{name: draw(value) for name, value in more.items()})


COUNTS = st.lists(
    chosen(Count, number=st.integers(0, 3), by=st.sampled_from(["charge", "case", "transaction"]))
    | chosen(Count, number=st.integers(0, 2), by=st.just("transaction"))
    | chosen(Count, number=st.integers(0, 2), same=st.sampled_from(["case", "section"]))
    | chosen(Count, number=st.integers(0, 2), within=times)
    | chosen(Count, number=st.integers(0, 2), since=dates),
    min_size=1,
    max_size=2,
).map(tuple)
CONDITION: dict[str, st.SearchStrategy[Any]] = {
    **CHARGE,
    **dict.fromkeys(("only_sections", "ever_sections", "never_sections"), listed),
    **dict.fromkeys(("convicted_from", "convicted_before"), dates),
    **dict.fromkeys(("age_at_conviction_from", "age_at_conviction_below", "age_from", "age_below"), years),
    **dict.fromkeys(("years_since_conviction", "years_since_sentence", "years_crime_free"), years),
    **dict.fromkeys(("sentence", "not_sentence"), st.sampled_from([("PRISON",), ("jail", "PROB")])),
    "all_sentences_ended": st.just(True),
    **dict.fromkeys(("at_most", "more_than"), COUNTS),
    "waited": st.builds(
        Waited,
        time=times,
        since=st.lists(st.sampled_from(["conviction", "sentence_end", "release"]), min_size=1, unique=True).map(tuple),
        restarted_by=st.none() | chosen(),
    ),
    "no_pending": st.just(True),
    "paid": st.sampled_from([("restitution",), ("restitution", "fines")]),
    "without_events": st.sampled_from([("REGISTRATION",), ("reg", "ARREST")]),
    "deceased": st.booleans(),
}


@st.composite
def conditions(draw: st.DrawFn, most: int = 3, least: int = 1) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(CONDITION)), min_size=least, max_size=most, unique=True))
    if {"convicted_from", "convicted_before"} <= set(names):
        names.remove("convicted_from")
    found = {name: draw(CONDITION[name]) for name in names}
    if "years_crime_free" in found and draw(st.booleans()):
        kinds = st.sampled_from(["conviction", "felony_conviction", "arrest"])
        found["counting"] = draw(st.lists(kinds, min_size=1, unique=True).map(tuple))
    return found


@st.composite
def tables(draw: st.DrawFn) -> Rules:
    rules = draw(st.lists(conditions(), min_size=1, max_size=4))
    reliefs = draw(st.lists(st.sampled_from(["dismiss", "none"]), min_size=4, max_size=4))
    named = draw(st.lists(st.sampled_from(LISTED), min_size=1, max_size=2, unique=True).map(tuple))
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        more = {
            "dispositions": {
                "conviction": ("CONVICTED",),
                "dismissed": ("DISMISSED", "CONVICTED IN ABSENCE"),
                "pending": ("PENDING",),
            },
            "decides": draw(st.sampled_from([("conviction",), ("conviction", "dismissed"), ("arrest", "conviction")])),
            "unlisted": draw(st.sampled_from(["unknown", "no_conviction"])),
            "levels": LEVELS,
            "transaction_unless": draw(st.lists(chosen(), max_size=2).map(tuple)),
            "whole_case": draw(st.none() | st.just(WholeCase(id="whole", reason="The case.", source="A law."))),
        }
    made = [rule | {"relief": relief} for rule, relief in zip(rules, reliefs, strict=False)]
    made.append({"sections": ("named",)} if draw(st.booleans()) else {"not_sections": ("named",)})
    return table(*made, lists={"named": named}, scope=When(**draw(conditions(1, 0))), **more)


def test_every_condition_of_a_table_is_drawn() -> None:
    assert CONDITION.keys() == CONDITIONS.keys()


@settings(max_examples=400)
@given(st.lists(events, min_size=3, max_size=8), tables(), st.sampled_from(["", "", "HERE"]))
def test_determinations_equal_the_twins(rows: list[dict[str, Any]], rules: Rules, county: str) -> None:
    assume(not problems(rules))
    assert outcomes(run(rows, rules, county=county)) == determine(rows, rules, AS_OF, county)


@settings(max_examples=300)
@given(st.lists(events, min_size=1, max_size=6), tables(), st.data())
def test_a_fact_taken_away_makes_nobody_eligible(rows: list[dict[str, Any]], rules: Rules, data: st.DataObject) -> None:
    """Nobody has a relief afterwards who had another one, or none, before: the fact was needed, or it was not."""
    assume(not problems(rules))
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
    assume(not problems(rules))
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
    bare = replace(rules, laws=())
    alone = read_citations([pa.array([text.encode()], pa.binary())], laws=(), hyphenated=False).text().to_pylist()
    other = cited(text, bare)
    assert alone == [None if other is None else f"{other[0][0]}{''.join(other[0][1])}".encode()]
    found = read_citations([pa.array([text.encode()], pa.binary())], laws=rules.laws, hyphenated=False)
    expected = cited(text, rules)
    section, second = (None, None) if expected is None else expected
    text_of = None if section is None else f"{section[0]}{''.join(section[1])} {section[2]}".encode()
    assert found.text().to_pylist() == [text_of]
    read = read_citations([pa.array([text.encode()], pa.binary())], laws=(), hyphenated=False, dotted=True)
    dotted = cited(text, replace(bare, dotted_sections=True))
    assert read.text().to_pylist() == [None if dotted is None else f"{dotted[0][0]}{''.join(dotted[0][1])}".encode()]
    listed_ = Patterns.of(sections, hyphenated=False)
    truth = found.among(listed_, listed_.alone).tolist()[0]
    assert {0: False, 1: None, 2: True}[truth] == is_among(section, second, sections, rules)

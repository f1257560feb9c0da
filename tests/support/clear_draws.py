"""Events in criminal histories and tables of rules, drawn at random."""

import datetime
from typing import Any

from hypothesis import strategies as st

from tests.support.clear_tools import table
from worker.compute.operations.clear import Rules, When

__all__ = ["CONDITION", "LISTED", "SECTIONS", "conditions", "events", "maybe", "tables"]

SECTIONS = ["11357(A) HS-POSSESS", "11357(B)(2) HS", "11357 HS", "11358 HS-X", "664/11358 HS", "459 PC-BURGLARY", "???"]
LISTED = ["11357 HS", "11357(a) HS", "11357(b) HS", "11357() HS", "11358 HS", "459 PC"]
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
    return st.none() | values


events = st.fixed_dictionaries(
    {
        "subject": maybe(st.sampled_from(["S1", "S2", "S2", ""])),
        "DOB": maybe(st.sampled_from(["19800229", "19800229", "20060201", "19450101", "?"])),
        "count": maybe(st.sampled_from(["001", "002"])),
        "event": maybe(st.sampled_from(["COURT ACTION", "arrest/cited", "REGISTRATION", "DECEASED"])),
        "date": maybe(days),
        "county": maybe(st.sampled_from(["HERE", "here ", "THERE"])),
        "offense_code": maybe(st.sampled_from(["", "35036", "459 pc"])),
        "offense": maybe(st.sampled_from([*SECTIONS, "SEE COMMENT FOR CHARGE"])),
        "comment": maybe(st.sampled_from(SECTIONS)),
        "level": maybe(st.sampled_from(["F", "misdemeanor", " I", "N"])),
        "disposition": maybe(st.sampled_from(["CONVICTED", "convicted-prob", "CONVICTED", "DISMISSED"])),
        "sentence": maybe(st.sampled_from(["JAIL", "STATE PRISON", "probation"])),
        "sentence_length": maybe(st.sampled_from(["10D", "16m", "3Y", "0 D", "9999Y", "LIFE"])),
        "deceased": maybe(st.booleans()),
    }
)
listed = st.lists(st.sampled_from([*LISTED, "named"]), min_size=1, max_size=3, unique=True).map(tuple)
years = st.integers(1, 60)
dates = st.sampled_from([datetime.date(2005, 3, 1), datetime.date(2016, 2, 2)])
CONDITION: dict[str, st.SearchStrategy[Any]] = {
    "level": st.lists(st.sampled_from(["felony", "misdemeanor", "infraction"]), min_size=1, unique=True).map(tuple),
    **dict.fromkeys(("sections", "not_sections", "only_sections", "ever_sections", "never_sections"), listed),
    **dict.fromkeys(("convicted_from", "convicted_before"), dates),
    **dict.fromkeys(("age_at_conviction_from", "age_at_conviction_below", "age_from", "age_below"), years),
    **dict.fromkeys(("years_since_conviction", "years_since_sentence", "years_crime_free"), years),
    **dict.fromkeys(("sentence", "not_sentence"), st.sampled_from([("PRISON",), ("jail", "PROB")])),
    "all_sentences_ended": st.just(True),
    "without_events": st.sampled_from([("REGISTRATION",), ("reg", "ARREST")]),
    "deceased": st.booleans(),
}


@st.composite
def conditions(draw: st.DrawFn, most: int = 3) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(CONDITION)), max_size=most, unique=True))
    found = {name: draw(CONDITION[name]) for name in names}
    if "years_crime_free" in found and draw(st.booleans()):
        kinds = st.sampled_from(["conviction", "felony_conviction", "arrest"])
        found["counting"] = draw(st.lists(kinds, min_size=1, unique=True).map(tuple))
    return found


@st.composite
def tables(draw: st.DrawFn) -> Rules:
    rules = draw(st.lists(conditions(), min_size=1, max_size=4))
    named = draw(st.lists(st.sampled_from(LISTED), min_size=1, max_size=2, unique=True).map(tuple))
    return table(*rules, lists={"named": named}, scope=When(**draw(conditions(1))))

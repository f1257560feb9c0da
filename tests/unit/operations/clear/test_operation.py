"""Who is relieved by which rule, for which reason, and what leaves a conviction undecided."""

from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from msgspec.structs import replace

from cji_core.errors import Reason, Stage
from cji_core.format.records import tagged
from cji_core.operations.clear import (
    CLEAR,
    Clear,
    Count,
    Level,
    Punishable,
    Rules,
    Waited,
    Which,
    WholeCase,
    read_rules,
)
from cji_core.operations.clear.declaration import Code
from cji_core.operations.parameters import ParametersError, Sealing
from cji_core.operations.status_codes import ValueCode
from cji_core.wire.v1 import worker_pb2 as pb
from tests.reference.clear import Outcome
from tests.support.clear_tools import AS_OF, CHRI, batch, conviction, outcomes, run, table
from tests.support.contexts import context, prepare_table
from tests.support.refusals import refused

CALIFORNIA = read_rules((files("cji_core.operations.clear") / "california.toml").read_bytes())
YES, NO = Outcome("dismiss", "r1"), Outcome(None, None, "NO_RULE")


def unknown(cause: str) -> Outcome:
    return Outcome(None, "r1", cause)


def first(rows: list[dict[str, Any]], **when: Any) -> Outcome:
    """The outcome of the first conviction by one rule with these conditions."""
    return outcomes(run(rows, table(when)))[0]


@pytest.mark.parametrize(
    ("when", "changes", "expected"),
    [
        ({"level": ("felony",)}, {}, YES),
        ({"level": ("misdemeanor",)}, {}, NO),
        ({"level": ("misdemeanor",)}, {"level": "Misdemeanor"}, YES),
        ({"level": ("felony",)}, {"level": None}, unknown("LEVEL")),
        ({"level": ("felony",)}, {"level": "X"}, unknown("LEVEL")),
        ({"sections": ("11358 HS",)}, {}, YES),
        ({"sections": ("11358(a) HS",)}, {}, unknown("SECTION")),
        ({"not_sections": ("11358 HS",)}, {}, NO),
        ({"not_sections": ("459 PC",)}, {"offense": None}, unknown("SECTION")),
        ({"sections": ("459 PC",)}, {"offense_code": "459 PC", "offense": "11358 HS"}, YES),
        ({"sections": ("459 PC",)}, {"offense": "SEE COMMENT FOR CHARGE", "comment": "459 PC-BURGLARY"}, YES),
        ({"sections": ("459 PC",)}, {"offense": "BURGLARY", "comment": "459 PC-BURGLARY"}, unknown("SECTION")),
        ({"convicted_before": date(2010, 3, 16)}, {}, YES),
        ({"convicted_before": date(2010, 3, 15)}, {}, NO),
        ({"convicted_from": date(2010, 3, 15)}, {}, YES),
        ({"convicted_from": date(2010, 3, 16)}, {}, NO),
        ({"convicted_from": date(2010, 3, 16)}, {"date": "2010-XX-XX"}, unknown("CONVICTION_DATE")),
        ({"convicted_from": date(2010, 3, 16)}, {"date": "20260202"}, unknown("CONVICTION_DATE")),
        ({"age_at_conviction_below": 31}, {}, YES),
        ({"age_at_conviction_below": 30}, {}, NO),
        ({"age_at_conviction_from": 30}, {"DOB": "19800315"}, YES),
        ({"age_at_conviction_from": 30}, {"DOB": "19800316"}, NO),
        ({"age_at_conviction_from": 30}, {"DOB": None}, unknown("AGE_AT_CONVICTION")),
        ({"age_at_conviction_from": 30}, {"date": None}, unknown("AGE_AT_CONVICTION")),
        ({"age_at_conviction_below": 30}, {"DOB": "20110101"}, unknown("AGE_AT_CONVICTION")),
        ({"age_from": 46}, {"DOB": "19800201"}, YES),
        ({"age_from": 46}, {"DOB": "19800202"}, NO),
        ({"age_below": 46}, {"DOB": "19800202"}, YES),
        ({"age_below": 46}, {"DOB": "X"}, unknown("BIRTH_DATE")),
        ({"years_since_conviction": 15}, {"date": "20110201"}, YES),
        ({"years_since_conviction": 15}, {"date": "20110202"}, NO),
        ({"years_since_conviction": 15}, {"date": None}, unknown("CONVICTION_DATE")),
        ({"sentence": ("PRISON",)}, {"sentence": "State Prison"}, YES),
        ({"sentence": ("PRISON",)}, {}, NO),
        ({"not_sentence": ("PRISON",)}, {}, YES),
        ({"not_sentence": ("PRISON",)}, {"sentence": None}, unknown("SENTENCE")),
        ({"years_since_sentence": 14}, {"date": "20101001"}, YES),  # and 16 months: 1 February 2012
        ({"years_since_sentence": 14}, {"date": "20101002"}, NO),
        ({"years_since_sentence": 1}, {"sentence_length": "LIFE"}, unknown("SENTENCE")),
        ({"years_since_sentence": 1}, {"sentence_length": "0D", "date": "20250201"}, YES),
        ({"all_sentences_ended": True}, {}, YES),
        ({"all_sentences_ended": True}, {"sentence_length": "20Y"}, NO),
        ({"years_crime_free": 15}, {}, YES),
        ({"years_crime_free": 16}, {}, NO),
        ({"years_crime_free": 16, "counting": ("arrest",)}, {}, YES),
        ({"years_crime_free": 16, "counting": ("felony_conviction",)}, {"level": None}, unknown("OTHER_EVENT")),
        ({"years_crime_free": 16, "counting": ("felony_conviction",)}, {"level": "M"}, YES),
        ({"only_sections": ("11358 HS",)}, {}, YES),
        ({"ever_sections": ("459 PC",)}, {}, NO),
        ({"never_sections": ("459 PC",)}, {}, YES),
        ({"without_events": ("REGISTRATION",)}, {}, YES),
        ({"without_events": ("COURT",)}, {}, NO),
        ({"without_events": ("REGISTRATION",)}, {"event": None}, unknown("OTHER_EVENT")),
        ({"deceased": True}, {"deceased": True}, YES),
        ({"deceased": True}, {}, NO),
        ({"deceased": True}, {"deceased": None}, unknown("DECEASED")),
        ({"deceased": False}, {}, YES),
        ({"deceased": True}, {"deceased": None, "event": "DECEASED"}, YES),
    ],
)
def test_each_condition_on_both_sides_and_unknown(
    when: dict[str, Any], changes: dict[str, Any], expected: Outcome
) -> None:
    assert first([conviction(**changes)], **when) == expected


FELONY = {"level": ("felony",)}


@pytest.mark.parametrize(
    ("when", "changes", "expected"),
    [
        ({"punishable": Punishable(to="92D")}, {"max_penalty": "92D"}, YES),
        ({"punishable": Punishable(to="92D")}, {"max_penalty": "93d"}, NO),
        ({"punishable": Punishable(above="10Y")}, {"max_penalty": "10Y"}, NO),
        ({"punishable": Punishable(from_="1Y")}, {"max_penalty": "12M"}, YES),
        ({"punishable": Punishable(from_="LIFE")}, {"max_penalty": " life "}, YES),
        ({"punishable": Punishable(from_="LIFE")}, {"max_penalty": "9999Y"}, NO),
        ({"punishable": Punishable(below="1Y")}, {"max_penalty": "X"}, unknown("PENALTY")),
        ({"marks": ("MINOR",)}, {"marks": "assaultive; minor"}, YES),
        ({"marks": ("MINOR",)}, {"marks": "MINORITY"}, NO),
        ({"not_marks": ("MINOR",)}, {"marks": "NONE"}, YES),
        ({"not_marks": ("MINOR",)}, {"marks": " "}, unknown("MARKS")),
        ({"level_at_least": "misdemeanor"}, {}, YES),
        ({"level_at_most": "misdemeanor"}, {}, NO),
        ({"level_at_most": "misdemeanor"}, {"level": "I"}, YES),
        ({"at_most": Count(number=1)}, {}, YES),
        ({"at_most": Count(number=0)}, {}, NO),
        ({"at_most": Count(number=0, level=("felony",))}, {"level": None}, unknown("HISTORY")),
        ({"more_than": Count(number=0, within="16Y")}, {}, YES),
        ({"more_than": Count(number=0, within="15Y")}, {}, NO),
        ({"more_than": Count(number=0, since=date(2010, 3, 15))}, {}, YES),
        ({"more_than": Count(number=0, since=date(2010, 3, 16))}, {}, NO),
        ({"waited": Waited(time="15Y", since=("conviction",))}, {}, YES),
        ({"waited": Waited(time="16Y", since=("conviction",))}, {}, NO),
        ({"waited": Waited(time="190M", since=("conviction",))}, {}, YES),
        ({"waited": Waited(time="191M", since=("conviction",))}, {}, NO),
        ({"waited": Waited(time="30D", since=("conviction",))}, {"date": "20260102"}, YES),
        ({"waited": Waited(time="31D", since=("conviction",))}, {"date": "20260102"}, NO),
        ({"waited": Waited(time="1Y", since=("conviction",))}, {"date": None}, unknown("WAITING")),
        ({"waited": Waited(time="14Y", since=("sentence_end",))}, {"discharged": "20120201"}, YES),
        ({"waited": Waited(time="14Y", since=("sentence_end",))}, {"discharged": "20120202"}, NO),
        ({"waited": Waited(time="1Y", since=("sentence_end",))}, {"discharged": "20300101"}, unknown("WAITING")),
        ({"waited": Waited(time="15Y", since=("release",))}, {"sentence": "PROBATION"}, YES),
        ({"waited": Waited(time="15Y", since=("release",))}, {}, NO),
        ({"waited": Waited(time="15Y", since=("release",))}, {"released": "20101231"}, YES),
        ({"waited": Waited(time="1Y", since=("release",))}, {"sentence": None}, unknown("WAITING")),
        ({"no_pending": True}, {}, unknown("PENDING")),
        ({"no_pending": True}, {"pending": False}, YES),
        ({"no_pending": True}, {"pending": True}, NO),
        ({"paid": ("restitution",)}, {}, unknown("PAID")),
        ({"paid": ("restitution",)}, {"restitution_paid": True}, YES),
        ({"paid": ("restitution", "fines")}, {"restitution_paid": True, "fines_paid": False}, NO),
        ({"paid": ("restitution", "fines")}, {"restitution_paid": True}, unknown("PAID")),
    ],
)
def test_each_fact_that_statutes_need(when: dict[str, Any], changes: dict[str, Any], expected: Outcome) -> None:
    assert first([conviction(**changes)], **when) == expected


THREE = {"at_most": Count(number=2, by="transaction", level=("felony",))}


@pytest.mark.parametrize(
    ("days", "names", "expected"),
    [
        (["0101", "0301", "0501"], [None, None, None], NO),
        (["0101", "0102", "0501"], [None, None, None], unknown("HISTORY")),
        (["0101", "0102", "0103"], [None, None, None], unknown("HISTORY")),
        (["0101", "0301", "0501"], ["A", "A", "B"], YES),
        (["0101", "0101", "0101"], ["A", "B", "C"], NO),
        ([None, "0301", "0501"], [None, None, None], unknown("HISTORY")),
    ],
)
def test_one_night_counts_once(days: list[str | None], names: list[str | None], expected: Outcome) -> None:
    """Offenses of one transaction are one; those that are not on two days in succession are of different ones."""
    rows = [
        conviction(offense_date=day and f"2009{day}", transaction=name) for day, name in zip(days, names, strict=True)
    ]
    assert first(rows, **THREE) == expected


def test_a_transaction_taken_apart_by_law_counts_each_charge() -> None:
    rows = [conviction(transaction="A", max_penalty=most) for most in ("5Y", "5Y", "10Y")]
    apart = {"transaction_unless": (Which(punishable=Punishable(from_="10Y")),)}
    assert outcomes(run(rows, table(THREE)))[0] == YES
    assert outcomes(run(rows, table(THREE, **apart)))[0] == NO
    rows[2]["max_penalty"] = None
    assert outcomes(run(rows, table(THREE, **apart)))[0] == unknown("HISTORY")


def test_a_count_of_the_same_case_or_section() -> None:
    of_case = {"at_most": Count(number=1, same="case")}
    rows = [conviction(case="1"), conviction(case="1"), conviction(case="2")]
    assert outcomes(run(rows, table(of_case))) == {0: NO, 1: NO, 2: YES}
    rows[1]["case"] = None
    assert outcomes(run(rows, table(of_case)))[0] == unknown("HISTORY")
    of_section = {"more_than": Count(number=1, same="section")}
    rows = [conviction(), conviction(), conviction(offense="459 PC")]
    assert outcomes(run(rows, table(of_section))) == {0: YES, 1: YES, 2: NO}


def test_a_new_conviction_restarts_a_waiting_period() -> None:
    waited = {"waited": Waited(time="10Y", since=("conviction",), restarted_by=Which(level=("felony",)))}
    assert first([conviction(), conviction(date="20160201")], **waited) == YES
    assert first([conviction(), conviction(date="20160202")], **waited) == NO
    assert first([conviction(), conviction(date="20160202", level="M")], **waited) == YES
    assert first([conviction(), conviction(date="20160202", level=None)], **waited) == unknown("WAITING")
    assert first([conviction(), conviction(date=None)], **waited) == unknown("WAITING")


def test_a_discharge_that_cannot_be_read_leaves_the_end_open() -> None:
    parts = [conviction(count="1", discharged="20120101"), conviction(count="1", discharged="2030-XX-XX")]
    waited = {"waited": Waited(time="1Y", since=("sentence_end",))}
    assert first(parts, **waited) == unknown("WAITING")
    assert first(parts[:1], **waited) == YES


KINDS = {"conviction": ("CONVICTED",), "dismissed": ("DISMISSED", "CONVICTED IN ERROR"), "pending": ("PENDING",)}


def test_charges_without_conviction_are_decided_by_the_table() -> None:
    rows = [
        conviction(disposition=text)
        for text in ("DISMISSED - 1538.5", "Convicted in error", "CONVICTED", "CLOSED", None)
    ]
    rules = table(
        {"disposition": ("dismissed",)}, {"relief": "none"}, dispositions=KINDS, decides=("dismissed", "conviction")
    )
    found = {0: YES, 1: YES, 2: Outcome("none", "r2")}
    assert outcomes(run(rows, rules)) == found
    strict = replace(rules, unlisted="unknown")
    assert outcomes(run(rows, strict)) == found | {3: Outcome(None, None, "DISPOSITION")}
    assert run(rows, strict).status.codes.tolist() == [Code.NOT_A_DISPOSITION, Code.NOT_DECIDED]


def test_a_pending_charge_is_known_by_its_disposition_or_a_flag() -> None:
    rules = table({"no_pending": True}, dispositions=KINDS)
    assert outcomes(run([conviction(pending=False), conviction(disposition="PENDING")], rules))[0] == NO
    assert outcomes(run([conviction(pending=False), conviction(event="ARREST", disposition=None)], rules))[0] == YES


def test_an_arrest_that_nothing_answers_is_a_charge() -> None:
    arrest = {"event": "ARREST/CITED", "disposition": None, "sentence": None}
    rows = [
        conviction(**arrest, cycle="1"),
        conviction(**arrest, cycle="2"),
        conviction(cycle="2", disposition="DISMISSED"),
        conviction(**arrest, cycle=None),
        conviction(event="REGISTRATION", disposition=None, cycle="3"),
    ]
    rules = table({"waited": Waited(time="3Y", since=("conviction",))}, decides=("arrest",))
    assert outcomes(run(rows, rules)) == {0: YES, 3: Outcome(None, None, "DISPOSITION")}


def test_a_case_is_relieved_as_a_whole() -> None:
    whole = WholeCase(id="whole", reason="Another charge of the case has none.", source="A law.")
    rules = table(FELONY, {"level": ("infraction",), "relief": "none"}, whole_case=whole)
    rows = [conviction(case=case, level=level) for case, level in ("1F", "1F", "2F", "2I", "3F", "3M")]
    rows.append(conviction(case=None))
    assert outcomes(run(rows, rules)) == {
        0: YES,
        1: YES,
        2: Outcome("none", "whole"),
        3: Outcome("none", "r2"),
        4: Outcome(None, "r1", "OTHER_CHARGE"),
        5: Outcome(None, None, "NO_RULE"),
        6: Outcome(None, "r1", "CASE"),
    }
    made = [row for each in run(rows, rules).parts["determinations"] for row in each.to_pylist()]
    assert [row["reason"] for row in made if row["rule"] == "whole"] == [whole.reason]


LEVELS = (
    Level(name="felony", words=("F",), punishable=Punishable(above="1Y")),
    Level(name="m1", words=("M1",), family="misdemeanor"),
    Level(name="ungraded", words=("M",), family="misdemeanor", ranked=False),
    Level(name="m2", words=("M2",), family="misdemeanor"),
    Level(name="summary", words=("S", "SUMMARY OFFENSE")),
)


@pytest.mark.parametrize(
    ("when", "level", "penalty", "expected"),
    [
        ({"level": ("misdemeanor",)}, "M2", "1Y", YES),
        ({"level": ("misdemeanor",)}, "M2", "2Y", NO),
        ({"level": ("misdemeanor",)}, "M2", None, unknown("LEVEL")),
        ({"level": ("felony",)}, None, "2Y", YES),
        ({"level": ("felony",)}, None, "1Y", unknown("LEVEL")),
        ({"level": ("summary",)}, "summary offense", "90D", YES),
        ({"level_at_most": "m2"}, "M1", "1Y", NO),
        ({"level_at_most": "m2"}, "S", "90D", YES),
        ({"level_at_least": "m2"}, "M1", None, YES),
        ({"level_at_most": "m2"}, "M", "90D", unknown("LEVEL")),
    ],
)
def test_levels_are_those_of_the_table(when: dict[str, Any], level: str, penalty: str, expected: Outcome) -> None:
    rows = [conviction(level=level, max_penalty=penalty)]
    assert outcomes(run(rows, table(when, levels=LEVELS)))[0] == expected


OTHER = {"offense": "459 PC", "date": "20200101"}


@pytest.mark.parametrize(
    ("when", "other", "expected"),
    [
        ({"only_sections": ("11358 HS",)}, OTHER, NO),
        ({"only_sections": ("11358 HS",)}, {"offense": None}, unknown("OTHER_SECTION")),
        ({"ever_sections": ("459 PC",)}, OTHER, YES),
        ({"ever_sections": ("459 PC",)}, {"offense": None}, unknown("OTHER_SECTION")),
        ({"never_sections": ("459 PC",)}, OTHER, NO),
        ({"never_sections": ("459(a) PC",)}, OTHER, unknown("OTHER_SECTION")),
        ({"years_crime_free": 7}, OTHER, NO),
        ({"years_crime_free": 6}, OTHER, YES),
        ({"years_crime_free": 1}, {"date": None}, unknown("OTHER_EVENT")),
        ({"years_crime_free": 7}, OTHER | {"disposition": "DISMISSED"}, YES),
        ({"years_crime_free": 7, "counting": ("arrest",)}, OTHER | {"event": "ARREST/CITED"}, NO),
        ({"years_crime_free": 7, "counting": ("arrest",)}, OTHER | {"event": None}, unknown("OTHER_EVENT")),
        ({"all_sentences_ended": True}, OTHER | {"sentence_length": "9Y"}, NO),
        ({"all_sentences_ended": True}, OTHER | {"sentence_length": None}, unknown("OTHER_SENTENCE")),
        ({"without_events": ("REGISTRATION",)}, {"event": "REGISTRATION"}, NO),
        ({"deceased": True}, {"event": "DECEASED", "disposition": None}, YES),
        ({"age_from": 10}, {"DOB": "19810101"}, unknown("BIRTH_DATE")),
        ({"age_from": 10}, {"DOB": None}, YES),
    ],
)
def test_other_events_of_a_subject_count(when: dict[str, Any], other: dict[str, Any], expected: Outcome) -> None:
    assert first([conviction(), conviction(**other)], **when) == expected
    alone = [conviction(), conviction(**(other | {"subject": "S2"}))]
    assert first(alone, **when) == first([conviction()], **when)


def test_a_conviction_is_known_by_its_disposition_alone() -> None:
    rows = [
        conviction(event="CUSTODY:JAIL"),
        conviction(event=None, disposition="convicted-prob/jail"),
        conviction(disposition="NOT CONVICTED"),
        conviction(disposition="DISMISSED"),
        conviction(disposition=None),
    ]
    assert outcomes(run(rows, table({}))) == {0: YES, 1: YES}
    assert outcomes(run(rows, table({}, dispositions={"conviction": ("DISMISSED",)}))) == {3: YES}


def test_the_first_rule_that_holds_decides() -> None:
    rules = table({"level": ("felony",)}, {"level": ("misdemeanor",), "relief": "reduce"}, {"relief": "none"})
    rows = [conviction(level=level) for level in ("F", "M", "I", None)]
    assert outcomes(run(rows, rules)) == {
        0: Outcome("dismiss", "r1"),
        1: Outcome("reduce", "r2"),
        2: Outcome("none", "r3"),
        3: Outcome(None, "r1", "LEVEL"),
    }


def test_a_condition_that_fails_needs_no_other_fact() -> None:
    rules = table({"level": ("misdemeanor",), "age_from": 50}, {"relief": "reduce"})
    assert outcomes(run([conviction(DOB=None)], rules)) == {0: Outcome("reduce", "r2")}


def test_parts_of_one_count_are_one_conviction() -> None:
    parts = [
        conviction(count="001", sentence="PROBATION", sentence_length="3Y"),
        conviction(count="002", sentence="FINE", sentence_length="0D"),
        conviction(count="001", sentence="JAIL", sentence_length="12M", date=None),
        conviction(count="001", subject="S2"),
    ]
    rules = table({"years_since_sentence": 12, "sentence": ("JAIL",)}, {"relief": "none"})
    none = Outcome("none", "r2")
    assert outcomes(run(parts, rules)) == {0: none, 1: none, 3: YES}
    assert (
        outcomes(run(parts, table({"years_since_sentence": 11, "sentence": ("JAIL",)}, {"relief": "none"})))[0] == YES
    )


def test_rows_without_a_subject_belong_to_nobody() -> None:
    rows = [conviction(subject=None), conviction(subject=""), conviction(offense="459 PC", subject=None), conviction()]
    found = run(rows, table({"years_crime_free": 1}, scope=table({"sections": ("11358 HS",)}).rules[0].when))
    nobody = Outcome(None, None, "NO_SUBJECT")
    assert outcomes(found) == {0: nobody, 1: nobody, 3: YES}
    assert found.status.status.tolist() == [3, 3, 3, 0]


def test_only_convictions_of_the_county_are_decided() -> None:
    rows = [conviction(county=name) for name in (" here", "HERE", "THERE", None)]
    found = outcomes(run(rows, table({"years_since_conviction": 1}), county="Here"))
    assert found == {0: YES, 1: YES, 3: Outcome(None, None, "COUNTY")}
    assert outcomes(run(rows, table({"only_sections": ("459 PC",)}), county="HERE")).keys() == {0, 1, 3}


def test_the_scope_leaves_other_convictions_alone() -> None:
    scope = table({"sections": ("11358 HS",)}).rules[0].when
    rows = [conviction(), conviction(offense="459 PC"), conviction(offense="?"), conviction(disposition="DISMISSED")]
    found = run(rows, table({}, scope=scope))
    assert outcomes(found) == {0: YES, 2: Outcome(None, None, "SECTION")}


def test_outputs_have_reasons_facts_and_words() -> None:
    rules = table({"level": ("felony",), "age_at_conviction_below": 31, "only_sections": ("11358 HS",)})
    rows = [conviction(disposition="DISMISSED"), conviction(offense="11358(C) HS"), conviction(DOB=None, subject="S2")]
    found = run(rows, rules)
    (result,) = found.result
    assert result["relief"].to_pylist() == [None, "dismiss", None]
    assert result.schema.metadata == {b"cji.schema": CHRI.encode()}
    parts = {name: [row for each in batches for row in each.to_pylist()] for name, batches in found.parts.items()}
    facts = "felony; 11358(C) HS; convicted 20100315; age at conviction 30; convictions of the subject: 1"
    assert parts == {
        "determinations": [
            {"row": 1, "subject": b"S1", "relief": "dismiss", "rule": "r1", "reason": "Reason 1.", "facts": facts}
        ],
        "not_decided": [
            {
                "row": 2,
                "subject": b"S2",
                "cause": "AGE_AT_CONVICTION",
                "rule": "r1",
                "words": "Rule r1 needs a fact: the date of birth or that of the event is missing, partial or "
                "contradictory.",
            }
        ],
    }
    assert found.status.status.tolist() == [0, 0, 1]
    assert found.status.codes.tolist() == [Code.NOT_DECIDED]


def test_each_determination_has_its_own_facts() -> None:
    """Rules take turns, over more than one chunk of determinations."""
    rules = table({"level": ("misdemeanor",)}, {"relief": "none"})
    rows = [conviction(level="FM"[i % 2], date=f"{1990 + i % 30}0101", subject=f"S{i}") for i in range(20_000)]
    found = run(rows, rules)
    made = [row for each in found.parts["determinations"] for row in each.to_pylist()]
    assert [row["row"] for row in made] == list(range(20_000))
    words = ("felony", "misdemeanor")
    assert [row["facts"] for row in made] == [
        f"{words[i % 2]}; 11358 HS; convicted {1990 + i % 30}0101" for i in range(20_000)
    ]


def test_every_fact_of_a_rule_is_shown() -> None:
    """Each condition that can hold at once, in one rule."""
    when = {
        "level": ("felony",),
        "not_sections": ("459 PC",),
        "convicted_before": date(2020, 1, 1),
        "age_at_conviction_from": 20,
        "age_from": 40,
        "years_since_conviction": 10,
        "sentence": ("JAIL",),
        "years_since_sentence": 10,
        "all_sentences_ended": True,
        "years_crime_free": 10,
        "never_sections": ("459 PC",),
        "without_events": ("REGISTRATION",),
        "deceased": False,
        "disposition": ("conviction",),
        "punishable": Punishable(above="1Y"),
        "not_marks": ("MINOR",),
        "at_most": (Count(number=2, by="case"), Count(number=3, level=("felony",), within="20Y")),
        "waited": Waited(time="5Y", since=("conviction", "release")),
        "no_pending": True,
        "paid": ("fines",),
    }
    rows = [conviction(max_penalty="3Y", marks="NONE", pending=False, fines_paid=True), conviction(level=None)]
    found = run(rows, table(when))
    ((row,),) = [each.to_pylist() for each in found.parts["determinations"]]
    assert row["facts"].split("; ") == [
        "felony",
        "11358 HS",
        "convicted 20100315",
        "conviction",
        "maximum penalty 3Y",
        "marks NONE",
        "age at conviction 30",
        "age 46",
        "15 years since conviction",
        "sentence JAIL",
        "sentence ended 20110715",
        "all sentences of the subject have ended",
        "last conviction 20100315",
        "convictions of the subject: 2",
        "convictions counted by case: 1 to 2",
        "convictions of which the level is felony within 20 years: 1 to 2",
        "conviction 20100315",
        "release 20110715",
        "no charge is pending",
        "fines paid",
        "no such event of the subject",
        "not deceased",
    ]


@pytest.mark.parametrize(
    ("changes", "code", "column"),
    [
        ({"date": "20101332"}, ValueCode.NOT_A_DATE, "date"),
        ({"date": "20260202"}, Code.IN_THE_FUTURE, "date"),
        ({"DOB": "x"}, ValueCode.NOT_A_DATE, "DOB"),
        ({"DOB": "20260202"}, Code.IN_THE_FUTURE, "DOB"),
        ({"level": "X"}, Code.NOT_A_LEVEL, "level"),
        ({"sentence_length": "LIFE"}, Code.NOT_A_LENGTH, "sentence_length"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(changes: dict[str, Any], code: int, column: str) -> None:
    records = batch([conviction(**changes)])
    found = run(records, table({"deceased": True}, {}))
    assert found.status.status.tolist() == [2]
    assert found.status.codes.tolist() == [code]
    assert found.status.columns.tolist() == [records.schema.names.index(column)]


def test_different_dates_of_birth_of_a_subject_are_named() -> None:
    found = run([conviction(), conviction(DOB="19800102"), conviction(subject="S2")], table({}))
    assert found.status.codes.tolist() == [Code.BIRTH_DATES_DIFFER] * 2
    assert found.status.status.tolist() == [2, 2, 0]


def test_columns_that_are_absent_are_facts_that_are_missing() -> None:
    records = batch([conviction()], ["subject", "date", "disposition"])
    assert outcomes(run(records, table({"level": ("felony",)}))) == {0: unknown("LEVEL")}
    assert outcomes(run(records, table({"deceased": False}))) == {0: unknown("DECEASED")}
    assert outcomes(run(records, table({"years_since_conviction": 1}))) == {0: YES}


def test_no_rows_make_no_rows() -> None:
    found = run(batch([]), table({}))
    assert outcomes(found) == {}
    assert sum(each.num_rows for each in found.result) == 0


def test_records_that_cannot_be_cleared_are_refused() -> None:
    message = CLEAR.message(Clear(table=table({}), as_of=AS_OF))
    for names in (["subject", "date"], ["subject", "date", "disposition", "relief"]):
        schema = tagged(CHRI, [pa.field(name, pa.utf8()) for name in names])
        with refused(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE):
            prepare_table(message, CHRI, schema, context())
        with pytest.raises(ParametersError):
            CLEAR.columns(Clear(table=table({}), as_of=AS_OF), frozenset(names))
    needed = frozenset(("subject", "date", "disposition"))
    assert "relief" in CLEAR.columns(Clear(table=table({})), needed)
    for name in needed:
        with pytest.raises(ParametersError, match=f"^no column {name}$"):
            CLEAR.columns(Clear(table=table({})), needed - {name})


@pytest.mark.parametrize(
    "fields",
    [
        {"rules": b""},
        {"rules": b"{}"},
        {"rules": b"[" * 20_000},
        {"as_of": "yesterday"},
        {"county": "X" * 65},
        {"county": " X"},
        {"county": "\n"},
    ],
)
def test_parameters_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"rules": msgspec.json.encode(table({})), "as_of": "2026-02-01", "county": ""}
    CLEAR.decode(pb.Clear(**good))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        CLEAR.decode(pb.Clear(**(good | fields)))


def test_a_table_in_a_header_has_a_limit() -> None:
    encoded = msgspec.json.encode(table({}))
    CLEAR.decode(pb.Clear(rules=encoded.ljust(20 << 10), as_of="2026-02-01"))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        CLEAR.decode(pb.Clear(rules=encoded.ljust((20 << 10) + 1), as_of="2026-02-01"))


def test_a_table_with_a_mistake_is_refused_in_a_header() -> None:
    encoded = msgspec.json.encode(table({}, {"deceased": True}))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        CLEAR.decode(pb.Clear(rules=encoded, as_of="2026-02-01"))


def sealing(data: bytes) -> Sealing:
    return Sealing(today=AS_OF, schema=CHRI, read=lambda _: data, wrap_project_key=lambda *_: b"")


def test_the_file_of_the_rules_is_read_when_a_job_is_sealed() -> None:
    text = (files("cji_core.operations.clear") / "california.toml").read_bytes()
    completed = CLEAR.complete(Clear(rules=Path("rules.toml")), sealing(text))
    assert completed == Clear(table=CALIFORNIA, as_of=AS_OF)
    assert CLEAR.complete(Clear(table=CALIFORNIA, as_of=date(2026, 1, 1)), sealing(text)).as_of == date(2026, 1, 1)
    with pytest.raises(ParametersError, match="no list is called nothing") as error:
        CLEAR.complete(Clear(rules=Path("r")), sealing(text.replace(b'["never_dismissed"]', b'["nothing"]')))
    assert "cji clear check" in error.value.remedy
    with pytest.raises(ValueError, match="rules"):
        Clear()
    with pytest.raises(ValueError, match="rules"):
        Clear(rules=Path("r"), table=CALIFORNIA)


CASES = [
    ({"offense": "11357(B) HS", "level": "M"}, "p64-dismiss"),
    ({"offense": "11357(B) HS", "level": "M", "DOB": "19900101"}, "p64-infraction"),
    ({"offense": "11359 HS"}, "p64-misdemeanor"),
    ({"offense": "11359 HS", "date": "20161109"}, "jail-1203.41"),
    ({"offense": "23152(A) VC", "level": "M"}, "no-dismissal"),
    ({"offense": "415 PC", "level": "I"}, "infraction-1203.4a"),
    ({"offense": "487 PC", "sentence": "PROBATION"}, "probation-1203.4"),
    ({"offense": "487 PC", "level": "M"}, "misdemeanor-1203.4a"),
    ({"offense": "459 PC", "sentence": "PRISON"}, "degree-1203.42"),
    ({"offense": "470 PC", "sentence": "PRISON"}, "prison-1203.42"),
    ({"offense": "470 PC", "sentence": "PRISON", "date": "20111001"}, "prison-1203.41"),
    ({"offense": "470 PC", "sentence": "PRISON", "date": "20231001"}, "none"),
    ({"offense": "211 PC", "sentence": "PRISON"}, "none"),
]


@pytest.mark.parametrize(("changes", "rule"), CASES)
def test_each_rule_of_the_shipped_table_decides(changes: dict[str, Any], rule: str) -> None:
    assert outcomes(run([conviction(**changes)], CALIFORNIA))[0].rule == rule
    assert {name for _, name in CASES} | {"p64-review"} == {each.id for each in CALIFORNIA.rules}


@pytest.mark.parametrize(
    "other", [{"offense": "187(A) PC"}, {"offense": "290 PC", "event": "REGISTRATION", "disposition": None}]
)
def test_a_grave_or_registrable_conviction_leads_to_a_review(other: dict[str, Any]) -> None:
    rows = [conviction(), conviction(**other)]
    assert outcomes(run(rows, CALIFORNIA))[0] == Outcome("review", "p64-review")


def test_a_section_that_is_too_short_is_not_decided() -> None:
    """11357 HS may be 11357(b) HS, which is lawful today, or 11357(c) HS, which is not."""
    found = outcomes(run([conviction(offense="11357 HS-POSSESS MARIJUANA", level="M")], CALIFORNIA))
    assert found == {0: Outcome(None, "p64-dismiss", "SECTION")}
    assert isinstance(CALIFORNIA, Rules)

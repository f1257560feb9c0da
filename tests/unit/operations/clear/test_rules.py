"""A table of rules: every mistake is named with its place and a remedy, the shipped example has none."""

from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from cji_core.operations.clear import Rules, RulesError, in_words, read_rules
from cji_core.operations.clear.reading import MAX_BYTES, problems
from cji_core.operations.clear.when import Count, Punishable, Waited, When, Which
from cji_operations.clear.conditions import CONDITIONS
from tests.support.clear_tools import table

SHIPPED = (files("cji_core.operations.clear") / "california.toml").read_text(encoding="utf-8")
SMALL = """
version = 1
state = "Nowhere"
title = "A test"
sources = ["A law."]
laws = ["HS"]

[dispositions]
conviction = ["CONVICTED"]

[lists]
old = ["1 HS"]

[scope]
sections = ["old"]

[[rules]]
id = "first"
relief = "dismiss"
reason = "A reason."
source = "A law."
when = { level = ["felony"] }
"""


def mistakes(text: str | bytes) -> list[tuple[str, str, str]]:
    with pytest.raises(RulesError) as error:
        read_rules(text if isinstance(text, bytes) else text.encode())
    return [(problem.where, problem.what, problem.remedy) for problem in error.value.problems]


def test_the_shipped_table_is_valid_and_explains_itself() -> None:
    rules = read_rules(SHIPPED.encode())
    words = "\n".join(in_words(rules))
    for rule in rules.rules:
        assert rule.id in words
        assert rule.reason in words
        assert f"Source: {rule.source}" in words
    assert "not legal advice" in words
    assert all(source in words for source in rules.sources)
    assert rules.rules[-1].when == When()


@pytest.mark.parametrize(
    ("old", "new", "where", "what", "remedy"),
    [
        ("version = 1", "version = 2", "version", "Invalid enum value 2", "The fields here are"),
        ('state = "Nowhere"', "", "table", "missing required field `state`", "The fields here are"),
        ('id = "first"', 'id = "first"\nwhy = 1', "rule first", "unknown field `why`", "id, relief, reason"),
        (
            '{ level = ["felony"] }',
            '{ levl = ["felony"] }',
            "rule first, when",
            "unknown field `levl`",
            "disposition, level",
        ),
        ('{ level = ["felony"] }', '{ level = ["crime"] }', "rule first, level", "no level is called crime", "Use one"),
        ('{ level = ["felony"] }', "{ age_from = 0 }", "rule first, when, age_from", ">= 1", "disposition, level"),
        ('{ level = ["felony"] }', "{ level = [] }", "rule first, when, level", "length >= 1", "disposition, level"),
        ("[scope]", "[scope]\nall = true", "scope", "unknown field `all`", "disposition, level"),
        ('laws = ["HS"]', "dotted_sections = true", "list old", "1 HS has no chapter before a dot", "Write CHAPTER"),
        (
            'laws = ["HS"]',
            'laws = ["HS"]\ndotted_sections = true',
            "dotted_sections",
            "laws or hyphens too",
            "Leave out",
        ),
        ('["1 HS"]', '["1 PC"]', "list old", "1 PC names no law of this table", "End it with one of HS"),
        ('["1 HS"]', '["one HS"]', "list old", "one HS is not a section", "Write NUMBER(SUBDIVISION) LAW"),
        ('["1 HS"]', '["1 HS", "1 HS"]', "list old", "a section twice", "Remove one"),
        ('laws = ["HS"]', "", "list old", "1 HS names a law, and `laws` is empty", 'Write laws = ["HS"].'),
        ('sections = ["old"]', 'sections = ["1 HS"]', "list old", "no condition uses it", "Use it, or remove it."),
        ('sections = ["old"]', 'sections = ["old", "new"]', "scope, sections", "no list is called new", "Add it under"),
        (
            '{ level = ["felony"] }',
            '{ counting = ["arrest"] }',
            "rule first",
            "counting without",
            "Add years_crime_free",
        ),
        (
            '{ level = ["felony"] }',
            "{ age_from = 30, age_below = 30 }",
            "rule first",
            "age_from and age_below never hold together",
            "Make age_from less than age_below.",
        ),
        (
            '{ level = ["felony"] }',
            "{ convicted_from = 2020-01-01, convicted_before = 2019-01-01 }",
            "rule first",
            "convicted_from and convicted_before never hold together",
            "Make convicted_from less",
        ),
        (
            '{ level = ["felony"] }',
            '{ level = ["felony", "felony"] }',
            "rule first",
            "level has a value twice",
            "Remove",
        ),
        ('conviction = ["CONVICTED"]', "", "dispositions", "no kind is called conviction", "Write conviction"),
        ('["CONVICTED"]', '["CONVICTED"]\narrest = ["A"]', "dispositions", "arrest is an arrest without", "Call"),
        ('["CONVICTED"]', '["CONVICTED", "convicted"]', "the beginnings of dispositions", "is there twice", "Remove"),
        ("version = 1", 'version = 1\ndecides = ["pending"]', "decides", "a pending charge cannot", "Remove"),
        (
            "version = 1",
            'version = 1\ndecides = ["closed"]',
            "decides",
            "no kind of dispositions is called closed",
            "Use",
        ),
        ("version = 1", 'version = 1\npetitions = ["seal"]', "petitions", "no rule gives seal", "Use the relief"),
        (
            "[scope]",
            '[whole_case]\nid = "first"\nreason = "R"\nsource = "S"\n[scope]',
            "whole_case",
            "a rule has this id",
            "an id of its own",
        ),
        ("[scope]", "[whole_case]\nwhy = 1\n[scope]", "whole_case", "unknown field `why`", "id, reason, source"),
        (
            "[scope]",
            '[[levels]]\nname = "felony"\n[scope]',
            "levels[0]",
            "missing required field `words`",
            "name, words",
        ),
        (
            '{ level = ["felony"] }',
            '{ level_at_most = "crime" }',
            "rule first, level_at_most",
            "crime is not the name of a ranked level",
            "Use one of felony, misdemeanor, infraction.",
        ),
        (
            '{ level = ["felony"] }',
            "{ at_most = { numbr = 1 } }",
            "rule first, when, at_most",
            "unknown field `numbr`",
            "number, since",
        ),
        (
            '{ level = ["felony"] }',
            '{ at_most = { number = 1, by = "case", same = "case" } }',
            "rule first, at_most",
            "`same` counts charges alone",
            "Remove",
        ),
        (
            '{ level = ["felony"] }',
            '{ more_than = { number = 1, within = "1Y", since = 2020-01-01 } }',
            "rule first, more_than",
            "since and within together",
            "Remove",
        ),
        (
            '{ level = ["felony"] }',
            '{ waited = { time = "7Y", since = ["conviction"], restarted_by = { level = ["x"] } } }',
            "rule first, waited, restarted_by, level",
            "no level is called x",
            "Use one of",
        ),
        (
            '{ level = ["felony"] }',
            '{ waited = { time = "7 years", since = ["conviction"] } }',
            "rule first, when, waited, time",
            "matching regex",
            "time, since, restarted_by",
        ),
        (
            '{ level = ["felony"] }',
            '{ punishable = { from = "10Y", below = "1Y" } }',
            "rule first, punishable",
            "never hold together",
            "Make the first",
        ),
        ('{ level = ["felony"] }', "{ punishable = {} }", "rule first, punishable", "it needs one bound", "Write one"),
        (
            '{ level = ["felony"] }',
            '{ punishable = { over = "1Y" } }',
            "rule first, when, punishable",
            "`over`",
            "from, above",
        ),
    ],
)
def test_a_mistake_has_a_place_and_a_remedy(old: str, new: str, where: str, what: str, remedy: str) -> None:
    assert old in SMALL
    read_rules(SMALL.encode())
    found = mistakes(SMALL.replace(old, new, 1))
    assert any(place == where and what in text and remedy in mended for place, text, mended in found), found


def test_all_mistakes_are_listed_at_once() -> None:
    text = SMALL.replace('["1 HS"]', '["1 PC"]').replace('["old"]', '["old", "new"]')
    assert [place for place, _, _ in mistakes(text)] == ["list old", "scope, sections"]


@pytest.mark.parametrize("field", ["sections", "not_sections", "only_sections", "ever_sections", "never_sections"])
def test_every_condition_on_sections_is_read(field: str) -> None:
    (problem,) = problems(table({field: ("1 HS", "1 HS")}))
    assert (problem.where, problem.what) == (f"rule r1, {field}", "a section twice")
    (problem,) = problems(table({field: ("old",)}))
    assert problem.what == "no list is called old"


@pytest.mark.parametrize("value", ["age", "age_at_conviction"])
def test_ages_that_never_hold_together_are_a_mistake(value: str) -> None:
    least, limit = f"{value}_from", f"{value}_below"
    assert problems(table({least: 29, limit: 30})) == ()
    (problem,) = problems(table({least: 30, limit: 30}))
    assert problem.what == f"{least} and {limit} never hold together"


def test_sections_of_a_state_without_codes_name_no_law() -> None:
    assert problems(table({"sections": ("11357(b)",)}, laws=())) == ()


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        ([{}, {"level": ("felony",)}], "without a condition it leaves nothing to later rules"),
        ([{"deceased": True}, {"deceased": True}], "it has the conditions of rule r1, which comes first"),
    ],
)
def test_a_rule_that_no_conviction_reaches_is_a_mistake(rules: list[dict[str, Any]], what: str) -> None:
    assert [problem.what for problem in problems(table(*rules))] == [what]


def test_two_rules_of_one_id_are_a_mistake() -> None:
    rules = table({"deceased": True}, {"deceased": False})
    twice = msgspec.structs.replace(rules, rules=(rules.rules[0], msgspec.structs.replace(rules.rules[1], id="r1")))
    assert [problem.what for problem in problems(twice)] == ["two rules have this id"]


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[", b"a = 1\na = 2", b"x" * (MAX_BYTES + 1), b"[" * 100_000, b"rules = 1", b"rules = [1]"]
)
def test_other_text_is_no_table(text: bytes) -> None:
    assert all(remedy for _, _, remedy in mistakes(text))


def test_a_text_has_a_limit() -> None:
    read_rules((SMALL + "#" * (MAX_BYTES - len(SMALL))).encode())
    (mistake,) = mistakes(SMALL + "#" * (MAX_BYTES - len(SMALL) + 1))
    assert mistake == ("table", "more than 256 KiB", "Split the table by kind of relief.")


def test_a_table_must_fit_a_header() -> None:
    listed = tuple(f"{number} HS" for number in range(1000, 1500))
    large = table(*({"sections": listed[i:]} for i in range(8)))
    (problem,) = problems(large)
    assert "in the header of a job" in problem.what
    assert problem.remedy == "Shorten lists and texts, or split it by kind of relief."


def test_every_condition_of_a_table_can_be_evaluated() -> None:
    assert {*CONDITIONS, "counting"} == set(When.__struct_fields__)


def test_years_free_of_crime_count_convictions_by_default() -> None:
    assert When(years_crime_free=5).conditions() == (("years_crime_free", (5, ("conviction",))),)
    assert When(years_crime_free=5, counting=("arrest",)).conditions() == (("years_crime_free", (5, ("arrest",))),)
    assert isinstance(read_rules(SMALL.encode()), Rules)


def test_a_table_in_words() -> None:
    rules = table({"not_sections": ("old", "2 HS"), "years_since_conviction": 1}, lists={"old": ("1 HS",)})
    assert list(in_words(rules)) == [
        "Nowhere: a test",
        "",
        "Sources",
        "  A law.",
        "",
        "A disposition that begins with CONVICTED is of the kind conviction.",
        "Another disposition is not a conviction.",
        "The levels, the gravest first, are felony, misdemeanor, infraction.",
        "The table decides on a charge of the kind conviction where",
        "   - always",
        "",
        "The first rule whose conditions all hold decides. A fact that is missing leaves a charge undecided.",
        "",
        "1. r1: dismiss. Reason 1.",
        "   - the section is not among old or 2 HS",
        "   - the conviction was at least 1 year ago",
        "   Source: A law.",
        "",
        "old: 1 HS",
    ]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"level": ("felony", "misdemeanor")}, "the level is felony or misdemeanor"),
        ({"sections": ("1 HS",)}, "the section is among 1 HS"),
        ({"convicted_from": date(2020, 1, 2)}, "the conviction is of 2020-01-02 or later"),
        ({"convicted_before": date(2020, 1, 2)}, "the conviction is before 2020-01-02"),
        ({"age_at_conviction_from": 18}, "the subject was 18 or older at conviction"),
        ({"age_at_conviction_below": 18}, "the subject was younger than 18 at conviction"),
        ({"age_from": 18}, "the subject is 18 or older"),
        ({"age_below": 18}, "the subject is younger than 18"),
        ({"years_since_conviction": 2}, "the conviction was at least 2 years ago"),
        ({"sentence": ("JAIL",)}, "the sentence has a part of JAIL"),
        ({"not_sentence": ("JAIL",)}, "the sentence has no part of JAIL"),
        ({"years_since_sentence": 2}, "the end of the sentence was at least 2 years ago"),
        ({"all_sentences_ended": True}, "all sentences of the subject have ended"),
        (
            {"years_crime_free": 5, "counting": ("felony_conviction", "arrest")},
            "the subject has no felony conviction or arrest within 5 years",
        ),
        ({"only_sections": ("1 HS",)}, "all convictions of the subject are among 1 HS"),
        ({"ever_sections": ("1 HS",)}, "the subject has a conviction among 1 HS"),
        ({"never_sections": ("1 HS",)}, "the subject has no conviction among 1 HS"),
        ({"without_events": ("arrest",)}, "the subject has no event of arrest"),
        ({"deceased": True}, "the subject is deceased"),
        ({"deceased": False}, "the subject is not deceased"),
        ({"disposition": ("conviction",)}, "the disposition is conviction"),
        ({"level_at_least": "felony"}, "the level is felony or graver"),
        ({"level_at_most": "felony"}, "the level is felony or less grave"),
        ({"punishable": Punishable(above="10Y")}, "the maximum penalty is more than 10 years"),
        (
            {"punishable": Punishable(from_="93D", below="1M")},
            "the maximum penalty is at least 93 days and less than 1 month",
        ),
        ({"marks": ("MINOR",)}, "the offense is marked MINOR"),
        ({"not_marks": ("MINOR", "X")}, "the offense is not marked MINOR or X"),
        (
            {"at_most": Count(number=2, level=("felony",), within="20Y", by="transaction")},
            "the subject has at most 2 convictions of which the level is felony within 20 years counted by transaction",
        ),
        (
            {"more_than": Count(number=0, disposition=("conviction",), since=date(2015, 1, 2), same="case")},
            "the subject has more than 0 charges of which the disposition is conviction of the same case since "
            "2015-01-02",
        ),
        (
            {"waited": Waited(time="1Y", since=("conviction", "sentence_end"), restarted_by=Which())},
            "at least 1 year after the conviction and end of the sentence, and after the last of the convictions",
        ),
        ({"no_pending": True}, "no charge against the subject is pending"),
        ({"paid": ("restitution", "fines")}, "all restitution and fines are paid"),
    ],
)
def test_conditions_in_words(condition: dict[str, Any], words: str) -> None:
    assert f"   - {words}" in list(in_words(table(condition)))

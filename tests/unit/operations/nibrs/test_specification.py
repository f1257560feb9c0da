"""Data files, conditions and side tables of `validate`: what is wrong in them is found when they are read."""

import ast
import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files

import pytest

from cji_core.errors import Reason
from cji_operations.nibrs.conditions import Compiler
from cji_operations.nibrs.headers import SEGMENT_FACTS
from cji_operations.nibrs.side_tables import OnFile, OriTable
from cji_operations.nibrs.specification import RULE_SETS, rule_set_of
from cji_operations.nibrs.submission import REPORT_FACTS
from cji_operations.validate import ON_FILE_SCHEMA, ORI_TABLE_SCHEMA, load_rule_set
from tests.support.nibrs_reports import REPORTS, lines, with_fields
from tests.support.nibrs_tools import judged, side
from tests.support.refusals import refused

RULES = load_rule_set("nibrs/3.1")
FACTS = {"reports": REPORT_FACTS, **dict.fromkeys(("unreadable", *RULES.levels), SEGMENT_FACTS)}


def test_unknown_rule_set() -> None:
    with pytest.raises(KeyError):
        load_rule_set("nibrs/9")


@pytest.mark.parametrize("name", RULE_SETS)
def test_sets_and_pairs_hold_codes_of_one_table(name: str) -> None:
    every = load_rule_set("nibrs/2016").codes
    for codes in RULES.sets.values():
        assert [table for table in every if set(codes) <= set(every[table].codes)]
    for both in RULES.pairs.values():
        assert {left for left, _ in both} <= set(every["offense"].codes)


def test_every_byte_of_a_level_belongs_to_one_element_or_none() -> None:
    """But month and year, which are also read together, and circumstances, which are also read as numbers (402)."""
    twice = {"control", "zero_period", "circumstance_number"}
    for table, level in RULES.levels.items():
        taken: dict[int, str] = {}
        tables = [table, "reports", *(n for n, f in RULES.fields.items() if f[0].slots and RULES.owner(n) == table)]
        for spec in (spec for name in tables for spec in RULES.fields[name] if spec.name not in twice):
            for start in spec.starts:
                for place in range(start, start + spec.width):
                    assert place not in taken, (level, spec.name)
                    taken[place] = spec.name
        assert max(taken) + 1 <= max(RULES.lengths[table])


def test_messages_and_elements_fit_the_error_data_set() -> None:
    for rule in RULES.rules:
        assert 0 < len(rule.message) <= 79
        assert rule.message.isascii()
        assert len(rule.element) <= 3
        assert 0 < rule.number < 1000
        assert rule.at in ("segment", "report") or RULES.views[rule.at].kind == "join"


def test_a_rule_is_in_a_rule_set_or_withdrawn() -> None:
    for rule in RULES.rules:
        assert rule.rule_sets <= {"2019", "3.1", "2016"}
        if rule.when is None:
            assert rule.omitted
    assert sorted({rule.number for rule in RULES.rules if not rule.rule_sets}) == [157, 171, 320, 668, 671]


def test_the_table_gives_side_tables_and_reasons_for_no_rule_set() -> None:
    text = files("cji_core.format.records.nibrs.data").joinpath("rules.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        facts = set(re.findall(r"[a-z_]+", row["when"]))
        reads = {
            "ori_table": any(fact.startswith("agency_") or fact == "unlisted" for fact in facts),
            "on_file": any("on_file" in fact or fact == "again" for fact in facts),
        }
        assert row["reads"].split() == [name for name, asked in reads.items() if asked]
        assert bool(row["omitted"]) == (not row["rule_sets"] or not row["when"])


@pytest.mark.parametrize(
    ("condition", "table"),
    [
        ("loss = 5", "properties"),
        ("los == '5'", "properties"),
        ("loss == '5'", "victims"),
        ("loss in NO_SET", "properties"),
        ("age == '5'", "victims"),
        ("loss < '5' < '6'", "properties"),
        ("any(nothing)", "reports"),
        ("any(items, description == '10', 1)", "reports"),
        ("count(items)", "reports"),
        ("total(items, loss_of, True) > 1", "reports"),
        ("blank()", "victims"),
        ("print(age)", "victims"),
        ("newborn(sex)", "victims"),
        ("gapped(age)", "victims"),
        ("kind(age) == 1", "victims"),
        ("(sex, race) not in EXCLUSIVE", "victims"),
        ("sex in offenders.nothing", "victims"),
        ("nobody.age > 1", "victims"),
        ("lambda: 1", "victims"),
        ("__import__('os')", "victims"),
    ],
)
def test_a_condition_that_says_nothing_known_is_refused(condition: str, table: str) -> None:
    compiler = Compiler(RULES, FACTS)
    with pytest.raises((ValueError, SyntaxError)):
        compiler.condition(ast.parse(condition, mode="eval").body, table)


def test_every_condition_compiles_for_both_rule_sets() -> None:
    for name in RULE_SETS:
        compiler = Compiler(load_rule_set(name), FACTS)
        for rule in load_rule_set(name).rules:
            if rule.when is not None:
                compiler.condition(rule.when, rule.on)
        assert compiler.parts()


def test_rules_in_force() -> None:
    def numbers(**options: frozenset[int]) -> set[int]:
        chosen = {"without": frozenset[int](), "also": frozenset[int](), **options}
        return {RULES.rules[line].number for line in RULES.in_force(**chosen)}

    assert 171 not in numbers()
    assert 171 in numbers(also=frozenset((171,)))
    assert 101 in numbers()
    assert 101 not in numbers(without=frozenset((101,)), also=frozenset((101,)))
    assert 931 not in numbers(also=frozenset((931,)))


@pytest.mark.parametrize(
    "row",
    [
        {"ori": "VT0010000X"},
        {"ori": "VT0010000", "status": "Q"},
        {"ori": "VT0010000", "nibrs_start": "2020-01-01"},
        {"ori": "VT0010000", "covered_from": "20200230"},
        {"ori": "VT0010000", "federal": "N"},
    ],
)
def test_an_ori_table_with_odd_values_is_refused(row: Mapping[str, str]) -> None:
    with refused(Reason.BAD_PARAMETERS):
        OriTable.of(side(ORI_TABLE_SCHEMA, [row]))


def test_an_ori_twice_in_the_table_is_refused() -> None:
    with refused(Reason.BAD_PARAMETERS):
        OriTable.of(side(ORI_TABLE_SCHEMA, [{"ori": "VT0010000"}, {"ori": "VT0010000", "status": "H"}]))


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "C", "ori": "VT0010000", "number": "1"},
        {"kind": "A", "ori": "VT0010000", "number": "1", "date": "2020"},
        {"kind": "A", "ori": "VT0010000", "number": "1" * 13},
        {"kind": "B", "ori": "VT0010000", "number": "1", "sequence": "001"},
    ],
)
def test_a_table_of_what_is_on_file_with_odd_values_is_refused(row: Mapping[str, str]) -> None:
    with refused(Reason.BAD_PARAMETERS):
        OnFile.of(side(ON_FILE_SCHEMA, [row]))


def test_a_federal_agency_may_be_of_another_state() -> None:
    mixed = lines(REPORTS["zero"]) + [line.replace(b"VT0010000", b"NH0010000") for line in lines(REPORTS["zero"])]
    data = b"\n".join(mixed)
    listed = [{"ori": "VT0010000"}, {"ori": "NH0010000"}]
    assert judged(data, agencies=listed).rule.tolist() == [59]
    assert judged(data, agencies=[listed[0], {**listed[1], "federal": "Y"}]).rule.tolist() == []


def test_rule_lines_are_kept_apart() -> None:
    """A rule set is a value: changing a copy leaves it alone."""
    changed = replace(RULES, rules=())
    assert changed.in_force(without=frozenset(), also=frozenset()) == ()
    assert RULES.in_force(without=frozenset(), also=frozenset())


@pytest.mark.parametrize(
    ("period", "rule_set"),
    [
        (199101, "nibrs/2016"),
        (201612, "nibrs/2016"),
        (201701, "nibrs/3.1"),
        (201812, "nibrs/3.1"),
        (201901, "nibrs/2019"),
        (203001, "nibrs/2019"),
        (-1, "nibrs/2019"),
    ],
)
def test_the_period_chooses_the_rule_set(period: int, rule_set: str) -> None:
    assert rule_set_of(period).name == rule_set


@pytest.mark.parametrize(("month", "year", "rule_set"), [("02", "2016", "nibrs/2016"), ("13", "2016", "nibrs/2019")])
def test_a_submission_is_checked_by_the_rules_of_its_period(month: str, year: str, rule_set: str) -> None:
    made = lines(with_fields(REPORTS["larceny"], "*", month=month, year=year))
    found = judged(b"\n".join([b"", *made]), "")
    assert found.rules.name == rule_set
    assert set(found.rates.rule_set.tolist()) == {rule_set.encode()}


def test_the_first_month_that_can_be_read_counts() -> None:
    odd = lines(with_fields(REPORTS["zero"], "*", month="XX"))
    made = lines(with_fields(REPORTS["larceny"], "*", year="2018"))
    assert judged(b"\n".join([*odd * 5_000, *made]), "").rules.name == "nibrs/3.1"
    assert judged(b"", "").rules.name == "nibrs/2019"


def test_rules_without_words_of_the_fbi_are_known() -> None:
    ours = {
        rule.number
        for rules in RULE_SETS.values()
        for rule, words in zip(rules.rules, rules.words, strict=True)
        if words == rule.message
    }
    assert ours == {106, 157, 452, 668, 671}

"""Every code of its table, and odd numbers, dates and ages, in every place of every valid report: engine and twin."""

from collections.abc import Iterator, Mapping

import pytest

from cji_operations.nibrs.specification import Field
from cji_operations.validate import load_rule_set
from tests.reference import nibrs as nibrs_twin
from tests.support.nibrs_reports import (
    REPORTS,
    Report,
    lines,
    with_fields,
)
from tests.support.nibrs_tools import (
    TODAY,
    as_found,
    as_outcome,
    judged,
)

RULES = load_rule_set("nibrs/2016")  # has one code more
ELSEWHERE = frozenset(("ori", "number", "level", "control", "zero_period"))
"""Not changed here: they say to which report a segment belongs, or are read with others."""

ODD: Mapping[str, tuple[str, ...]] = {
    "number": ("", "0", "00", "01", "02", "001", "99", "A1", "1 ", "000000000", "000000001", "999999999"),
    "date": ("", "20200401", "20200402", "20200331", "20200430", "20200501", "20200506", "19901231", "20200230"),
    "age": (
        *("", "NN", "NB", "BB", "00", "01", "09", "10", "12", "13", "16", "17", "18", "29", "30", "31", "98", "99"),
        *("1619", "1718", "1818", "2010", "0010", "8", "  17", "17 8", "NNBB"),
    ),
    "quantity": ("", "000000001000", "000000000000", "1"),
    "name": ("", "VT0010000", "AB-"),
    "identifier": ("", "20-1", " 1", "1 2", "*"),
}


def values(spec: Field) -> tuple[str, ...]:
    """What is put into a field."""
    return (*RULES.codes[spec.of].codes, "", "?") if spec.type == "code" else ODD[spec.type]


def changed(report: Report) -> Iterator[Report]:
    """The report with one other value in one place, for every value and place."""
    for at, (table, fields) in enumerate(report):
        slots = [name for name, specs in RULES.fields.items() if specs[:1] and specs[0].slots]
        for spec in RULES.fields[table]:
            if spec.name not in ELSEWHERE:
                for value in values(spec):
                    yield [*report[:at], (table, {**fields, spec.name: value}), *report[at + 1 :]]
        for spec in (spec for name in slots if RULES.owner(name) == table for spec in RULES.fields[name]):
            given = list(fields.get(spec.name, ()))
            for slot in range(min(len(given) + 1, len(spec.starts))):
                for value in values(spec):
                    other = [*given[:slot], value, *given[slot + 1 :]]
                    yield [*report[:at], (table, {**fields, spec.name: other}), *report[at + 1 :]]


CASES = [("nibrs/3.1", name) for name in REPORTS]
CASES += [
    ("nibrs/2016", name) for name in ("officer", "couple", "burglary", "vehicle", "cargo", "drugs", "arrest", "zero")
]
"""Of 2016 those that it judges by other rules."""


@pytest.mark.parametrize(("rule_set", "name"), CASES)
def test_engine_and_twin_agree_on_every_value_in_every_place(rule_set: str, name: str) -> None:
    made: list[bytes] = []
    for n, report in enumerate(changed(REPORTS[name])):
        made += lines(report if name == "zero" else with_fields(report, "*", number=f"20-{n:06d}"))
    found = judged(b"\n".join(made), rule_set)
    expected, outcome = nibrs_twin.whole(made, rule_set=rule_set, today=TODAY)
    assert as_found(found) == expected
    assert as_outcome(found) == outcome

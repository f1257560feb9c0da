"""Tables that contradict themselves are none, and grants are to one recipient class for one purpose."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cji_core.operations.tables.dissemination import Files, Grant
from cji_core.operations.tables.ncic import CodeRule, DateRule, HeightRule, NumberRule, Order, StatePrefixRule
from cji_core.operations.tables.screening import Rules
from tests.support.contexts import TABLES

NCIC, DISSEMINATION, SCREENING = TABLES.ncic, TABLES.dissemination, TABLES.screening


def _columns(**rules: Any) -> Callable[[], object]:
    return lambda: replace(NCIC, columns={**NCIC.columns, **rules})


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_columns(NONE=DateRule()), "the column NONE"),
        (_columns(SEX=CodeRule(table="none")), "no table of codes none"),
        (_columns(OLN=StatePrefixRule(table="none", most=9)), "no table of codes none"),
        (_columns(WGT=NumberRule(low=2, high=1, digits=3)), "an empty range for WGT"),
        (_columns(WGT=NumberRule(low=-1, high=1, digits=3)), "an empty range for WGT"),
        (_columns(HGT=HeightRule(low=600, high=500)), "an empty range for HGT"),
        (lambda: replace(NCIC, order=(Order(first="DOB", then="SEX"),)), "DOB and SEX are not both dates"),
        (lambda: replace(NCIC, order=(Order(first="none", then="DOB"),)), "none and DOB are not both dates"),
    ],
)
def test_values_of_columns_that_make_no_sense(make: Callable[[], object], error: str) -> None:
    assert _columns(WGT=NumberRule(low=0, high=0, digits=3))()
    with pytest.raises(ValueError, match=error):
        make()


def _granted(*flags: str, purpose: str = "H") -> Grant:
    grant = DISSEMINATION.grants[0]
    return replace(grant, purposes=(purpose,), recipients=("nobody_else",), flags=flags)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: replace(DISSEMINATION, grants=(*DISSEMINATION.grants, DISSEMINATION.grants[0])), "two grants"),
        (lambda: replace(DISSEMINATION, grants=(_granted(purpose="Q"),)), "purpose Q, which is not in the table"),
        (lambda: replace(DISSEMINATION, grants=(_granted("sealed"),)), "granted for purpose H"),
        (lambda: replace(DISSEMINATION, grants=(_granted("juvenile"),)), "granted for purpose H"),
        (lambda: replace(DISSEMINATION, files=Files(restricted=("A",), unrestricted=("A",))), "both restricted"),
    ],
)
def test_grants_that_make_no_sense(make: Callable[[], object], error: str) -> None:
    assert replace(DISSEMINATION, grants=(_granted("non_conviction"), _granted("sealed", "juvenile", purpose="C")))
    with pytest.raises(ValueError, match=error):
        make()


def test_a_grant_is_to_one_class_for_one_purpose() -> None:
    one, other = _granted(purpose="H"), replace(_granted(purpose="F"), recipients=("another",))
    table = replace(DISSEMINATION, grants=(one, other))
    assert table.grant("H", "nobody_else") == one
    assert table.grant("F", "another") == other
    assert table.grant("H", "another") is table.grant("F", "nobody_else") is table.grant("C", "nobody_else") is None
    assert table.recipients == {"nobody_else", "another"}


@pytest.mark.parametrize("name", ["ncic_qw", "ncic_qw_expanded_dob", "iii_qh"])
def test_searches_that_every_table_has(name: str) -> None:
    with pytest.raises(ValueError, match=f"no preset {name}"):
        replace(SCREENING, presets={each: rules for each, rules in SCREENING.presets.items() if each != name})


def _search(**changes: Any) -> Rules:
    return replace(next(iter(SCREENING.presets.values())), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"identifiers": ("SOC", "SOC")},
        {"sex": {"M": "M"}},
        {"race": {"W": "W"}},
        {"sex": {"U": "UM"}},
    ],
)
def test_searches_that_make_no_sense(changes: dict[str, Any]) -> None:
    assert _search(sex={"U": "U"}, race={"U": "UW", "W": "W"})
    with pytest.raises(ValueError, match=r"twice|without U"):
        _search(**changes)

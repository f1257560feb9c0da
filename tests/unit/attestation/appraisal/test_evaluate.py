"""What a report shows about an advisory: fixed only if all of it is shown, and never by silence."""

from datetime import date
from typing import Any

import pytest

from cji_attestation.appraisal.advisories import (
    PRODUCT_OF,
    SHIPPED,
    Advisory,
    Cpuid,
    Fix,
    Product,
    Shown,
    State,
    Stepping,
    evaluate,
    evaluate_domain,
    kind_of,
    product_of_cpuid,
)
from cji_attestation.appraisal.reference import FLOORS
from cji_attestation.evidence import Tcb

DAY = date(2026, 11, 26)
TCB = Tcb(bootloader=10, tee=0, snp=27, microcode=88)


def row(**changes: Any) -> Advisory:
    values: dict[str, Any] = {
        "id": "A",
        "title": "t",
        "visibility": "fixed",
        "affects": ("Genoa",),
        "fixes": {"Genoa": Fix(levels={"snp": 27})},
        "source": "s",
        "read": DAY,
        "confidence": "primary",
    }
    return Advisory(**(values | changes))


def shown(**changes: Any) -> Shown:
    values: dict[str, Any] = {
        "product": "Genoa",
        "stepping": "Genoa",
        "tcbs": (TCB, TCB, TCB),
        "mitigations": 0b0101,
        "alias_check": True,
        "smt": True,
        "version": 5,
    }
    return Shown(**(values | changes))


def lower(**levels: int) -> tuple[Tcb, ...]:
    """The launch TCB is lower than the others."""
    values = {"bootloader": 10, "tee": 0, "snp": 27, "microcode": 88}
    return TCB, TCB, Tcb(**(values | levels))


@pytest.mark.parametrize(
    ("changes", "machine", "state", "detail"),
    [
        ({}, {}, "fixed", "snp 27 ≥ 27"),
        ({}, {"tcbs": lower(snp=26)}, "open", "snp 26, fixed from 27"),
        ({}, {"tcbs": (TCB, None, TCB)}, "cannot be shown", "the TCB has unknown components"),
        ({}, {"stepping": None, "version": 2}, "cannot be shown", "the report of version 2 names no known stepping"),
        ({}, {"stepping": "Genoa-X"}, "cannot be shown", "no level is known for Genoa-X"),
        ({}, {"product": "Turin", "stepping": "Turin"}, "not affected", "Turin is not affected"),
        ({"smt_only": True}, {"smt": False, "tcbs": lower(snp=1)}, "not affected", "SMT is off"),
        ({}, {"smt": False, "tcbs": lower(snp=1)}, "open", "snp 1, fixed from 27"),
        ({"smt_only": True}, {"tcbs": lower(snp=1)}, "open", "snp 1, fixed from 27"),
        ({"visibility": "physical", "fixes": {}}, {}, "open", "a physical attack, which no firmware stops"),
        ({"visibility": "not fixed", "fixes": {}}, {}, "open", "nothing fixes it"),
        ({"visibility": "not visible in a report", "fixes": {}}, {}, "cannot be shown", "no report states it"),
        (
            {"visibility": "not visible in a report", "fixes": {}, "pi": {"Genoa": "1.0.0.H"}},
            {},
            "cannot be shown",
            "fixed by firmware 1.0.0.H, which no report states",
        ),
        ({"fixes": {"Genoa": Fix(mitigation_bit=2)}}, {}, "fixed", "mitigation bit 2"),
        ({"fixes": {"Genoa": Fix(mitigation_bit=0)}}, {}, "fixed", "mitigation bit 0"),
        ({"fixes": {"Genoa": Fix(mitigation_bit=1)}}, {}, "open", "mitigation bit 1 is not set"),
        (
            {"fixes": {"Genoa": Fix(levels={"snp": 27}, mitigation_bit=2)}},
            {"mitigations": None, "version": 3},
            "cannot be shown",
            "mitigation bit 2, which no report of version 3 has",
        ),
        (
            {"fixes": {"Genoa": Fix(levels={"snp": 28}, mitigation_bit=2)}},
            {"mitigations": None, "version": 3},
            "open",
            "snp 27, fixed from 28",
        ),
        (
            {"fixes": {"Genoa": Fix(levels={"snp": 27, "microcode": 86}, mitigation_bit=2)}},
            {},
            "fixed",
            "snp 27 ≥ 27, microcode 88 ≥ 86, mitigation bit 2",
        ),
        ({"fixes": {"Genoa": Fix(alias_check=True)}}, {}, "fixed", "alias check complete"),
        (
            {"fixes": {"Genoa": Fix(alias_check=True)}},
            {"alias_check": False},
            "open",
            "the alias check is not complete",
        ),
        (
            {"fixes": {"Genoa": Fix(alias_check=True)}},
            {"alias_check": None, "version": 2},
            "cannot be shown",
            "a report of version 2 has no alias check",
        ),
    ],
)
def test_a_row_on_a_machine(changes: dict[str, Any], machine: dict[str, Any], state: State, detail: str) -> None:
    (found,) = evaluate([row(**changes)], shown(**machine))
    assert found == ("A", state, detail, "")


def test_a_version_2_report_shows_no_fix() -> None:
    """Its firmware names no stepping, so no level of it can be compared."""
    old = shown(stepping=None, mitigations=None, alias_check=None, version=2)
    assert {one.state for one in evaluate(SHIPPED.rows, old)} <= {"open", "cannot be shown", "not affected"}


@pytest.mark.parametrize(
    ("cpuid", "kind", "product"),
    [
        ((0x19, 0x01, 1), "Milan", "Milan"),
        ((0x19, 0x01, 2), "Milan-X", "Milan"),
        ((0x19, 0x11, 1), "Genoa", "Genoa"),
        ((0x19, 0x11, 2), "Genoa-X", "Genoa"),
        ((0x19, 0xA0, 1), "Bergamo-A1", "Genoa"),
        ((0x19, 0xA0, 2), "Bergamo-Siena", "Genoa"),
        ((0x1A, 0x02, 1), "Turin", "Turin"),
        ((0x1A, 0x11, 0), "Turin-Dense", "Turin"),
    ],
)
def test_steppings_by_their_cpuid(cpuid: Cpuid, kind: Stepping, product: Product) -> None:
    assert kind_of(cpuid, product) == kind
    assert PRODUCT_OF[kind] == product_of_cpuid(*cpuid[:2]) == product
    assert FLOORS[kind].microcode > 0
    for other in ((0x19, 0x01, 0), (0x19, 0xA0, 0), (0x1A, 0x02, 0), (0x1A, 0x11, 1)):
        assert kind_of(other, product) is None


def test_floors_and_decisions_are_those_of_the_stepping() -> None:
    assert kind_of((0x19, 0x11, 2), "Genoa") == "Genoa-X"
    assert kind_of((0x19, 0x11, 9), "Genoa") is None
    assert kind_of((0, 0, 0), "Milan") == "Milan"


OTHERS = {"CVE-2025-2884", "CVE-2026-6726", "CVE-2026-6727", "INTEL-2025-10-28-001", "INTEL-2026-08-11-001", "WireTap"}
"""Of the vTPM, and physical attacks on TDX."""


def test_every_row_of_the_reference_is_in_the_shipped_table() -> None:
    numbers = (
        3005,
        3007,
        3011,
        3015,
        3016,
        3019,
        3020,
        3021,
        3023,
        3024,
        3027,
        3030,
        3033,
        3034,
        3036,
        3039,
        3040,
        3048,
    )
    rows = {one.id: one for one in SHIPPED.rows}
    assert {f"AMD-SB-{number}" for number in numbers} | {"arXiv:2605.12990", "AMD-SB-7014"} | OTHERS == set(rows)
    assert {one.id for one in SHIPPED.rows if one.visibility == "physical"} == {
        "AMD-SB-3024",
        "AMD-SB-3040",
        "AMD-SB-3048",
        *("INTEL-2025-10-28-001", "INTEL-2026-08-11-001", "WireTap"),
    }
    assert rows["AMD-SB-3034"].confidence == "disputed"
    assert rows["AMD-SB-3027"].smt_only
    assert rows["AMD-SB-3039"].pi == {"Genoa": "1.0.0.H", "Turin": "1.0.0.8"}
    assert rows["AMD-SB-3020"].fixes["Genoa"] == Fix(levels={"snp": 27, "microcode": 86})
    assert rows["AMD-SB-3030"].fixes["Milan"] == Fix(levels={"snp": 29}, mitigation_bit=4)


def test_a_row_of_trust_domains_is_open_or_cannot_be_shown() -> None:
    rows = (
        row(id="level", affects=("Genoa", "TDX")),
        row(id="attack", affects=("TDX",), visibility="physical", fixes={}),
        row(id="another", affects=("Genoa",)),
    )
    assert [(one.id, one.state, one.detail) for one in evaluate_domain(rows)] == [
        ("level", "cannot be shown", "no level is known for TDX"),
        ("attack", "open", "a physical attack, which no firmware stops"),
    ]

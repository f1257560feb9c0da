"""Which records make a report, and how far its pairings go: engine and twin on cases that chance would not meet."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from cji_operations.nibrs.segments import MAX_PAIRED
from cji_operations.validate import eds
from tests.reference import nibrs as nibrs_twin
from tests.support.nibrs_reports import (
    REPORTS,
    Report,
    lines,
    segment,
    with_fields,
)
from tests.support.nibrs_tools import (
    TODAY,
    as_found,
    as_outcome,
    judged,
)

LARCENY = REPORTS["larceny"]
DELETE = segment("deleted_incidents", date="20200401")


FILED = {"kind": "B", "ori": "VT0010000", "number": "20-12345", "sequence": "01", "date": "20200410"}


def both(report: Report, *, filed: Sequence[Mapping[str, str]] = (), start: str = "") -> Counter[int]:
    """The rules found, by engine and twin alike. `start`: when the agency's NIBRS data began."""
    made = lines(report)
    agency = {"ori": "VT0010000", "status": "A", "nibrs_start": start}
    found = judged(b"\n".join(made), filed=filed, agencies=[agency])
    expected, outcome = nibrs_twin.whole(
        made,
        rule_set="nibrs/3.1",
        today=TODAY,
        agencies={"VT0010000": nibrs_twin.Agency(start=int(start) if start else None)},
        filed=[(row["kind"], row["ori"] + row["number"].ljust(12), row["sequence"], int(row["date"])) for row in filed],
    )
    assert as_found(found) == expected
    assert as_outcome(found) == outcome
    return Counter(found.rule.tolist())


def test_a_delete_and_the_report_anew() -> None:
    assert both([DELETE, *LARCENY]) == {}
    assert len(judged(b"\n".join(lines([DELETE, *LARCENY]))).reports.accepted) == 2


def test_nothing_belongs_to_a_delete() -> None:
    assert both([DELETE, *LARCENY[1:]]) == {55: 1}


def test_a_delete_behind_a_report_is_a_report_by_itself() -> None:
    assert both([*LARCENY[1:], DELETE]) == {55: 1}
    assert len(judged(b"\n".join(lines([*LARCENY[1:], DELETE]))).reports.accepted) == 2


def test_a_second_level_1_begins_a_report() -> None:
    assert both([*LARCENY, *LARCENY]) == {56: 1}
    assert both([*LARCENY, LARCENY[0]]) == {56: 1}


def test_a_deleted_incident_may_be_added_again() -> None:
    assert both([*LARCENY, DELETE, *LARCENY]) == {}


def test_a_delete_of_another_date_frees_no_number() -> None:
    other = with_fields([DELETE], "*", date="20200402")
    assert both([*LARCENY, *other, *LARCENY]) == {56: 1}
    later = with_fields(LARCENY, "admin", date="20200402")
    assert both([*LARCENY, *later, *other, *LARCENY]) == {56: 2}
    assert both([*LARCENY, *other, DELETE, *later, *other, *LARCENY]) == {}


def test_a_delete_frees_a_number_on_file_by_its_date() -> None:
    filed = {"kind": "A", "ori": "VT0010000", "number": "20-12345", "sequence": "", "date": "20200401"}
    other = with_fields([DELETE], "*", date="20200402")
    assert both([DELETE, *LARCENY], filed=[filed]) == {}
    assert both([*other, *LARCENY], filed=[filed]) == {56: 1}
    assert both([DELETE, *LARCENY], filed=[filed, {**filed, "date": "20200301"}]) == {56: 1}
    assert both([*other, *LARCENY], filed=[{**filed, "number": "20-9"}]) == {}


def test_a_duplicate_has_one_finding_at_its_level_1_segment() -> None:
    faulty = with_fields(with_fields(LARCENY, "offenders", sex="X"), "victims", race="X")
    made = lines([*LARCENY, *faulty])
    found = judged(b"\n".join(made))
    assert found.rule.tolist() == [56]
    record = bytes(eds(found)[0])
    first = len(LARCENY) + 1
    assert record[:61] == f"202004{first:07d}IVT001000020-12345    1".encode() + b" " * 10 + b"056" + b" " * 12
    assert found.status.codes.tolist() == [20_056, *[21_000] * (len(LARCENY) - 1)]
    assert both([*LARCENY, *faulty]) == {56: 1}
    without = judged(b"\n".join(made), without=frozenset((56,)))
    assert {404, 504} <= set(without.rule.tolist())


@pytest.mark.parametrize("sequence", ["01", ""])
def test_an_arrest_may_be_deleted_and_added_again(sequence: str) -> None:
    arrest, delete = REPORTS["arrest"], with_fields(REPORTS["deleted arrest"], "*", sequence=sequence)
    assert both([*arrest, *delete, *arrest]) == {}
    assert both([*delete, *arrest], filed=[FILED]) == {}
    assert both([*delete, *arrest, *arrest], filed=[FILED]) == {751: 1}
    assert both([*arrest, *delete], filed=[FILED]) == {759: 1}


def test_a_delete_of_another_arrest_leaves_this_one() -> None:
    arrest = REPORTS["arrest"]
    other = with_fields(REPORTS["deleted arrest"], "*", sequence="02")
    elsewhere = with_fields(REPORTS["deleted arrest"], "*", number="20-9", sequence="")
    assert both([*arrest, *other, *elsewhere, *arrest]) == {751: 1}
    assert both([*other, *elsewhere, *arrest], filed=[FILED]) == {759: 1}


@pytest.mark.parametrize(("start", "rules"), [("20200405", {}), ("20200406", {173: 2})])
def test_a_clearance_may_precede_the_data_of_the_agency(start: str, rules: dict[int, int]) -> None:
    assert both(REPORTS["cleared"], start=start) == rules


def test_a_report_that_is_interrupted_is_two() -> None:
    other = with_fields(LARCENY, "*", number="20-9")
    assert both([*LARCENY[:3], *other, *LARCENY[3:]])[55] == 1


def test_an_unreadable_record_does_not_part_a_report() -> None:
    odd = segment("unreadable", level="X")
    assert both([*LARCENY[:2], odd, *LARCENY[2:]]) == {51: 1}
    assert both([odd, *LARCENY]) == {51: 1}


def test_segments_are_compared_with_the_first_readable_one() -> None:
    elsewhere = {"month": "03", "ori": "NH0010000"}
    assert both([segment("unreadable", level="X", **elsewhere), *LARCENY]) == {51: 1}
    assert both([*with_fields(REPORTS["arrest"], "*", month="", ori=""), *LARCENY]) == {701: 2}
    damaged = with_fields(REPORTS["arrest"], "*", length="0067", arrest_date="20200301", **elsewhere)
    assert both([*damaged, *LARCENY]) == {701: 1, 58: 1, 59: 1, 933: 1}
    assert both([*with_fields(REPORTS["arrest"], "*", number="9", month="03", arrest_date="20200301"), *LARCENY]) == {
        58: 5
    }


@pytest.mark.parametrize("before", [MAX_PAIRED - 1, MAX_PAIRED])
def test_an_offense_is_paired_with_ten_property_segments(before: int) -> None:
    wrong = segment("properties", loss="4", description=["20"], value=["000000100"])
    found = both([*LARCENY[:2], *[wrong] * before, *LARCENY[2:]])
    assert found[78] == (before >= MAX_PAIRED)
    assert found[376] == before - 1


@pytest.mark.parametrize("before", [MAX_PAIRED - 1, MAX_PAIRED])
def test_a_property_segment_is_paired_with_ten_offenses(before: int) -> None:
    other = segment("offenses", offense="13C", completed="C", substance=["N"], location="20", bias=["88"])
    found = both([LARCENY[0], *[other] * before, *LARCENY[1:]])
    assert found[81] == found[390] == (before >= MAX_PAIRED)

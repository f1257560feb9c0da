"""NIBRS XML and the flat form of the same reports: the same findings, and where in the XML they are."""

import re
from collections import Counter
from typing import Final

import numpy as np
import pytest

from cji_core.format.records import Status
from cji_core.format.records.nibrs.records import Unread
from cji_core.operations.validate import NO_RECORD, OF_REJECTED_REPORT
from cji_operations.nibrs.specification import RULE_SETS
from cji_operations.validate.nibrs import paths
from tests.support.nibrs_mutations import MUTATIONS, Mutation
from tests.support.nibrs_reports import REPORTS, lines, twice, with_fields, without
from tests.support.nibrs_tools import judged
from tests.support.nibrs_xml_tools import expected_lines, judged_xml, keys, lines_of, records, rows_of

PARTS: Final = 8
ONLY_FLAT: Final = {
    "XML has no segment lengths, levels, months of their own or order of segments": {
        *(1, 15, 16, 17, 50, 51, 55, 58, 75, 90, 91, 92, 93, 94, 101, 201, 301, 401, 501, 601, 701),
        *(178, 284, 484, 584, 115, 116, 215, 216, 315, 316, 415, 416, 515, 516, 615, 616, 715, 716, 204, 404),
    },
    "values of XML are trimmed, and numbers need no zeros": {408, 508, 608, 708, 556, 664, 757},
    "an automatic weapon is a code of its own": {221, 258, 604, 655, 755},
    "a reference leads to an object that is there, or to nothing": {70, 85, 264, 466, 560},
    "without an indicator anywhere, a submission has no cargo theft": {119, 122},
    "a false indicator is no indicator": {151},
    "items of one status are one segment, and numbers of vehicles have the status": {352, 360, 376},
    "the IEPD has no such code, and no time windows": {553, 623},
}
"""Rules whose faults the flat form alone can have, by why."""


@pytest.mark.parametrize("rule_set", RULE_SETS)
@pytest.mark.parametrize("name", REPORTS)
def test_xml_and_flat_of_a_report_have_the_same_findings(name: str, rule_set: str) -> None:
    made = lines(REPORTS[name])
    assert keys(judged_xml(rows_of(made), rule_set)) == keys(judged(b"\n".join(made), rule_set))


def _same(mutation: Mutation) -> bool:
    made = lines(mutation.change(REPORTS[mutation.report]))
    flat = judged(b"\n".join(made), mutation.rule_set)
    xml = judged_xml(rows_of(made), mutation.rule_set)
    return [key[:4] for key in keys(flat)] == [key[:4] for key in keys(xml)]


@pytest.mark.parametrize("part", range(PARTS))
def test_xml_and_flat_of_faulty_reports_have_the_same_findings(part: int) -> None:
    """For each rule a fault; where they differ, XML cannot have the fault."""
    compared = [m for m in MUTATIONS if not (m.also or m.agency or m.filed) and _is_ascii(m)]
    assert len(compared) > 500
    differ = {mutation.rule for mutation in compared[part::PARTS] if not _same(mutation)}
    assert differ - set().union(*ONLY_FLAT.values()) == set()


def _is_ascii(mutation: Mutation) -> bool:
    return b"".join(lines(mutation.change(REPORTS[mutation.report]))).isascii()


@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_reads_faulty_reports_as_its_slow_twin_does(part: int) -> None:
    for mutation in (m for m in MUTATIONS[part::PARTS] if _is_ascii(m)):
        rows = rows_of(lines(mutation.change(REPORTS[mutation.report])))
        assert lines_of(records(rows)) == expected_lines(rows), mutation.rule


def test_findings_say_where_in_the_report_they_are() -> None:
    made = with_fields(twice(REPORTS["robbery"], "victims", sequence="002"), "victims/2", sex="X")
    made = with_fields(with_fields(made, "offenses", location="99"), "properties", value=["00000000X"])
    found = judged_xml(rows_of(lines(made)))
    assert dict(zip(found.rule.tolist(), paths(found).tolist(), strict=True)) == {
        204: b"nc:Location[1]/nibrs:LocationCategoryCode",
        302: b"nc:Item[nc:ItemStatus/cjis:ItemStatusCode='STOLEN']/nc:ItemValue/nc:ItemValueAmount/nc:Amount",
        404: b"nc:Person[2]/j:PersonSexCode",
    }


def test_findings_about_a_whole_report_have_no_place_in_it() -> None:
    found = judged_xml(rows_of(lines(without(REPORTS["robbery"], "properties"))))
    assert found.rule.tolist() == [74]
    assert paths(found).tolist() == [b"."]
    arrest = judged_xml(rows_of(lines(with_fields(REPORTS["arrest"], "*", arrest_type="X"))))
    assert paths(arrest).tolist() == [b"j:Arrest[1]/j:ArrestCategoryCode"]


def test_flat_findings_have_no_path() -> None:
    found = judged(b"\n".join(lines(with_fields(REPORTS["robbery"], "offenders", sex="X"))))
    assert paths(found).tolist() == [b""]


BAD_ROWS: Final = {
    b"": Unread.BLANK,
    b"<": Unread.MALFORMED,
    b"words": Unread.NO_REPORT,
    b"<nibrs:Report>": Unread.MALFORMED,
    b"<nibrs:Report></nc:Report>": Unread.MALFORMED,
    b"<nibrs:Report/>": Unread.NO_REPORT,
    b"<nc:Incident></nc:Incident>": Unread.NO_REPORT,
    b"<nibrs:Report></nibrs:Report><nibrs:Report></nibrs:Report>": Unread.NO_REPORT,
    b"<nibrs:Report>&secret;</nibrs:Report>": Unread.FORBIDDEN,
    b'<!DOCTYPE x [<!ENTITY a "b">]><nibrs:Report></nibrs:Report>': Unread.MALFORMED,
    b"</row><!DOCTYPE x><row><nibrs:Report></nibrs:Report>": Unread.MALFORMED,
    b"<nibrs:Report>" + b"<a>" * 20 + b"</a>" * 20 + b"</nibrs:Report>": Unread.TOO_DEEP,
    b"<nibrs:Report>" + b" " * (5 << 20) + b"&amp;</nibrs:Report>": Unread.TOO_LARGE,
}


def test_rows_that_are_no_reports_are_counted_with_their_reason() -> None:
    good = rows_of(lines(REPORTS["robbery"]))[0]
    rows = [row for bad in BAD_ROWS for row in (good, bad)]
    found = judged_xml(rows)
    status = found.status
    assert len(status.status) == len(rows)
    codes = dict(zip(status.rows.tolist(), status.codes.tolist(), strict=False))
    for n, why in enumerate(BAD_ROWS.values()):
        assert codes[2 * n + 1] == NO_RECORD + why, why
        assert status.status[2 * n + 1] == (Status.WARNED if why is Unread.BLANK else Status.NOT_USABLE)
    assert len(found.reports.accepted) == len(BAD_ROWS)


def test_a_row_has_the_status_of_its_report() -> None:
    bad = with_fields(with_fields(REPORTS["robbery"], "offenders", sex="X"), "victims", race="X")
    rejected = without(with_fields(REPORTS["robbery"], "*", number="20-9"), "properties")
    found = judged_xml(
        rows_of([*lines(bad), *lines(rejected), *lines(with_fields(REPORTS["arrest"], "*", number="20-8"))])
    )
    assert found.status.status.tolist() == [Status.NOT_USABLE, Status.NOT_USABLE, Status.OK]
    codes = Counter(zip(found.status.rows.tolist(), found.status.codes.tolist(), strict=True))
    assert codes == {(0, 20_404): 1, (0, 20_504): 1, (1, 20_074): 1}
    assert OF_REJECTED_REPORT not in found.status.codes


def test_what_has_no_room_is_found_and_not_cut() -> None:
    row = rows_of(lines(REPORTS["robbery"]))[0]
    offense = b"<j:ForceCategoryCode>12</j:ForceCategoryCode>"
    force = b"<j:OffenseForce>" + offense + b"</j:OffenseForce>"
    codes = [b"11", b"13", b"14", b"15"]
    many = row.replace(force, b"".join(force.replace(b">12<", b">" + code + b"<") for code in codes))
    assert [(rule, value) for rule, _, _, _, value in keys(judged_xml([many]))] == [(255, b"?")]
    twice_sex = row.replace(b"<j:PersonSexCode>", b"<j:PersonSexCode>F</j:PersonSexCode><j:PersonSexCode>")
    assert {rule for rule, *_ in keys(judged_xml([twice_sex]))} >= {504, 667}
    long_ori = row.replace(b">VT0010000<", b">VT00100001<")
    assert {rule for rule, *_ in keys(judged_xml([long_ori]))} == {952}
    number = row.replace(b">20-12345<", b">20-1234567890<")
    assert {rule % 100 for rule, *_ in keys(judged_xml([number]))} == {17}


def test_a_substance_adds_only_its_drug_if_it_has_nothing_else() -> None:
    drugs = with_fields(
        REPORTS["drugs"], "properties", drug=["A", "E"], quantity=["000000001000"] * 2, measure=["GM"] * 2
    )
    rows = rows_of(lines(drugs))
    assert rows[0].count(b"<nc:Substance>") == 2
    assert keys(judged_xml(rows)) == []
    line = next(line for line in lines_of(records(rows)) if line[4:5] == b"3")
    assert line[38:40] == b"10"
    assert line[57:59] == b"  "


@pytest.mark.parametrize(
    ("report", "text", "rule"),
    [
        ("robbery", b"<j:ItemCategoryNIBRSPropertyCategoryCode>20<", 304),
        ("robbery", b"<nc:Amount>100<", 302),
        ("assault", b"<nibrs:VictimToSubjectRelationshipCode>Acquaintance<", 404),
        ("drugs", b"<j:DrugCategoryCode>E<", 304),
    ],
)
def test_a_second_value_of_one_object_is_found(report: str, text: bytes, rule: int) -> None:
    row = rows_of(lines(REPORTS[report]))[0]
    name, _, value = text.partition(b">")
    again = text.replace(value, b"9<") + b"/" + name[1:] + b">"
    changed = row.replace(text, again + text, 1)
    assert lines_of(records([changed])) == expected_lines([changed])
    assert rule in {found for found, *_ in keys(judged_xml([changed]))}


@pytest.mark.parametrize("name", ["Offense1", "Victim1", "PersonVictim1", "none"])
@pytest.mark.parametrize(
    "kind", ["nc:Location", "j:Offense", "j:Victim", "j:Subject", "nc:RoleOfPerson", "nc:Activity"]
)
def test_a_reference_to_an_object_of_another_kind_is_none(kind: str, name: str) -> None:
    row = rows_of(lines(REPORTS["assault"]))[0]
    changed = [re.sub(rb"<" + kind.encode() + rb' s:ref="\w+"', f'<{kind} s:ref="{name}"'.encode(), row)]
    assert lines_of(records(changed)) == expected_lines(changed)


def test_a_report_that_replaces_is_whole_and_no_duplicate() -> None:
    robbery = lines(REPORTS["robbery"])
    replaced = lines(with_fields(REPORTS["robbery"], "*", action="R"))
    assert judged(b"\n".join([*robbery, *replaced]), "nibrs/2019").rule.tolist() == []
    gone = lines(without(with_fields(REPORTS["robbery"], "*", action="R"), "properties"))
    assert judged(b"\n".join([*robbery, *gone]), "nibrs/2019").rule.tolist() == [74]
    assert set(judged(b"\n".join(replaced), "nibrs/3.1").rule.tolist()) >= {101, 201}


def test_rows_of_any_chunk_give_the_same_records(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row for report in REPORTS.values() for row in rows_of(lines(report))]
    whole = records(rows)
    monkeypatch.setattr("cji_core.format.records.nibrs.xml_reports._CHUNK_BYTES", 4_000)
    parts = records(rows)
    assert lines_of(whole) == lines_of(parts)
    assert np.array_equal(whole.rows, parts.rows)
    assert np.array_equal(np.asarray(whole.positions), np.asarray(parts.positions))

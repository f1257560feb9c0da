"""Real NIBRS submissions: the FBI's own answer to one of them, and the published tables of the specification."""

import csv
import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Final

import pytest

from cji_operations.validate import EDS_BYTES, eds, load_rule_set
from tests.reference import nibrs as nibrs_twin
from tests.support.nibrs_tools import (
    AS_OF,
    TODAY,
    as_found,
    as_outcome,
    judged,
)

pytestmark = pytest.mark.vectors

SETS: Final = ("nibrs/2019", "nibrs/3.1", "nibrs/2016")
FILES: Final = (
    "Test-Submission-1.txt",
    "vt_2020_04_deid.txt.gz",
    "Flatfile-XML_Test_1.txt",
    "Flatfile-XML_Test_2.txt",
    "Flatfile-XML_Test_3.txt",
    "NIBRS_Test_Sample.txt",
)
JUDGED: Final = 61
"""An Error Data Set record as far as it is not the words of its message."""

# what the FBI knew of the agency and the submission does not say: it tells in the message of its two lines 173
MINNESOTA: Final = [
    {"ori": "MN0500200", "status": "A", "nibrs_start": "20151001"},
    {"ori": "MNBCA0000", "status": "A"},
    {"ori": "WI0500200", "status": "A"},  # an officer's
]
PROCESSED: Final = date(2016, 2, 24)


@pytest.fixture(scope="module")
def nibrs(vectors: Path) -> Path:
    return vectors / "cji" / "nibrs"


def read(nibrs: Path, name: str) -> bytes:
    data = (nibrs / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data


def answer(nibrs: Path) -> list[str]:
    lines = (nibrs / "Test-EDS-1.txt").read_text("ascii").splitlines()
    assert {len(line) for line in lines[:-1]} == {EDS_BYTES}
    assert lines[-1][14:23] == "999999999"
    return [line[:JUDGED] for line in lines[:-1]]


def records(nibrs: Path, rule_set: str) -> list[str]:
    found = judged(read(nibrs, "Test-Submission-1.txt"), rule_set, as_of=PROCESSED, agencies=MINNESOTA)
    lines = [bytes(line).decode("ascii") for line in eds(found)]
    assert lines[-1][14:23] == "999999999"
    return [line[:JUDGED] for line in lines[:-1]]


def test_the_fbis_error_data_set_is_reproduced_byte_for_byte(nibrs: Path) -> None:
    """42 lines, and not one more. The two of rule 173 need the ORI table; see the next test."""
    expected = answer(nibrs)
    assert len(expected) == 42
    assert records(nibrs, "nibrs/2016") == expected


def test_without_the_ori_table_only_what_needs_it_is_missing(nibrs: Path) -> None:
    found = judged(read(nibrs, "Test-Submission-1.txt"), "nibrs/2016", as_of=PROCESSED)
    lines = [bytes(line).decode("ascii")[:JUDGED] for line in eds(found)][:-1]
    missing = Counter(answer(nibrs)) - Counter(lines)
    assert not Counter(lines) - Counter(answer(nibrs))
    assert [line[46:49] for line in missing.elements()] == ["173", "173"]


SPECIFICATION_SAYS: Final = {
    "178": "3.3.1: one length for all segments of a level; the submission mixes 0087 and 0088",
    "284": "3.3.1: one length for all segments of a level; the submission mixes 0063 and 0071",
    "484": "3.3.1: one length for all segments of a level; the submission mixes 0129 and 0141",
    "584": "3.3.1: one length for all segments of a level; the submission mixes 0045 and 0046",
    "452": "new in 3.1: an officer is 17 to 98 years old; two are BB and NB",
    "704": "3.1 has no Group B offense 90I (runaway) any more",
}
SPECIFICATION_DOES_NOT_SAY: Final = {
    "085": "in 3.1 for three offenders and more; the FBI of 2016 has it for two",
}


def test_differences_of_3_1_from_2016_are_in_the_specification(nibrs: Path) -> None:
    """0 unexplained, either way."""
    ours, theirs = Counter(records(nibrs, "nibrs/3.1")), Counter(answer(nibrs))
    more = Counter(line[46:49] for line in (ours - theirs).elements())
    less = Counter(line[46:49] for line in (theirs - ours).elements())
    assert more == {"178": 1, "284": 1, "484": 1, "584": 1, "452": 2, "704": 1}
    assert less == {"085": 1}
    assert more.keys() == SPECIFICATION_SAYS.keys()
    assert less.keys() == SPECIFICATION_DOES_NOT_SAY.keys()


VERMONT: Final = {
    304: (3, "property descriptions that the specification does not have: the basic set's findings"),
    404: (2, "a relationship code that the specification does not have"),
    459: (48, "offenders related to victims of crimes against property only"),
    720: (51, "Group B arrests of 2014 to 2018"),
    119: (3, "cargo theft said of offenses that do not take it"),
    284: (1, "segments of two lengths"),
    484: (1, "segments of two lengths"),
    584: (1, "segments of two lengths"),
}
"""A state's monthly submission: rule -> how often, and why."""

LENGTHS: Final = frozenset((178, 284, 484, 584))


def test_a_states_submission_has_its_known_findings_only(nibrs: Path) -> None:
    found = judged(read(nibrs, "vt_2020_04_deid.txt.gz"))
    assert Counter(found.rule.tolist()) == {rule: count for rule, (count, _) in VERMONT.items()}
    assert len(found.status.status) == 6518
    assert sum(found.status.counts()) == 6518
    assert found.reports.accepted.sum() == 1692


def test_basic_edits_of_a_state_submission_have_three_findings(nibrs: Path) -> None:
    found = judged(read(nibrs, "vt_2020_04_deid.txt.gz"), without=LENGTHS | {119, 404, 459, 720})
    assert found.rule.tolist() == [304] * 3
    assert found.element.tolist() == [b"15"] * 3


EXAMPLES: Final = {
    "Flatfile-XML_Test_1.txt": {459: 1},
    "Flatfile-XML_Test_2.txt": {},
    "Flatfile-XML_Test_3.txt": {459: 2},
    "NIBRS_Test_Sample.txt": {601: 1},  # its last line lacks the blanks at its end
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_complete_incidents_have_their_known_findings_only(nibrs: Path, name: str) -> None:
    assert Counter(judged(read(nibrs, name)).rule.tolist()) == EXAMPLES[name]


@pytest.mark.parametrize("rule_set", SETS)
@pytest.mark.parametrize("name", FILES)
def test_the_engine_equals_its_slow_twin_on_real_files(nibrs: Path, name: str, rule_set: str) -> None:
    data = read(nibrs, name)
    lines = data.removesuffix(b"\n").split(b"\n")
    found = judged(data, rule_set)
    expected, outcome = nibrs_twin.whole(lines, rule_set=rule_set, today=TODAY)
    assert as_found(found) == expected
    assert as_outcome(found) == outcome
    assert AS_OF.strftime("%Y%m%d") == str(TODAY)


# the data files beside the published tables


def rows(nibrs: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((nibrs / name).read_text("utf-8-sig").splitlines()))


def test_all_269_rules_are_in_the_table_or_say_why_not(nibrs: Path) -> None:
    published = rows(nibrs, "nibrs_edit_rules.csv")
    assert len(published) == 269
    ours = {rule.number: rule for rule in load_rule_set("nibrs/3.1").rules}
    assert {int(row["rule"]) for row in published} <= ours.keys()
    assert [number for number, rule in ours.items() if rule.when is None and not rule.omitted] == []
    assert [number for number, rule in ours.items() if rule.when is None] == [931]


ELSEWHERE: Final = {
    "the header has no data element number": {
        *((rule, "Header") for rule in (1, 93, 94, 96, 101, 104, 704)),
        *((rule, "Element") for rule in (92,)),
        *((rule, "Clearance") for rule in (604, 623, 668, 671)),
    },
    "a city indicator is mandatory for direct contributors only, which no submission says": {
        (1, "City"),
        (101, "City"),
    },
    "090 and 091 say it": {(4, "Header")},
    "the text is that of 101; 052, 930 to 934 and 952 judge the ORI": {
        *((rule, "01") for rule in (86, 104, 204, 304, 404, 504, 604)),
        (404, "25C"),
    },
    "found at the Group B arrest, data element 41": {(88, "02")},
    "found at the incident's first record, as in the FBI's answers": {(56, "02")},
    "another rule says it of the same element": {
        (104, "03"),  # 151 and 152
        (104, "05"),  # 105
        (204, "10"),  # 202
        (304, "16"),  # 302
        (304, "17"),  # 305
        (304, "18"),  # 302
        (304, "19"),  # 302
        (304, "21"),  # 302
        (404, "34"),  # 402
        (504, "37"),  # 556
        (572, "39"),  # 472
    },
    "said of the element that was entered (3.1), not of the one that is missing": {
        (356, "15"),
        (356, "16"),
        (364, "20"),
    },
}
"""Element edits that the table has under another rule or element, by why."""


def test_all_344_element_edits_are_in_the_table_or_explained(nibrs: Path) -> None:
    published = rows(nibrs, "nibrs_element_edits.csv")
    assert len(published) == 344
    ours = {(rule.number, rule.element) for rule in load_rule_set("nibrs/3.1").rules}
    explained = set().union(*ELSEWHERE.values())
    used = set()
    unexplained = []
    for row in published:
        rule, words = int(row["RuleNumber"]), row["DataElementNumber"].split()
        number = words[0].zfill(2) if words[0].isdigit() else {"2A": "02A", "8A": "08A"}.get(words[0], words[0])
        names = {(rule, number), *((rule, word.strip("()")) for word in words)}
        if (rule, number) in ours:
            continue
        used |= names & explained
        if not names & explained:
            unexplained.append((rule, row["DataElementNumber"]))
    assert unexplained == []
    assert explained - used == set()


def test_the_layout_is_the_published_one(nibrs: Path) -> None:
    published = {
        (row["level"], int(row["start"]), int(row["width"]), row["data_element"])
        for row in rows(nibrs, "nibrs_layout.csv")
    }
    rules = load_rule_set("nibrs/3.1")
    ours = set()
    for table, level in rules.levels.items():
        tables = [table, "reports", *(n for n, f in rules.fields.items() if f[0].slots and rules.owner(n) == table)]
        for spec in (spec for name in tables for spec in rules.fields[name]):
            for start in spec.starts:
                element = spec.element.lstrip("0")
                if level == 7 and spec.name == "number":
                    element = "41"
                ours.add((str(level), start + 1, spec.width, element))
    derived = {entry for entry in ours if entry[1:3] in ((7, 6), (38, 6))}  # month and year together
    assert ours - derived <= published
    left = {entry for entry in published - ours if entry[3]}
    assert left == set()  # all numbered data elements; placeholders of time windows are read where a rule needs them


CODES: Final = {
    "cleared": "ClearedExceptionallyType",
    "using": "OffenderSuspectedOfUsingType",
    "location": "LocationTypeType",
    "entry": "MethodOfEntryType",
    "activity": "TypeOfCriminalActivityType",
    "weapon": "TypeOfWeaponForceInvolvedType",
    "bias": "BiasMotivationType",
    "loss": "TypePropertyLossEtcType",
    "description": "PropertyDescriptionType",
    "drug": "SuspectedDrugTypeType",
    "measure": "TypeDrugMeasurementType",
    "victim": "TypeOfVictimType",
    "sex": "SexOfPersonType",
    "race": "RaceOfPersonType",
    "ethnicity": "EthnicityOfPersonType",
    "resident": "ResidentStatusOfPersonType",
    "circumstance": "AggravatedAssaultHomicideCircum",
    "justifiable": "AdditionalJustifiableHomicideCi",
    "injury": "TypeInjuryType",
    "relationship": "RelationshipsVictimToOffendersT",
    "officer_activity": "OfficerActivityCircumstanceType",
    "officer_assignment": "OfficerAssignmentTypeType",
    "arrest": "TypeOfArrestType",
    "multiple": "MultipleArresteeSegmentsIndicat",
    "armed": "ArresteeWasArmedWithType",
    "disposition": "DispositionOfArresteeUnder18Typ",
    "offense": "UCROffenseCodeType",
}
PLACEHOLDERS: Final = {"9", "99", "999", ""}
"""Of the database that the published tables come from; no codes of the specification unless it lists them."""


@pytest.mark.parametrize("table", CODES)
def test_code_tables_are_the_published_ones(nibrs: Path, table: str) -> None:
    published = {
        row["Code"].strip() for row in json.loads((nibrs / "nibrs_code_tables.json").read_text())[CODES[table]]
    }
    ours = set(load_rule_set("nibrs/3.1").codes[table].codes)
    differs = {
        "relationship": ({"HR"}, {"XR"}),  # the specification has HR where the later table has XR
        "offense": (set(), {"90I"}),  # runaway: until 2016
    }.get(table, (set(), set()))
    assert ours - published == differs[0]
    assert published - ours - PLACEHOLDERS == differs[1]

"""The FBI's NIBRS XML IEPD 2019.1 and its words: samples, code tables and mapping beside our data files."""

import csv
import gzip
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from cji_client.nibrs_xml import read_xml
from cji_operations.validate import eds, load_rule_set
from tests.support.nibrs_tools import judged
from tests.support.nibrs_xml_tools import expected_lines, judged_xml, keys, lines_of, records, rows_of

pytestmark = pytest.mark.vectors

_SHEET: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def iepd(vectors: Path) -> Path:
    return vectors / "cji" / "nibrs" / "iepd-2019.1"


def _sheets(path: Path) -> dict[str, list[list[str]]]:
    """The rows of each sheet of a workbook, as text."""
    with zipfile.ZipFile(path) as book:

        def read(name: str) -> ElementTree.Element:
            return ElementTree.fromstring(book.read(name))

        shared = ["".join(text.text or "" for text in item.iter(f"{_SHEET}t")) for item in read("xl/sharedStrings.xml")]
        names = [str(sheet.get("name")) for sheet in read("xl/workbook.xml").iter(f"{_SHEET}sheet")]
        return {
            name: [list(_cells(row, shared)) for row in read(f"xl/worksheets/sheet{number}.xml").iter(f"{_SHEET}row")]
            for number, name in enumerate(names, 1)
        }


def _cells(row: ElementTree.Element, shared: list[str]) -> Iterator[str]:
    for cell in row:
        value = cell.findtext(f"{_SHEET}v")
        if value is not None:
            yield shared[int(value)] if cell.get("t") == "s" else value


SAMPLES: Final = {
    "nibrs_GroupAIncident_Sample.xml": {71: 0, 76: 1},
    "nibrs_GroupBArrest_Sample.xml": {},
    "nibrs_IncidentDelete_Sample.xml": {},
    "nibrs_ZeroReport_Sample.xml": {},
}


def _sample(iepd: Path, name: str) -> list[bytes]:
    rows, batches = read_xml(iepd / "iep-sample" / name)
    found = [row for batch in batches for row in batch.column(0).to_pylist()]
    assert len(found) == rows == 1
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_the_findings_of_their_flat_twins(iepd: Path, name: str) -> None:
    rows = _sample(iepd, name)
    made = lines_of(records(rows))
    assert made == expected_lines(rows)
    flat = judged(b"\n".join(made), "nibrs/2019")
    assert keys(judged_xml(rows)) == keys(flat)
    assert len(flat.status.status) == len(made)


def test_the_flat_test_files_have_the_same_findings_as_xml(vectors: Path) -> None:
    folder = vectors / "cji" / "nibrs"
    for name in ("Flatfile-XML_Test_1.txt", "Flatfile-XML_Test_2.txt", "Flatfile-XML_Test_3.txt"):
        lines = (folder / name).read_bytes().splitlines()
        assert keys(judged_xml(rows_of(lines))) == keys(judged(b"\n".join(lines), "nibrs/2019")), name


def test_a_states_submission_has_the_same_findings_as_xml(vectors: Path) -> None:
    """But for what only flat segments have: their lengths, and the incident number of a zero report."""
    data = gzip.decompress((vectors / "cji" / "nibrs" / "vt_2020_04_deid.txt.gz").read_bytes())
    lines = data.splitlines()[:-2]  # two stray lines at its end
    flat, xml = keys(judged(b"\n".join(lines), "nibrs/2019")), keys(judged_xml(rows_of(lines)))
    only_flat = Counter(flat) - Counter(xml)
    assert not Counter(xml) - Counter(flat)
    assert {rule for rule, *_ in only_flat} <= {92, 284, 484, 584}


def test_findings_of_2019_are_not_those_of_2017(vectors: Path) -> None:
    """The default for its period: 459 of crimes against property, and 404 of code XR, are no faults any more."""
    data = gzip.decompress((vectors / "cji" / "nibrs" / "vt_2020_04_deid.txt.gz").read_bytes())
    found = judged(data, "")
    assert found.rules.name == "nibrs/2019"
    assert Counter(found.rule.tolist()) == {304: 3, 720: 51, 119: 3, 284: 1, 484: 1, 584: 1}
    old = Counter(judged(data, "nibrs/3.1").rule.tolist())
    assert old - Counter(found.rule.tolist()) == {459: 48, 404: 2}


CODES: Final = {
    "cleared": "IncidentExceptionalClearanceCo",
    "using": "OffenseFactorCode",
    "location": "LocationCategoryCode",
    "entry": "MethodOfEntryCode",
    "activity": "CriminalActivityCategoryCode",
    "weapon": "ForceCategoryCode",
    "bias": "OffenseFactorBiasMotivationCode",
    "loss": "ItemStatusCode",
    "description": "ItemCategoryNIBRSPropertyCat",
    "drug": "DrugCategoryCode",
    "measure": "SubstanceUnitCode",
    "victim": "VictimCategoryCode",
    "sex": "PersonSexCode",
    "race": "PersonRaceNDEXCode",
    "ethnicity": "PersonEthnicityCode",
    "resident": "PersonResidentCode",
    "circumstance": "VictimAggravatedAssaultHomicide",
    "justifiable": "VictimJustifiableHomicideFactor",
    "injury": "InjuryCategoryCode",
    "relationship": "VictimToSubjectRelationshipCode",
    "officer_activity": "EnfOfficialActivityCategory",
    "officer_assignment": "EnfOfficialAssignmentCategory",
    "arrest": "ArrestCategoryCode",
    "multiple": "ArresteeSubjectCountCode",
    "armed": "ArresteeArmedWithCode",
    "disposition": "ArresteeJuvenileDispositionCode",
    "offense": "OffenseCode",
}


def test_code_tables_of_2019_are_those_of_the_iepd(iepd: Path) -> None:
    """An automatic weapon, such as 12A, is two fields of a flat segment."""
    sheets = _sheets(iepd / "documents" / "nibrs_CodesTables.xlsx")
    for table, sheet in CODES.items():
        published = set()
        for row in (row for row in sheets[sheet] if len(row) > 1 and row[0] != "Code"):
            code = re.match(r"\s*NIBRS CODE:\s*(\w+)", row[1])
            published.add(code[1] if code else row[0])
        if table in ("weapon", "armed"):
            published = {code.removesuffix("A") for code in published}
        assert set(load_rule_set("nibrs/2019").codes[table].codes) == published, table


def test_words_of_xml_have_the_codes_of_the_iepd(iepd: Path) -> None:
    sheets = _sheets(iepd / "documents" / "nibrs_CodesTables.xlsx")
    ours = _data("xml_values.csv")
    for form, sheet in (("loss", "ItemStatusCode"), ("bias", CODES["bias"]), ("relationship", CODES["relationship"])):
        found = {(row["text"], row["code"]) for row in ours if row["form"] == form}
        rows = [row for row in sheets[sheet] if len(row) > 1 and "NIBRS CODE" in row[1]]
        assert found == {(row[0], row[1].split(":")[1].split()[0]) for row in rows}, form


def _data(name: str) -> list[dict[str, str]]:
    text = files("cji_core.format.records.nibrs.data").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


NOT_MAPPED: Final = {
    "the schema's own name; the mapping leaves out `Code`": {
        "j:EnforcementOfficial/j:EnforcementOfficialActivityCategoryCode",
        "j:EnforcementOfficial/j:EnforcementOfficialAssignmentCategoryCode",
        "j:Victim/j:VictimJustifiableHomicideFactorCode",
    },
    "the schema's own name; the mapping has a slip": {
        "nc:Incident/j:IncidentAugmentation/j:IncidentExceptionalClearanceDate/nc:Date",
        "j:SubjectVictimAssociation/nibrs:VictimToSubjectRelationshipCode",
    },
    "the wording of the mapping, beside the schema's": {
        "j:EnforcementOfficial/j:EnforcementOfficialUnit/j:OrganizationAugmentation/"
        "j:OrganizationORIIdentification/nc:IdentificationID",
    },
    "in the schema, for direct contributors": {
        "nibrs:ReportHeader/nibrs:ReportingAgency/cjis:OrganizationAugmentation/"
        "cjis:DirectReportingCityIdentification/nc:IdentificationID",
    },
    "the schema allows a quantity of substances": {"nc:Substance/nc:ItemQuantity"},
}


def test_every_path_is_in_the_mapping_or_explained(iepd: Path) -> None:
    sheets = _sheets(iepd / "documents" / "nibrs_XMLMapping_Spreadsheet.xlsx")
    text = " ".join(cell for rows in sheets.values() for row in rows for cell in row)
    mapped = {path.removesuffix("/@s:ref") for path in re.findall(r"nibrs:Submission/nibrs:Report/(\S+)", text)}
    ours = {f"{row['object']}/{row['path']}" for row in _data("xml_fields.csv")}
    assert ours - mapped == set().union(*NOT_MAPPED.values())


def test_the_error_data_set_has_the_fbis_own_words(vectors: Path) -> None:
    """Whole lines of the FBI's answer but for its last six columns, which name a medium."""
    folder = vectors / "cji" / "nibrs"
    expected = (folder / "Test-EDS-1.txt").read_text("ascii").splitlines()[:-1]
    agencies = [
        {"ori": "MN0500200", "status": "A", "nibrs_start": "20151001"},
        {"ori": "MNBCA0000", "status": "A"},
        {"ori": "WI0500200", "status": "A"},
    ]
    data = (folder / "Test-Submission-1.txt").read_bytes()
    found = judged(data, "", as_of=date(2016, 2, 24), agencies=agencies)
    assert found.rules.name == "nibrs/2016"
    assert [bytes(line)[:140].decode("ascii") for line in eds(found)[:-1]] == [line[:140] for line in expected]

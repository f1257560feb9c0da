"""The table beside CVE records: what a record has and the row has not is told, and nothing is corrected by itself."""

import json
from datetime import date
from typing import Any

import pytest

from cji_attestation.appraisal.advisories import SHIPPED
from cji_attestation.appraisal.advisories.cve import CveRecord, Difference, differences, read_cve

ROWS = tuple(row for row in SHIPPED.rows if row.id == "AMD-SB-3039")


def record(**changes: Any) -> bytes:
    """As cvelistV5 has it, shortened."""
    given: dict[str, Any] = {
        "cve": "CVE-2025-54509",
        "state": "PUBLISHED",
        "updated": "2026-11-12T20:01:02.123Z",
        "vendor": "AMD",
        "product": "AMD EPYC™ 9004 Series Processors",
        "versions": [
            {"version": "GenoaPI 1.0.0.H", "status": "unaffected"},
            {"version": "TurinPI_1.0.0.8", "status": "unaffected"},
            {"version": "MilanPI 1.0.0.1", "status": "affected"},
        ],
        "url": "https://www.amd.com/en/resources/product-security/bulletin/amd-sb-3039.html",
        **changes,
    }
    metadata = {
        "cveId": given["cve"],
        "state": given["state"],
        "dateUpdated": given["updated"],
        "assignerShortName": "AMD",
    }
    affected = {"vendor": given["vendor"], "product": given["product"], "versions": given["versions"]}
    cna = {"title": "made up", "affected": [affected], "references": [{"url": given["url"]}], "metrics": [{"x": 7.1}]}
    whole = {
        "dataType": "CVE_RECORD",
        "dataVersion": "5.1",
        "cveMetadata": metadata,
        "containers": {"cna": cna, "adp": []},
    }
    return json.dumps(whole).encode()


def found(*records: bytes) -> list[Difference]:
    return [one for one in differences(ROWS, map(read_cve, records)) if one.kind != "no record"]


def test_a_record_is_read() -> None:
    assert read_cve(record()) == CveRecord(
        cve="CVE-2025-54509",
        rejected=False,
        updated=date(2026, 11, 12),
        title="made up",
        bulletins=("AMD-SB-3039",),
        fixed_by=(("Genoa", "1.0.0.H"), ("Turin", "1.0.0.8")),
        servers=True,
    )
    bare = json.loads(record())
    bare["containers"]["cna"] = {}
    del bare["cveMetadata"]["dateUpdated"]
    shortest = read_cve(json.dumps(bare).encode())
    assert (shortest.updated, shortest.bulletins, shortest.fixed_by, shortest.servers) == (None, (), (), False)


def test_a_record_that_agrees_is_no_difference() -> None:
    assert found(record()) == []
    assert found(record(url="https://www.amd.com")) == []
    assert found(record(updated="")) == []
    absent = differences(ROWS, [read_cve(record())])
    assert {one.cve for one in absent} == {"CVE-2025-54502", "CVE-2025-54507"}
    assert {one.kind for one in absent} == {"no record"}


@pytest.mark.parametrize(
    ("changes", "kind", "detail"),
    [
        ({"state": "REJECTED"}, "rejected", "made up"),
        ({"url": "https://www.amd.com/bulletin/AMD-SB-9001.html"}, "another bulletin", "AMD-SB-9001"),
        ({"updated": "2026-11-27"}, "newer than the row", "updated 2026-11-27, read 2026-11-26"),
        (
            {"versions": [{"version": "Genoa PI 1.0.0.J", "status": "unaffected"}]},
            "other firmware",
            "Genoa: 1.0.0.J, the row has 1.0.0.H",
        ),
        (
            {"versions": [{"version": "MilanPI-SP3 1.0.0.K", "status": "unaffected"}]},
            "other firmware",
            "Milan: 1.0.0.K, the row has none",
        ),
    ],
)
def test_differences_of_a_listed_cve(changes: dict[str, Any], kind: str, detail: str) -> None:
    assert found(record(**changes)) == [(kind, "CVE-2025-54509", "AMD-SB-3039", detail)]


def test_records_that_the_table_lacks() -> None:
    other = "CVE-2026-0001"
    detail = "AMD-SB-3039 made up"
    assert found(record(cve=other)) == [("not in the table", other, "", detail)]
    assert found(record(cve=other, versions=[])) == [("not in the table", other, "", detail)]
    assert found(record(cve=other, product="a desktop")) == [("not in the table", other, "", detail)]
    assert found(record(cve=other, product="a desktop", versions=[])) == []
    assert found(record(cve=other, vendor="Others")) == []
    assert found(record(cve=other, state="REJECTED")) == []
    assert found(record(cve=other, vendor="Advanced Micro Devices", url="https://amd.com")) == [
        ("not in the table", other, "", "made up")
    ]
    assert len(found(record(cve=other), record(cve=other))) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        record() + b"x",
        record().replace(b"CVE_RECORD", b"OTHER"),
        record(state="NEW"),
        record(cve=1),
        record(updated="yesterday"),
        record(versions="x"),
        record().replace(b'"containers"', b'"containers":{},"containers"'),
        b" " * (1 << 20) + record(),
    ],
)
def test_what_is_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_cve(data)

"""From an extract of the California Department of Justice to determinations, through the command and a sealed job."""

import csv
from pathlib import Path

from click.testing import CliRunner

from cji_client.ca_doj import COLUMNS
from cji_core.command import build
from cji_simulator.site import Site

JOB = """
[input]
schema = "chri_event/2"
layout = "ca_doj"

[[operations]]
kind = "clear"
rules = "rules.toml"
as_of = "2026-02-01"
county = "example"
"""
ROW = {
    "SUBJECT_ID": "1",
    "PRI_DOB": "19700102",
    "CNT_ORDER": "001002001",
    "STP_EVENT_DATE": "20040315",
    "DISP_DATE": "20200101",
    "STP_TYPE_DESCR": "COURT ACTION",
    "STP_ORI_CNTY_NAME": "EXAMPLE",
    "OFFENSE_CODE": "35036",
    "OFFENSE_DESCR": "11359 HS-POSSESS MARIJUANA FOR SALE",
    "OFFENSE_TOC": "F",
    "DISP_DESCR": "CONVICTED",
    "CONV_STAT_DESCR": "FELONY",
    "SENT_LOC_DESCR": "JAIL",
    "SENT_LENGTH": "120",
    "SENT_TIME_CODE": "D",
}
SILENT = {"OFFENSE_DESCR": "SEE COMMENT FOR CHARGE", "COMMENT_TEXT": "11357(A) HS-POSSESS CONCENTRATED CANNABIS"}
ROWS = [
    ROW | {"STP_TYPE_DESCR": "ARREST/DETAINED/CITED", "DISP_DESCR": ""},
    ROW,
    ROW | {"SENT_LOC_DESCR": "PROBATION", "SENT_LENGTH": "3", "SENT_TIME_CODE": "Y"},
    ROW | SILENT | {"SUBJECT_ID": "2", "STP_TYPE_DESCR": "CUSTODY:JAIL"},
    ROW | SILENT | {"SUBJECT_ID": "3", "PRI_DOB": ""},
    ROW | {"SUBJECT_ID": "4", "STP_ORI_CNTY_NAME": "ELSEWHERE"},
    ROW | {"SUBJECT_ID": "5", "OFFENSE_DESCR": "187(A) PC-MURDER", "STP_ORI_CNTY_NAME": "ELSEWHERE"},
    ROW | {"SUBJECT_ID": "5", "CNT_ORDER": "002002001"},
    ROW | {"SUBJECT_ID": "6", "STP_EVENT_DATE": "20161109", "SENT_LENGTH": "9", "SENT_TIME_CODE": "Y"},
]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_extract_becomes_determinations(site: Site, tmp_path: Path) -> None:
    extract, job, out = tmp_path / "extract.dat", tmp_path / "job.toml", tmp_path / "cleared"
    with extract.open("w", newline="") as file:
        csv.writer(file).writerows([[row.get(name, "") for name in COLUMNS] for row in ROWS])
    job.write_text(JOB)
    cji = build(site.simulation.trust)
    for words in (
        ["clear", "example", str(tmp_path / "rules.toml")],
        ["job", "run", str(extract), "--spec", str(job), "--profile", str(site.files.profile), "--out", str(out)],
    ):
        found = CliRunner().invoke(cji, words, catch_exceptions=False)
        assert found.exit_code == 0, found.output
    determined = read(out / "determinations.csv")
    assert [(row["row"], row["subject"], row["relief"], row["rule"]) for row in determined] == [
        ("1", "1", "reduce_to_misdemeanor", "p64-misdemeanor"),
        ("3", "2", "dismiss", "p64-dismiss"),
        ("7", "5", "review", "p64-review"),
        ("8", "6", "none", "none"),
    ]
    assert determined[1]["facts"] == "felony; 11357(A) HS; convicted 20040315; age at conviction 34"
    assert [(row["row"], row["cause"]) for row in read(out / "not_decided.csv")] == [("4", "AGE_AT_CONVICTION")]
    result = read(out / "result.csv")
    assert [row["relief"] for row in result] == [
        *("", "reduce_to_misdemeanor", "", "dismiss", "", "", "", "review", "none"),
    ]
    assert [row["status"] for row in read(out / "row_status.csv")] == ["0", "0", "0", "0", "1", "0", "0", "0", "0"]

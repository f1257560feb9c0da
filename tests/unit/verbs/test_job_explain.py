"""`cji job explain`: what a de-identification leaves, without a value of the records."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from cji_attestation import AZURE_US
from cji_core.command import build

RECORDS = "subject,county,level,date,disposition_date,comment\n" + "".join(
    f"SUBJ{i // 3:02d},County{i % 4},F,2020010{i % 9 + 1},2020010{i % 9 + 1},word{i}\n" for i in range(30)
)
SPEC = """[input]
schema = "chri_event/2"

[[operations]]
kind = "deidentify"
project = "p"
small_classes = { quasi_identifiers = ["county"], k = 5, person = "subject" }

[operations.columns]
subject = { do = "hmac_token", domain = "s" }
county = "keep"
level = "keep"
date = { do = "date_shift", subject_column = "subject", max_days = 30 }
disposition_date = "keep"
comment = { do = "redact" }
"""


def explained(folder: Path, spec: str, *more: str) -> Result:
    (folder / "events.csv").write_text(RECORDS)
    (folder / "job.toml").write_text(spec)
    arguments = ["job", "explain", str(folder / "events.csv"), "--spec", str(folder / "job.toml"), *more]
    return CliRunner().invoke(build(AZURE_US), arguments)


def test_what_is_left_is_printed_without_values(tmp_path: Path) -> None:
    result = explained(tmp_path, SPEC)
    assert result.exit_code == 0, result.output
    for part in (
        "30 rows, 10 persons (subject)",
        "linked by subject",
        "% of the persons are alone with county",
        "level: 1 values, 0.0 % alone; not in small_classes",
        "shift of date beside disposition_date: the same day in 100.0 % of the rows",
        "prose stays in comment",
        "order: 69.0 % of the rows follow a row of the same person",
    ):
        assert part in result.output, result.output
    for value in ("SUBJ", "County", "2020", "word"):
        assert value not in result.output
    document = json.loads(explained(tmp_path, SPEC, "--json").output)
    assert (document["rows"], document["persons"], document["linked_by"]) == (30, 10, ["subject"])


def test_a_spec_that_counts_rows_is_refused(tmp_path: Path) -> None:
    result = explained(tmp_path, SPEC.replace(', person = "subject"', ""))
    assert (result.exit_code, "a person may have several rows" in result.output) == (2, True)
    for bad in ("[input]", SPEC.replace("deidentify", "link"), SPEC.replace("30 }", "0 }")):
        assert explained(tmp_path, bad).exit_code == 2

"""One history in three layouts has the same outcomes: an agency's events, the Department's extract, a court's list."""

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from cji_client.ca_doj import COLUMNS, events
from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_core.format.records import tagged
from cji_core.operations.clear import Rules
from tests.reference.clear import Outcome
from tests.support.clear_cases import shipped
from tests.support.clear_tools import CHRI, outcomes, run

_NAMES = ("subject", "case", "cycle", "count", "date", "level", "offense", "disposition", "sentence", "sentence_length")
_ROWS: list[tuple[str | None, ...]] = [
    ("1", "A1", "1", "001", "20190315", "M", "484(A) PC-THEFT", "CONVICTED", "JAIL", "10D"),
    ("1", "A2", "2", "002", "20210315", "M", "415 PC-FIGHT", "DISMISSED", None, None),
    ("2", "A3", "1", "001", "20150315", "F", "459 PC-BURGLARY", "CONVICTED", "PRISON", "2Y"),
    ("3", "A4", "1", "001", "20040315", "M", "11357(B) HS-POSSESS", "CONVICTED", "PROBATION", "1Y"),
]
HISTORY = [dict(zip(_NAMES, row, strict=True)) | {"event": "COURT ACTION"} for row in _ROWS]
EXTRACT = {
    "subject": "SUBJECT_ID",
    "case": "FE_NUM_CRT_CASE",
    "cycle": "CYC_ORDER",
    "count": "CNT_ORDER",
    "event": "STP_TYPE_DESCR",
    "date": "STP_EVENT_DATE",
    "offense": "OFFENSE_DESCR",
    "level": "OFFENSE_TOC",
    "disposition": "DISP_DESCR",
    "sentence": "SENT_LOC_DESCR",
}
COURT = {
    "PersonId": "subject",
    "CaseNumber": "case",
    "ChargeNo": "count",
    "DispositionDate": "date",
    "Statute": "offense",
    "Severity": "level",
    "Disposition": "disposition",
    "SentenceType": "sentence",
    "SentenceTerm": "sentence_length",
}


def fitted(table: pa.Table, spec: InputSpec) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(list(fit(table, spec).open().batches)).combine_chunks().to_batches()
    return batch


def of_agency() -> pa.RecordBatch:
    return fitted(pa.Table.from_pylist(HISTORY), InputSpec(schema=CHRI))


def of_department() -> pa.RecordBatch:
    rows: list[dict[str, Any]] = []
    for event in HISTORY:
        row = dict.fromkeys(COLUMNS, "") | {
            EXTRACT[name]: value or "" for name, value in event.items() if name in EXTRACT
        }
        length = event["sentence_length"] or ""
        rows.append(row | {"SENT_LENGTH": length[:-1], "SENT_TIME_CODE": length[-1:]})
    (batch,) = events(pa.Table.from_pylist(rows)).combine_chunks().to_batches()
    return batch


def of_court() -> pa.RecordBatch:
    """One row for each charge, by names of its own; a court has no cycles and no kinds of events."""
    rows = [{court: event[name] for court, name in COURT.items()} for event in HISTORY]
    return fitted(pa.Table.from_pylist(rows), InputSpec(schema=CHRI, rename=COURT))


def decided(batch: pa.RecordBatch, rules: Rules) -> dict[int, Outcome]:
    records = pa.RecordBatch.from_arrays(batch.columns, schema=tagged(CHRI, [*batch.schema]))
    return outcomes(run(records, rules, as_of=date(2026, 2, 1)))


@pytest.mark.parametrize("name", ["california", "california_automatic"])
def test_three_layouts_of_one_history_have_the_same_outcomes(name: str) -> None:
    rules = shipped(name)
    found = decided(of_agency(), rules)
    assert found
    assert decided(of_department(), rules) == found
    if (
        name == "california_automatic"
    ):  # a list of charges has no events of registration, which is a fact that is missing
        found = {row: each for row, each in found.items() if each.relief is not None}
        court = decided(of_court(), rules)
        assert all(each in (found.get(row), court[row]) for row, each in court.items())
    else:
        assert decided(of_court(), rules) == found


def test_the_case_of_an_extract_is_that_of_the_court() -> None:
    assert of_department()["case"].to_pylist() == [b"A1", b"A2", b"A3", b"A4"]

"""The summary of row statuses, against a count row by row."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_client.files import read_file
from cji_client.row_summary import RowSummary
from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_client.verbs.job.outputs import places_of, print_summary
from cji_core.format.records import RowStatus, Status
from cji_core.operations.registry import CODES, meaning_of

NAMES = ("record_id", "DOB")
FINDINGS = st.lists(
    st.tuples(
        st.integers(0, 9), st.sampled_from(list(Status)), st.sampled_from([101, 401, 20404, 21000]), st.integers(-1, 1)
    ),
    max_size=30,
)


def status_of(findings: list[tuple[int, Status, int, int]]) -> RowStatus:
    status = RowStatus.all_ok(10)
    for row, each, code, column in findings:
        status = status.found(np.array([row]), status=each, code=code, column=column)
    return status


@given(st.lists(FINDINGS, max_size=4))
def test_every_row_and_code_is_counted_once(batches: list[list[tuple[int, Status, int, int]]]) -> None:
    summary = RowSummary(columns=NAMES)
    expected, rows_of = Counter[Status](), dict[tuple[int, str | None], list[int]]()
    for number, findings in enumerate(batches):
        summary.add(status_of(findings).to_batch(10 * number))
        for row in range(10):
            expected[max((each for at, each, _, _ in findings if at == row), default=Status.OK)] += 1
        for row, code, column in sorted({(at, code, column) for at, _, code, column in findings}):
            rows_of.setdefault((code, None if column < 0 else NAMES[column]), []).append(10 * number + row)
    assert summary.counts == {status: expected[status] for status in Status}
    assert sum(summary.counts.values()) == 10 * len(batches)
    found = {(one.code, one.column): (one.rows, one.first_row) for one in summary.commonest(100)}
    assert found == {key: (len(rows), rows[0]) for key, rows in rows_of.items()}
    assert [one.rows for one in summary.commonest(100)] == sorted((len(r) for r in rows_of.values()), reverse=True)
    assert summary.kinds == len(rows_of)


def test_a_table_for_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    summary = RowSummary(columns=NAMES)
    batch = status_of([(3, Status.NOT_USABLE, 401, -1), (5, Status.WARNED, 20404, 0), (5, Status.WARNED, 20404, 0)])
    assert [each.num_rows for each in summary.watching(iter([batch.to_batch(0)]))] == [10]
    print_summary("row_status", summary)
    assert capsys.readouterr().out.splitlines() == [
        "status   8 ok, 1 warned, 0 partly used, 1 not usable",
        f"    401 whole row                1 rows, first row 3: {CODES[401].meaning}",
        "  20404 record_id                1 rows, first row 5: NIBRS rule 404",
    ]
    for code in range(12):
        summary.add(RowStatus.all_ok(1).found(np.array([0]), status=Status.WARNED, code=500 + code).to_batch(10 + code))
    print_summary("reference_status", summary)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("reference_status 8 ok, 13 warned")
    assert (len(lines), lines[-1]) == (10, "  and 6 others, in reference_status")


def test_places_outlive_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records of standard input are gone when the summary is printed; without its file a row has its number."""
    file = tmp_path / "people.csv"
    file.write_text("record_id,DOB\n\n" + "".join(f"{n},19820214\n" for n in range(10)))
    source = fit(read_file(file, InputSpec(schema="person/1")), InputSpec(schema="person/1"))
    summary = RowSummary(columns=NAMES)
    summary.add(status_of([(3, Status.NOT_USABLE, 401, -1)]).to_batch(0))
    for where in ("line 6", "row 3"):
        places = places_of(source.place, {"row_status": summary})
        file.unlink(missing_ok=True)
        print_summary("row_status", summary, places["row_status"])
        assert f"first {where}: " in capsys.readouterr().out


def test_mostly_unusable_rows_and_values_are_a_warning() -> None:
    def warnings(rows: int, code: int, status: Status = Status.PARTLY_USED, column: int = 1) -> list[str]:
        summary = RowSummary(columns=NAMES)
        found = status_of([(row, status, code, column) for row in range(rows)])
        summary.add(found.to_batch(0))
        return list(summary.warnings())

    name = NAMES[1]
    assert warnings(4, 101) == []
    assert warnings(5, 101) == [f"{name}: 5 of 10 values cannot be read or used"]
    assert warnings(5, 953) == [f"{name}: 5 of 10 values cannot be read or used"]
    assert warnings(5, 961) == warnings(5, 104) == []  # a copy is used; a date after the day is read
    assert warnings(5, 401, Status.NOT_USABLE, -1) == ["5 of 10 rows are not usable"]
    assert list(RowSummary(columns=NAMES).warnings()) == []


def test_every_code_has_a_meaning() -> None:
    assert all(meaning_of(code) == CODES[code].meaning for code in CODES)
    assert meaning_of(20_404) == "NIBRS rule 404"
    assert "rejected" in meaning_of(21_000)
    assert "blanks" in meaning_of(21_001)
    assert "later version" in meaning_of(65_000)


def test_an_empty_job() -> None:
    summary = RowSummary(columns=())
    summary.add(pa.RecordBatch.from_pylist([], schema=RowStatus.all_ok(0).to_batch(0).schema))
    assert set(summary.counts.values()) == {0}

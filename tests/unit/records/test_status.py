"""Every row exactly once, whatever was found about it."""

import numpy as np
import pyarrow as pa
import pytest

from cji_core.format.records import ROW_STATUS, WHOLE_ROW, RowStatus, Status, check_schema


def at(*rows: int) -> np.ndarray:
    return np.array(rows, np.int64)


def test_findings_raise_the_status_and_never_lower_it() -> None:
    status = RowStatus.all_ok(5).found(at(1, 3), status=Status.PARTLY_USED, code=10, column=2)
    status = status.found(at(0, 1), status=Status.WARNED, code=7).found(at(), status=Status.NOT_USABLE, code=9)
    assert status.status.tolist() == [1, 2, 0, 2, 0]
    assert status.counts() == (2, 1, 2, 0)
    assert sum(status.counts()) == 5
    batch = status.to_batch(100)
    check_schema(ROW_STATUS, batch.schema)
    batch.validate(full=True)
    assert batch.to_pydict() == {
        "row": [100, 101, 102, 103, 104],
        "status": [1, 2, 0, 2, 0],
        "codes": [[7], [10, 7], [], [10], []],
        "columns": [[WHOLE_ROW], [2, WHOLE_ROW], [], [2], []],
    }


def test_findings_of_many_rows_keep_their_order() -> None:
    rows = np.arange(500)
    status = RowStatus.all_ok(500).found(rows, status=Status.WARNED, code=9)
    status = status.found(rows, status=Status.WARNED, code=3).found(rows[::-1], status=Status.WARNED, code=5)
    assert status.to_batch(0).column("codes").to_pylist() == [[9, 3, 5]] * 500


def test_findings_of_a_later_operation_are_about_the_first_input() -> None:
    kept = np.array([0, 3, 4], np.int16)  # what a first operation left of five columns
    later = RowStatus.all_ok(2).found(at(1), status=Status.WARNED, code=5, column=1)
    later = later.found(at(1), status=Status.WARNED, code=6)
    assert later.traced(kept).columns.tolist() == [3, WHOLE_ROW]
    assert later.traced(kept).status.tolist() == later.status.tolist()
    assert RowStatus.all_ok(2).traced(kept).counts() == (2, 0, 0, 0)


def test_merge_of_other_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="different rows"):
        RowStatus.all_ok(2).merge(RowStatus.all_ok(3))


def test_no_rows() -> None:
    batch = RowStatus.all_ok(0).to_batch(0)
    batch.validate(full=True)
    assert batch.num_rows == 0
    assert RowStatus.all_ok(0).counts() == (0, 0, 0, 0)
    assert isinstance(batch, pa.RecordBatch)

"""Records of several rows, cells of several values, sources, equal rows: `link` in parts gives the bytes of `link`."""

from typing import Any

import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cji_core.operations.link import Link
from tests.reference.link import people
from tests.support.in_parts import assert_same_bytes
from tests.support.link_tools import UNITS_MODEL
from tests.support.parts import KEYS

_NAMES = st.sampled_from(["SMITH", "SMYTH;SMITH", "JONES", "JONAS;LEE", "LEE;", "smith ;LEE; SMYTH", ";", "", None])
_DATES = st.sampled_from(["19800102", "19800102;19800201", "19XX0102", "20001231;oops", None])
_SIDS = st.sampled_from(["1", "2", "3", "4", "", None])
_NIC = st.sampled_from(["7", "7;8", "8", "9", None])
_ROW = st.tuples(_NAMES, _NAMES, _DATES, st.sampled_from("ABC"), _SIDS, _NIC, st.sampled_from(["A", "B", "C", None]))
_ROWS = st.lists(st.tuples(_ROW, st.sampled_from([1, 1, 1, 2, 12])), min_size=1, max_size=14)


def batch_of(rows: list[tuple[tuple[str | None, ...], int]]) -> pa.RecordBatch:
    """Each row as often as it says."""
    every = [row for row, times in rows for _ in range(times)]
    names = ("first", "last", "DOB", "SEX", "SID", "FBI", "POB")
    columns = dict(zip(names, zip(*every, strict=True), strict=True))
    return people(record_id=[f"R{row}" for row in range(len(every))], **columns)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(data=st.data(), rows=_ROWS, rows_of_task=st.integers(3, 200))
def test_units_are_the_same_in_any_partition(
    data: st.DataObject, rows: list[tuple[tuple[str | None, ...], int]], rows_of_task: int
) -> None:
    records = batch_of(rows)
    cuts = data.draw(st.lists(st.integers(0, records.num_rows), max_size=4), label="cuts")
    second = data.draw(st.none() | _ROWS, label="link_to")
    parameters: dict[str, Any] = {
        "record": data.draw(st.sampled_from(["", "SID"]), label="record"),
        "separators": data.draw(st.sampled_from([{}, {"first": ";", "last": ";", "DOB": ";", "FBI": ";"}]), label="by"),
        "never_differ": data.draw(st.sampled_from([(), ("FBI",), ("FBI", "SEX")]), label="never_differ"),
        "block_rows": data.draw(st.sampled_from([3, 40, 5_000]), label="block_rows"),
        "linkage": data.draw(st.sampled_from(["average", "components"]), label="linkage"),
        "random_pairs": 1000,
        "training_pairs": 1000,
        "clerical_review_threshold": 0.001,
        "match": 0.6,
    }
    if data.draw(st.booleans(), label="sources") and (parameters["record"] or second is None):
        parameters |= {"source": "POB", "duplicates_in_source": second is not None or data.draw(st.booleans())}
        if not parameters["record"]:
            parameters["duplicates_in_source"] = False
    model = data.draw(st.sampled_from([None, UNITS_MODEL]), label="model")
    side = None if second is None else batch_of(second)
    key = data.draw(KEYS, label="key")
    assert_same_bytes(records, Link(model=model, **parameters), cuts, side=side, rows_of_task=rows_of_task, key=key)

"""The verdicts of a validation on the reports of a submission, as a side table.

`nibrs_verdicts/1` has the columns of the part `incidents` that a validation makes, so that part can be used as it is.
There is one row for every report of the submission, in any order. A table of another submission, or of a part of it, is
BAD_PARAMETERS: rejected reports would be counted unnoticed.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cji_core.errors import Stage
from cji_core.format.records import arrow
from cji_core.format.records.column import Bools, Bytes, read
from cji_core.format.records.lines import BLANK, matrix
from cji_core.operations.parameters import bad_parameters
from cji_operations.nibrs.submission import Submission

_ORI, _NUMBER = 9, 12


def accepted_reports(submission: Submission, verdicts: Sequence[pa.RecordBatch] | None) -> Bools:
    """bool[m]: the reports that the validation accepted; all without one.

    Raises: Refusal(BAD_PARAMETERS) at COMPUTE where verdicts and reports are not the same.
    """
    m = len(submission.firsts)
    if verdicts is None:
        return np.ones(m, np.bool_)
    if sum(batch.num_rows for batch in verdicts) != m or any(
        batch.column(name).null_count for batch in verdicts for name in ("row", "accepted")
    ):
        raise bad_parameters(Stage.COMPUTE)
    row = np.concatenate([np.empty(0, np.uint64), *(arrow.numbers(batch.column("row")) for batch in verdicts)])
    order = np.argsort(row, kind="stable")
    keys = np.hstack([_text(verdicts, "ori", _ORI), _text(verdicts, "number", _NUMBER)])[order]
    ours = np.where(submission.keys == 0, np.uint8(BLANK), submission.keys)  # a NUL at the end is not in a value
    if not np.array_equal(row[order], submission.records.rows[submission.firsts]) or not np.array_equal(keys, ours):
        raise bad_parameters(Stage.COMPUTE)
    found: Bools = np.concatenate(
        [np.empty(0, np.bool_), *(arrow.bools(batch.column("accepted")) for batch in verdicts)]
    )
    return found[order]


def _text(verdicts: Sequence[pa.RecordBatch], name: str, width: int) -> Bytes:
    """uint8[m, width], padded with blanks as in a segment."""
    parts = [np.empty((0, width), np.uint8)]
    for batch in verdicts:
        text = read(batch.column(name).view(pa.binary()))
        if len(text.lengths) and int(text.lengths.max()) > width:
            raise bad_parameters(Stage.COMPUTE)
        parts.append(matrix(text, np.arange(len(text.lengths)), width))
    found = np.concatenate(parts)
    return np.where(found == 0, np.uint8(BLANK), found)

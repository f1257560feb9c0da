"""Messages between the keyholder and a cell: a job, and what the cell vouches for."""

from worker.errors import Reason, Stage
from worker.ipc.messages.base import Message
from worker.ipc.messages.parts import Count, CountedParts, RowCounts


class OpenJob(Message, frozen=True, kw_only=True):
    """Get ready for the job of this header. `reference_slot` is -1 without a reference."""

    header: bytes
    worker_id: str
    reference_slot: int = -1


class KeysReady(Message, frozen=True, kw_only=True):
    """Run the job: its admission is on disk, and its keys are in the key slot."""


class CellFailed(Message, frozen=True, kw_only=True):
    """The cell refused the job."""

    reason: Reason
    stage: Stage


class Summary(Message, frozen=True, kw_only=True):
    """The statement of a job's cell, its last message: every input is verified, and every output sealed and passed on.

    `rows_in` counts the records, `rows_out` the rows of each output part.
    """

    inputs: CountedParts
    outputs: CountedParts
    result_header: bytes
    rows_in: Count
    rows_out: RowCounts


KeyholderFromCell = CellFailed | Summary
CellFromKeyholder = OpenJob | KeysReady

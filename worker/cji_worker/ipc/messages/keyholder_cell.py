"""Messages between the keyholder and a cell: a job, and what the cell vouches for."""

import enum
from typing import Annotated

from msgspec import Meta

from cji_core.errors import DeniedBy, Reason, Stage
from cji_worker.ipc.messages.base import Message
from cji_worker.ipc.messages.parts import MAX_PLAN, Count, CountedChunk, CountedParts, RowCounts, TaskOrder


class OpenJob(Message, frozen=True, kw_only=True):
    """Get ready for the job of this header. `reference_slot` is -1 without a reference.

    `max_rows` and `max_bytes` (ciphertext) are the policy's limits on all its input parts together.
    """

    header: bytes
    worker_id: str
    max_rows: Count
    max_bytes: Count
    reference_slot: int = -1
    task: TaskOrder | None = None
    """The task of the job that this cell runs, in place of the whole job."""


class KeysReady(Message, frozen=True, kw_only=True):
    """Run the job: its admission is on disk, and its keys are in the key slot."""


class CellFailed(Message, frozen=True, kw_only=True):
    """The cell refused the job; `denied_by` is the limit of the policy that it exceeds, if it does."""

    reason: Reason
    stage: Stage
    denied_by: DeniedBy | None = None


class FaultClass(enum.StrEnum):
    """The classes of exceptions that a cell may name; others count as the nearest of their bases."""

    ArithmeticError = "ArithmeticError"
    AssertionError = "AssertionError"
    AttributeError = "AttributeError"
    BufferError = "BufferError"
    ImportError = "ImportError"
    LookupError = "LookupError"
    NameError = "NameError"
    OSError = "OSError"
    RuntimeError = "RuntimeError"
    SystemError = "SystemError"
    TypeError = "TypeError"
    ValueError = "ValueError"
    BaseException = "BaseException"


class CellFaulted(Message, frozen=True, kw_only=True):
    """The cell's own code raised an exception. Its class and nothing else, from a closed set."""

    fault: FaultClass


class CountedStreams(Message, frozen=True, kw_only=True):
    """A part of the cell's statement about a task with many streams: the next ones of either direction."""

    inputs: CountedChunk = ()
    outputs: CountedChunk = ()


class Summary(Message, frozen=True, kw_only=True):
    """The statement of a job's cell, its last message: every input is verified, and every output sealed and passed on.

    `rows_in` counts the records, `rows_out` the rows of each output part. A task has no result header; the one that
    plans has a plan.
    """

    inputs: CountedParts
    outputs: CountedParts
    result_header: bytes
    rows_in: Count
    rows_out: RowCounts
    plan: Annotated[bytes, Meta(max_length=MAX_PLAN)] = b""


KeyholderFromCell = CellFailed | CellFaulted | CountedStreams | Summary
CellFromKeyholder = OpenJob | KeysReady

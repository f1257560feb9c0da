"""Messages on cells, by pair of processes.

front, cell            which slot of the ring is whose
keyholder, cell        a job, and what the cell vouches for
cell to zygote         that it is confined
keyholder, zygote      the life of cells and of resident references

A union has all messages from one process to another.
"""

import enum
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from cji_core.errors import DeniedBy, Limit, Reason, Stage
from cji_worker.ipc.messages.base import (
    MAX_PLAN,
    CellPlace,
    Count,
    CountedChunk,
    CountedParts,
    Message,
    RowCounts,
    TaskOrder,
)
from cji_worker.ipc.ring import SLOT_BYTES, SLOTS

Slot: TypeAlias = Annotated[int, Meta(ge=0, lt=SLOTS)]
Length: TypeAlias = Annotated[int, Meta(ge=0, le=SLOT_BYTES)]


class Opened(Message, frozen=True, kw_only=True):
    """The job is open. SHA-384 of its result header, which goes to the keyholder alone; of a task, nothing."""

    result_header_sha384: Annotated[bytes, Meta(max_length=48)]


class InputReady(Message, frozen=True, kw_only=True):
    """An input slot holds a sealed segment of `part`."""

    slot: Slot
    part: Count
    length: Length


class Finish(Message, frozen=True, kw_only=True):
    """No more input."""


class OutputFreed(Message, frozen=True, kw_only=True):
    """An output slot was sent and is free."""

    slot: Slot


class InputFreed(Message, frozen=True, kw_only=True):
    """An input slot was unsealed and is free."""

    slot: Slot


class OutputReady(Message, frozen=True, kw_only=True):
    """An output slot holds a sealed segment."""

    slot: Slot
    part: Count
    index: Count
    length: Length


class ProgressMade(Message, frozen=True, kw_only=True):
    """Progress of a step, by volume. `step` is a position in the steps of Admitted, so a cell can send no text."""

    step: Annotated[int, Meta(ge=0, le=255)]
    per_cent: Annotated[int, Meta(ge=0, le=100)]


class OutputsDone(Message, frozen=True, kw_only=True):
    """Every output part is complete, its last segment included."""


CellFromFront = InputReady | Finish | OutputFreed
FrontFromCell = InputFreed | OutputReady | ProgressMade | OutputsDone | Opened


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
    """The cell refused the job.

    `limit` is the one that LIMIT_EXCEEDED is about, `denied_by` that of the policy which it exceeds, if it does, and
    `cells` the place of cells that are at fault.
    """

    reason: Reason
    stage: Stage
    limit: Limit | None = None
    denied_by: DeniedBy | None = None
    cells: CellPlace | None = None


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


class Confined(Message, frozen=True, kw_only=True):
    """The cell is in its sandbox, and has no record yet. Descriptor: the listener of its filter of system calls."""

    opened: int
    """Bytes at the start of its region that it can write to; the rest of its heap is closed to it."""

    descriptors: ClassVar[int] = 1


class CellReady(Message, frozen=True, kw_only=True):
    """A warm cell in a cell slot. Descriptors: its control socket, data socket and ring."""

    descriptors: ClassVar[int] = 3
    cell: int
    cell_slot: int


class CellGone(Message, frozen=True, kw_only=True):
    """The cell's process ended; `status` is its exit status, negative for a signal."""

    cell: int
    status: int


class Kill(Message, frozen=True, kw_only=True):
    """End a cell."""

    cell: int


class WipeReference(Message, frozen=True, kw_only=True):
    """Wipe a reference slot; no cell maps it any more."""

    slot: int


class Touch(Message, frozen=True, kw_only=True):
    """Touch what is left of the secret memory: jobs may come soon, and the processes have started."""


class JobsWait(Message, frozen=True, kw_only=True):
    """Whether jobs wait for a cell: then the next ones are wanted at once, without the made-up job."""

    waiting: bool


class ReferenceWiped(Message, frozen=True, kw_only=True):
    """The reference slot is wiped."""

    slot: int


KeyholderFromZygote = CellReady | CellGone | ReferenceWiped
ZygoteFromKeyholder = JobsWait | Kill | WipeReference | Touch

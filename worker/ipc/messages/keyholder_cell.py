"""Messages between the keyholder and a cell: a job, its summary, its commit."""

import enum

import msgspec

from worker.errors import Reason, Stage
from worker.ipc.messages.base import Message


class OpenJob(Message, frozen=True, kw_only=True):
    """Run the job of this header; its keys are in the key slot. `reference_slot` is -1 without a reference."""

    header: bytes
    worker_id: str
    reference_slot: int = -1


class CellFailed(Message, frozen=True, kw_only=True):
    """The cell refused the job."""

    reason: Reason
    stage: Stage


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


class SealedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SHA-256 and length in bytes of a whole part as ciphertext."""

    sha256: bytes
    bytes: int


class Summary(Message, frozen=True, kw_only=True):
    """All outputs are sealed, and their last segments are held back. Volumes and digests only."""

    inputs: tuple[SealedPart, ...]
    outputs: tuple[SealedPart, ...]
    result_header: bytes
    rows_in: int
    rows_out: int
    chri_rows_out: int
    subjects_out: int


class Commit(Message, frozen=True, kw_only=True):
    """Send the last segments: the receipt is on disk."""


KeyholderFromCell = CellFailed | CellFaulted | Summary
CellFromKeyholder = OpenJob | Commit

"""Every message between the processes of a worker. Job headers and signatures travel as the bytes that came in."""

import msgspec

from worker.errors import Reason, Stage
from worker.progress import Step

__all__ = [
    "Abort",
    "Admit",
    "Admitted",
    "Attest",
    "Attested",
    "CellFailed",
    "CellFromFront",
    "CellFromKeyholder",
    "CellGone",
    "CellReady",
    "ChildFromSupervisor",
    "Commit",
    "Completed",
    "Drain",
    "Drained",
    "Ended",
    "FetchReceipt",
    "FetchedReceipt",
    "Finish",
    "FrontFromCell",
    "FrontFromKeyholder",
    "InputFreed",
    "InputReady",
    "KeyholderFromCell",
    "KeyholderFromFront",
    "KeyholderFromZygote",
    "Kill",
    "NotReady",
    "OpenJob",
    "Opened",
    "OutputFreed",
    "OutputReady",
    "OutputsDone",
    "ProgressMade",
    "PublishedKey",
    "Ready",
    "ReferenceWiped",
    "SealedPart",
    "Summary",
    "SupervisorFromChild",
    "Up",
    "WipeReference",
    "ZygoteFromKeyholder",
]


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages; the tag is the class name."""


# ------------------------------------------------------------------ front <-> keyholder


class Admit(Message, frozen=True, kw_only=True):
    """May this job run? `submitter` is the URI SAN that mTLS proved, `source` the peer's address."""

    call: int
    submitter: str
    source: str
    correlation_id: str
    header: bytes
    signature: bytes


class Admitted(Message, frozen=True, kw_only=True):
    """The job runs and has `parts` inputs. Descriptors: its cell's data socket and ring."""

    call: int
    parts: int


class Abort(Message, frozen=True, kw_only=True):
    """The caller is gone, late, or broke the protocol."""

    call: int
    reason: Reason
    stage: Stage


class Ended(Message, frozen=True, kw_only=True):
    """The job is refused or over, without a receipt. Sent exactly once per call unless Completed is."""

    call: int
    reason: Reason
    stage: Stage
    retry_after_ms: int = 0


class Completed(Message, frozen=True, kw_only=True):
    """The audit event is durable and the receipt signed."""

    call: int
    receipt: str


class Attest(Message, frozen=True, kw_only=True):
    """Evidence for a caller's nonce."""

    call: int
    nonce: bytes


class Attested(Message, frozen=True, kw_only=True):
    """The bundle comes in a descriptor (it is larger than a message)."""

    call: int
    maa_token: str
    receipt_jwk: str


class FetchReceipt(Message, frozen=True, kw_only=True):
    """The receipt of a job, for its own submitter."""

    call: int
    submitter: str
    job_id: bytes


class FetchedReceipt(Message, frozen=True, kw_only=True):
    """The stored receipt."""

    call: int
    receipt: str


class PublishedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that jobs may be sealed to."""

    kek_id: str
    public_jwk: str


class Ready(Message, frozen=True, kw_only=True):
    """Fresh evidence, a key, a policy and a writable audit sink."""

    keys: tuple[PublishedKey, ...]
    operations: tuple[str, ...]
    schemas: tuple[str, ...]


class NotReady(Message, frozen=True, kw_only=True):
    """One of them is missing."""

    reason: Reason


class Drained(Message, frozen=True, kw_only=True):
    """The front takes no more jobs and has none left."""


KeyholderFromFront = Admit | Abort | Attest | FetchReceipt | Drained
FrontFromKeyholder = Admitted | Ended | Completed | Attested | FetchedReceipt | Ready | NotReady


# ------------------------------------------------------------------ keyholder <-> zygote


class CellReady(Message, frozen=True, kw_only=True):
    """A warm cell in a cell slot. Descriptors: its control socket, data socket and ring."""

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


class ReferenceWiped(Message, frozen=True, kw_only=True):
    """The reference slot is wiped."""

    slot: int


KeyholderFromZygote = CellReady | CellGone | ReferenceWiped
ZygoteFromKeyholder = Kill | WipeReference


# ------------------------------------------------------------------ keyholder <-> cell


class OpenJob(Message, frozen=True, kw_only=True):
    """Run the job of this header; its keys are in the key slot. `reference_slot` is -1 for a job without one."""

    header: bytes
    worker_id: str
    reference_slot: int = -1


class Opened(Message, frozen=True, kw_only=True):
    """The result header, as digested."""

    result_header: bytes


class CellFailed(Message, frozen=True, kw_only=True):
    """The job is refused by its data, its parameters or its limits."""

    reason: Reason
    stage: Stage


class SealedPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole part as ciphertext: its SHA-256 and its length."""

    sha256: bytes
    bytes: int


class Summary(Message, frozen=True, kw_only=True):
    """All outputs are sealed, their last segments held back. Volumes and digests only."""

    inputs: tuple[SealedPart, ...]
    outputs: tuple[SealedPart, ...]
    result_header: bytes
    rows_in: int
    rows_out: int
    chri_rows_out: int
    subjects_out: int


class Commit(Message, frozen=True, kw_only=True):
    """The audit event is durable: let the last segments go."""


KeyholderFromCell = CellFailed | Summary
CellFromKeyholder = OpenJob | Commit


# ------------------------------------------------------------------ front <-> cell


class InputReady(Message, frozen=True, kw_only=True):
    """An input slot holds a sealed segment of part `part`."""

    slot: int
    part: int
    length: int


class Finish(Message, frozen=True, kw_only=True):
    """No more input."""


class OutputFreed(Message, frozen=True, kw_only=True):
    """An output slot was sent on."""

    slot: int


class InputFreed(Message, frozen=True, kw_only=True):
    """An input slot was unsealed."""

    slot: int


class OutputReady(Message, frozen=True, kw_only=True):
    """An output slot holds a sealed segment."""

    slot: int
    part: int
    index: int
    length: int


class ProgressMade(Message, frozen=True, kw_only=True):
    """How far a step is, by volume."""

    stage: Step
    per_cent: int


class OutputsDone(Message, frozen=True, kw_only=True):
    """Every part had its last segment."""


CellFromFront = InputReady | Finish | OutputFreed
FrontFromCell = InputFreed | OutputReady | ProgressMade | OutputsDone | Opened


# ------------------------------------------------------------------ children -> supervisor


class Up(Message, frozen=True, kw_only=True):
    """The process serves; the front says on which port, once the worker is ready for jobs."""

    port: int = 0


class Drain(Message, frozen=True, kw_only=True):
    """Take no new jobs, finish the running ones, then exit."""


SupervisorFromChild = Up
ChildFromSupervisor = Drain

"""Messages between a front and the keyholder. Headers and signatures are the bytes that the caller sent.

`call` is the front's own number of the call (`cji_worker.fronts`).
"""

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.errors import Limit, Reason, Stage
from cji_worker.ipc.messages.base import (
    AdmissionProof,
    Condition,
    FaultyColumn,
    FinishOrder,
    Message,
    Presented,
    SealedChunk,
    SealedParts,
    Sha384,
    TaskOrder,
    Transport,
)

STATEMENT_CHUNK: Final = 64 << 10

ReleaseState = Literal["RELEASED", "NOT_RELEASED", "UNKNOWN"]
NoHeader = Literal["malformed", "absent", "submission", "digest"]
AttemptName = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Admit(Message, frozen=True, kw_only=True):
    """Run this job. `submitter` is the URI SAN of the client certificate, `source` the caller's address.

    With `task`, run that task of it; with `finish`, end it, of which all tasks have run.
    By reference there was no certificate: `submitter` is a claim of the fleet process, and `attempt` is set. A job by a
    connection has `admission` instead, unless its caller sent none.
    """

    call: int
    submitter: str
    source: str
    transport: Transport
    correlation_id: str
    header: bytes
    signature: bytes
    presented: Presented = Presented()
    task: TaskOrder | None = None
    finish: FinishOrder | None = None
    attempt: AttemptName | None = None
    admission: AdmissionProof | None = None


class Admitted(Message, frozen=True, kw_only=True):
    """The job runs; `inputs` and `outputs` count its parts, `steps` names its progress.

    For a task they count its streams: all inputs from number `small_inputs` on and the first `small_outputs` outputs
    have the segments of shuffle streams.

    Descriptors: its cell's data socket and ring.
    """

    descriptors: ClassVar[int] = 2
    call: int
    inputs: int
    outputs: int
    steps: tuple[str, ...]
    small_inputs: int | None = None
    small_outputs: int | None = None


class WitnessedStreams(Message, frozen=True, kw_only=True):
    """A part of the front's statement about a task with many streams: the next ones of either direction."""

    call: int
    inputs: SealedChunk = ()
    outputs: SealedChunk = ()


class Witnessed(Message, frozen=True, kw_only=True):
    """The statement of the front: all that passed it of this job. The last segments of the outputs are held back."""

    call: int
    inputs: SealedParts
    outputs: SealedParts
    result_header_sha384: Sha384


class Abort(Message, frozen=True, kw_only=True):
    """End the job: the caller left, is late, or broke the protocol."""

    call: int
    reason: Reason
    stage: Stage


class Ended(Message, frozen=True, kw_only=True):
    """The call is refused, or its job ended without a receipt. The last message of every call without an answer.

    `column` is the sealed column of the caller's header that is at fault, if one is, `limit` the one that it exceeds.
    """

    call: int
    reason: Reason
    stage: Stage
    retry_after_ms: int = 0
    limit: Limit | None = None
    column: FaultyColumn | None = None


class Completed(Message, frozen=True, kw_only=True):
    """The job completed: its receipt is signed and on disk, it is the job's end, and the last segments may leave.

    By reference the receipt has no signature here: the job gets its end by `Settle`, once its outputs are stored.
    `result_header` has the wrapped result keys, which no process before the front's last message had; a job in parts
    has it in its plan.
    """

    call: int
    receipt: str
    result_header: bytes = b""
    renewed: bool = False
    """Whether the receipt names another token than the one that the admission's nonce was given with."""


class Stated(Message, frozen=True, kw_only=True):
    """The task completed: its statement is signed, and its event on disk.

    Descriptor: a file with the response to the caller, which may be larger than a message.
    """

    descriptors: ClassVar[int] = 1
    call: int


class StatementsWanted(Message, frozen=True, kw_only=True):
    """The job may be finished: send the statements of its tasks. What comes before this answer is for nobody."""

    call: int


class StatementData(Message, frozen=True, kw_only=True):
    """More of a statement for a job that is to be finished; `last` ends the statement."""

    call: int
    data: Annotated[bytes, Meta(max_length=STATEMENT_CHUNK)]
    last: bool


class StatementsDone(Message, frozen=True, kw_only=True):
    """All statements of a job that is to be finished."""

    call: int


class Attest(Message, frozen=True, kw_only=True):
    """Make evidence for a caller's nonce; with `request_sha384`, vouch for the door's request for a certificate too."""

    call: int
    nonce: bytes
    request_sha384: Annotated[bytes, Meta(min_length=48, max_length=48)] | None = None


class Attested(Message, frozen=True, kw_only=True):
    """Fresh evidence. Descriptors: files with its bundle and with the token's, which are larger than a message."""

    descriptors: ClassVar[int] = 2
    call: int
    maa_token: str
    receipt_jwk: str
    nonce_path: bytes
    token_nonce: bytes
    admission_nonce: bytes
    bundle_update: str
    vouched: Annotated[bytes, Meta(max_length=96)] = b""
    """The signature for a request, if there was one."""


class FetchReceipt(Message, frozen=True, kw_only=True):
    """Fetch the receipt of a job of this submitter; for the fleet process, of any job that came by reference."""

    call: int
    submitter: str
    source: str
    job_id: bytes
    presented: Presented = Presented()
    by_reference: bool = False


class FetchedReceipt(Message, frozen=True, kw_only=True):
    """The stored receipt, if this worker has it, and whether anything of the job was released, as it knows.

    For the fleet process the receipt has no signature, and `release` says nothing.
    """

    call: int
    receipt: str
    release: ReleaseState


class Settle(Message, frozen=True, kw_only=True):
    """Find out the end of a job by reference. `whole`: its outputs are stored under this name, so it may end."""

    call: int
    job_id: Annotated[bytes, Meta(min_length=16, max_length=16)]
    header_sha384: Sha384
    whole: AttemptName | None


class Settled(Message, frozen=True, kw_only=True):
    """The end of the job: its receipt and the name of its outputs, or its failure receipt.

    With neither it has no end, the receipt of this worker is superseded, and the same header may run again.
    """

    call: int
    receipt: str = ""
    attempt: bytes = b""
    failure: str = ""


class GiveUp(Message, frozen=True, kw_only=True):
    """A ticket is given up. `fault` is set if there is no header; else `reason` and `stage` are the last attempt's.

    `header` and `signature` are the bytes of the submission, `submitter` its claim.
    """

    call: int
    job_id: Annotated[bytes, Meta(max_length=16)]
    queued: Annotated[int, Meta(ge=0, le=1 << 36)]
    """When the ticket was sent, in Unix seconds. A failure receipt states it, and can state no year after 9999."""
    fault: NoHeader | None
    header: bytes
    signature: bytes
    submitter: str
    reason: Reason
    stage: Stage


class GivenUp(Message, frozen=True, kw_only=True):
    """The signed failure receipt, which is in the audit trail; empty if the header does not verify."""

    call: int
    failure: str


class PublishedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that jobs may be sealed to."""

    kek_id: str
    public_jwk: str
    ml_kem_jwk: str
    """Empty for a key that takes no hybrid jobs."""


class Ready(Message, frozen=True, kw_only=True):
    """Jobs are admitted."""

    keys: tuple[PublishedKey, ...]
    operations: tuple[str, ...]
    schemas: tuple[str, ...]


class NotReady(Message, frozen=True, kw_only=True):
    """No job is admitted."""

    reason: Reason
    condition: Condition


class Identities(Message, frozen=True, kw_only=True):
    """The submitters of the policy: SHA-256 of each URI SAN. A policy of 1 MiB has fewer than fit into a message."""

    sha256: tuple[Annotated[bytes, Meta(min_length=32, max_length=32)], ...]


class RefusedCalls(Message, frozen=True, kw_only=True):
    """Calls that the front refused by itself since the last report: their number, and one of the callers."""

    reason: Reason
    count: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
    source: Annotated[str, Meta(max_length=128)]
    identity: Annotated[str, Meta(max_length=512)]


class Drained(Message, frozen=True, kw_only=True):
    """The front accepts no more jobs and has none left."""


KeyholderFromFront = (
    Admit
    | WitnessedStreams
    | Witnessed
    | StatementData
    | StatementsDone
    | Abort
    | Attest
    | FetchReceipt
    | Settle
    | GiveUp
    | RefusedCalls
    | Drained
)
FrontFromKeyholder = (
    Admitted
    | Ended
    | Completed
    | Stated
    | StatementsWanted
    | Attested
    | FetchedReceipt
    | Settled
    | GivenUp
    | Identities
    | Ready
    | NotReady
)

"""Messages between the front and the keyholder. Headers and signatures are the bytes that the caller sent."""

from typing import ClassVar

import msgspec

from worker.errors import Reason, Stage
from worker.ipc.messages.base import Beat, Message


class Admit(Message, frozen=True, kw_only=True):
    """Run this job. `submitter` is the URI SAN of the client certificate, `source` the peer's address."""

    call: int
    submitter: str
    source: str
    correlation_id: str
    header: bytes
    signature: bytes


class Admitted(Message, frozen=True, kw_only=True):
    """The job runs and has `parts` inputs; `steps` names its progress. Descriptors: its cell's data socket and ring."""

    descriptors: ClassVar[int] = 2
    call: int
    parts: int
    steps: tuple[str, ...]


class Abort(Message, frozen=True, kw_only=True):
    """End the job: the caller left, is late, or broke the protocol."""

    call: int
    reason: Reason
    stage: Stage


class Ended(Message, frozen=True, kw_only=True):
    """The call is refused, or its job ended without a receipt. The last message of every call without an answer."""

    call: int
    reason: Reason
    stage: Stage
    retry_after_ms: int = 0


class Completed(Message, frozen=True, kw_only=True):
    """The job completed: its receipt is signed and on disk."""

    call: int
    receipt: str


class Attest(Message, frozen=True, kw_only=True):
    """Make evidence for a caller's nonce."""

    call: int
    nonce: bytes


class Attested(Message, frozen=True, kw_only=True):
    """Fresh evidence. Descriptor: a file with the bundle, which is larger than a message."""

    descriptors: ClassVar[int] = 1
    call: int
    maa_token: str
    receipt_jwk: str


class FetchReceipt(Message, frozen=True, kw_only=True):
    """Fetch the receipt of a job of this submitter."""

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
    """Jobs are admitted."""

    keys: tuple[PublishedKey, ...]
    operations: tuple[str, ...]
    schemas: tuple[str, ...]


class NotReady(Message, frozen=True, kw_only=True):
    """No job is admitted."""

    reason: Reason


class Drained(Message, frozen=True, kw_only=True):
    """The front accepts no more jobs and has none left."""


KeyholderFromFront = Admit | Abort | Attest | FetchReceipt | Drained
FrontFromKeyholder = Admitted | Ended | Completed | Attested | FetchedReceipt | Ready | NotReady | Beat

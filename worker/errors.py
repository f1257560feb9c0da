"""The one error base of `worker`: a closed Reason, who is to blame, and what to do about it.

A `Refusal` is safe to show to anybody: it carries a Reason and a stage, both from closed sets, and never
text that was made from a record, a key, a header or another exception. Detail for developers travels in
`__cause__` only.
"""

import enum
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["REASONS", "Reason", "ReasonInfo", "Refusal", "Stage", "StartupError"]

Blame = Literal["caller", "operator", "platform"]


class Reason(enum.StrEnum):
    """Why something was refused. The names are those of `cji.worker.v1.Reason` in the proto."""

    MALFORMED_HEADER = "MALFORMED_HEADER"
    HEADER_SIGNATURE_INVALID = "HEADER_SIGNATURE_INVALID"
    AUDIENCE_MISMATCH = "AUDIENCE_MISMATCH"
    EXPIRED = "EXPIRED"
    REPLAYED = "REPLAYED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    POLICY_DENIED = "POLICY_DENIED"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    DEK_UNWRAP_FAILED = "DEK_UNWRAP_FAILED"
    SEGMENT_INVALID = "SEGMENT_INVALID"
    INCOMPLETE = "INCOMPLETE"
    SCHEMA_MISMATCH = "SCHEMA_MISMATCH"
    BAD_PARAMETERS = "BAD_PARAMETERS"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    NOT_READY = "NOT_READY"
    ATTESTATION_REJECTED = "ATTESTATION_REJECTED"
    KEY_RELEASE_DENIED = "KEY_RELEASE_DENIED"
    KEY_THROTTLED = "KEY_THROTTLED"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    DEADLINE = "DEADLINE"
    CELL_FAILED = "CELL_FAILED"
    DRAINING = "DRAINING"
    INTERNAL = "INTERNAL"
    UNKNOWN_REFERENCE = "UNKNOWN_REFERENCE"


class Stage(enum.StrEnum):
    """Where on a job's way the refusal happened."""

    START = "start"
    OPEN = "open"
    ADMIT = "admit"
    UNSEAL = "unseal"
    COMPUTE = "compute"
    COMMIT = "commit"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonInfo:
    """What a Reason means to the one who meets it."""

    blame: Blame
    retryable: bool
    remedy: str


def _info(blame: Blame, remedy: str, *, retryable: bool = False) -> ReasonInfo:
    return ReasonInfo(blame=blame, retryable=retryable, remedy=remedy)


REASONS: Final[dict[Reason, ReasonInfo]] = {
    Reason.MALFORMED_HEADER: _info(
        "caller", "Build the header with the SDK, or by docs/format.md: canonical protobuf, no unknown or empty fields."
    ),
    Reason.HEADER_SIGNATURE_INVALID: _info(
        "caller", "Sign the header bytes that you send with the signing key registered for your certificate."
    ),
    Reason.AUDIENCE_MISMATCH: _info("caller", "Use the audience that Describe returns for this worker pool."),
    Reason.EXPIRED: _info(
        "caller", "Check the clock; created and not_after lie at most 24 hours apart. Seal the job again."
    ),
    Reason.REPLAYED: _info("caller", "This job_id was used with another header. Seal the job with a new job_id."),
    Reason.ALREADY_EXISTS: _info("caller", "This job is done or at work. GetReceipt has its receipt once it is done."),
    Reason.POLICY_DENIED: _info(
        "caller",
        "No rule of the worker's policy allows this submitter, agency, purpose, operation and recipient together.",
    ),
    Reason.UNKNOWN_KEY: _info("caller", "Seal to a key id that Describe returns; key versions retire."),
    Reason.DEK_UNWRAP_FAILED: _info("caller", "Wrap 32 random bytes with RSA-OAEP-256 under the key named in kek_id."),
    Reason.SEGMENT_INVALID: _info(
        "caller", "The sealed stream was altered, cut, reordered or made with another key. Seal it again."
    ),
    Reason.INCOMPLETE: _info(
        "caller",
        "Send every part up to its last segment, then finish. A job that did not finish has no receipt.",
        retryable=True,
    ),
    Reason.SCHEMA_MISMATCH: _info("caller", "Compare the columns and types of each part with the schema it declares."),
    Reason.BAD_PARAMETERS: _info("caller", "Compare the operation's parameters with docs/operations.md."),
    Reason.LIMIT_EXCEEDED: _info(
        "caller",
        "Stay within the limits that Describe returns. A job that needs more memory than a cell has must be cut, or "
        "its operator raises cell_memory_mib.",
    ),
    Reason.OVERLOADED: _info("platform", "All cells are busy. Try again after the time given.", retryable=True),
    Reason.NOT_READY: _info(
        "operator", "The worker has no fresh evidence or key yet. `cji doctor` says which.", retryable=True
    ),
    Reason.ATTESTATION_REJECTED: _info(
        "operator", "The evidence of this machine was not accepted. Read the check named in the worker's log."
    ),
    Reason.KEY_RELEASE_DENIED: _info(
        "operator", "Key Vault refused to release the key. Compare its release policy and roles with deploy/."
    ),
    Reason.KEY_THROTTLED: _info("platform", "Key Vault throttles releases. Try again later.", retryable=True),
    Reason.AUDIT_UNAVAILABLE: _info(
        "operator", "The audit sink cannot be written, so no job starts. Restore it and restart.", retryable=True
    ),
    Reason.DEADLINE: _info("caller", "The deadline passed. Give the job more time.", retryable=True),
    Reason.CELL_FAILED: _info("platform", "The process of this job ended early. Nothing was released.", retryable=True),
    Reason.DRAINING: _info("platform", "This worker is shutting down. Send the job to another.", retryable=True),
    Reason.INTERNAL: _info(
        "platform", "A fault of the worker. Give the correlation id to its operator.", retryable=True
    ),
    Reason.UNKNOWN_REFERENCE: _info(
        "caller",
        "This worker holds no such reference for you under this key: its time is over, or the worker started anew. "
        "Send the reference along with the inquiries.",
    ),
}


class Refusal(Exception):  # noqa: N818 - the domain's word; it is not always an error of this program
    """Something was refused for a Reason. The message is the Reason's own remedy and nothing else."""

    def __init__(self, reason: Reason, *, stage: Stage) -> None:
        super().__init__(reason, stage)
        self.reason = reason
        self.stage = stage

    def __str__(self) -> str:
        return f"{self.reason.value} at {self.stage.value}: {REASONS[self.reason].remedy}"


class StartupError(Refusal):
    """A machine or configuration that cannot run the worker. `what` and `remedy` are fixed texts of the source."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(Reason.NOT_READY, stage=Stage.START)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"

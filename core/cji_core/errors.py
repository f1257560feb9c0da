"""The root of all errors, the bases that distributions share, and `Refusal`: a closed Reason, who can fix it, and how.

Each distribution has one base below `CjiError`; an error that leaves a room derives from it. The message states what
was found, `code` names the kind for programs and never changes, `remedy` is what to do.

Errors at the worker's other end, of a submitter, an auditor or an operator, are `ClientError`s: `SpecError`,
`Unverified`, `Unreachable`. No text of theirs is derived from keys. None shows more of a record than the shape of a
value whose format its submitter has to correct, digits as 9 and letters as A.

A `Refusal` is safe to show to anybody: it carries a Reason and a stage, both from closed sets, and never text derived
from a record, a key, a header or another exception. Detail for developers travels in `__cause__` only.
"""

import enum
from dataclasses import dataclass
from typing import Any, Final, Literal

Blame = Literal["caller", "operator", "platform"]


class CjiError(Exception):
    """An error of this program. A class sets `code` and `remedy`; an object may have a remedy of its own."""

    code: str = "error"
    remedy: str = "Read the message."

    def __init__(self, *args: object, remedy: str | None = None) -> None:
        super().__init__(*args)
        if remedy is not None:
            self.remedy = remedy


class CoreError(CjiError):
    """The base of what both ends of a job share: formats, trails, keys, exchanges."""

    code = "core"


class OperationsError(CjiError):
    """Parameters, rules or input that an operation cannot use; for the submitter, before anything is sealed."""

    code = "operations"


class ClientError(CjiError):
    """Base of errors at the worker's other end: all that `cji_client` raises on purpose.

    `standing`, of an error that ends the sending of a job, states how far that job had come (`cji_client.standing`);
    `exit_status` is that of the command, None for the one of its kind.
    """

    code = "client"
    standing: Any = None
    exit_status: int | None = None

    def __init__(self, message: str, *, remedy: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.retryable = retryable


class SpecError(ClientError):
    """A file or argument from the submitter cannot be used; the message names it and the reason."""

    def __init__(self, message: str, *, remedy: str = "Correct it and run again.") -> None:
        super().__init__(message, remedy=remedy)


class Unverified(ClientError):  # noqa: N818 - the name states what happened; the base marks it as an error
    """A check failed: do not trust this answer. `check` is a short stable name, for example that of a claim."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(
            f"{check}: {message}",
            remedy="Do not use this result. Report the failed check to the worker's operator.",
        )
        self.check = check


class Unreachable(ClientError):  # noqa: N818
    """The call ended without an answer from the worker: network, TLS or a proxy in between."""

    def __init__(
        self, message: str, *, remedy: str = "Check target, certificates and network, then try again."
    ) -> None:
        super().__init__(message, remedy=remedy, retryable=True)


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
    CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"
    REVOCATION_UNKNOWN = "REVOCATION_UNKNOWN"
    SUITE_NOT_ACCEPTED = "SUITE_NOT_ACCEPTED"
    TOKEN_REFUSED = "TOKEN_REFUSED"  # noqa: S105 - a name, not a password
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    SUBMITTER_MISMATCH = "SUBMITTER_MISMATCH"
    ADMISSION_WORKER = "ADMISSION_WORKER"
    ADMISSION_NONCE = "ADMISSION_NONCE"
    ADMISSION_ATTEMPT = "ADMISSION_ATTEMPT"
    ADMISSION_SIGNATURE = "ADMISSION_SIGNATURE"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    CANCELLED = "CANCELLED"
    COLUMN_KEY_WRONG = "COLUMN_KEY_WRONG"
    COLUMN_CELL_INVALID = "COLUMN_CELL_INVALID"


class Limit(enum.StrEnum):
    """The limit that a job exceeds, of those that its shape decides and no single record."""

    CELL_MEMORY = "cell_memory_mib"
    PAIRS = "pairs"
    LINK_MEMORY = "link_memory_mib"
    SOURCES = "sources"
    SHARDS = "shards"
    STREAMS = "shuffle_streams"


class Stage(enum.StrEnum):
    """The stage of a job at which it was refused."""

    START = "start"
    OPEN = "open"
    ADMIT = "admit"
    UNSEAL = "unseal"
    COMPUTE = "compute"
    COMMIT = "commit"
    RECEIPT = "receipt"


class DeniedBy(enum.StrEnum):
    """The rule of the policy that denied a job. For the audit trail and the operator, never for a caller."""

    SUBMITTER = "submitter"
    REQUESTING_AGENCY = "requesting_agency"
    ORIGINATING_AGENCY = "originating_agency"
    AGREEMENT = "agreement"
    PURPOSE = "purpose"
    OPERATION = "operation"
    DATA_CLASS = "data_class"
    RECIPIENT = "recipient"
    ESCROW = "escrow"
    SECONDARY_RECIPIENT = "secondary_recipient"
    ROWS = "rows"
    BYTES = "bytes"
    JOBS_PER_DAY = "jobs_per_day"
    COLUMN_KEYS = "column_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonInfo:
    """The meaning of a Reason: who can fix it, whether a retry can help, and the remedy.

    `soon`: the same call may succeed within moments, so that a client makes it again by itself.
    """

    blame: Blame
    retryable: bool
    remedy: str
    soon: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitInfo:
    """A limit: its value, None where a configuration or the job has it, and where it is changed."""

    value: int | None
    remedy: str


LIMITS: Final[dict[Limit, LimitInfo]] = {
    Limit.CELL_MEMORY: LimitInfo(
        value=None,
        remedy="Raise cell_memory_mib in worker.toml of every worker of the pool, or split the job. In parts, a lower "
        "shard_rows in job.toml makes the tasks of one shard smaller.",
    ),
    Limit.PAIRS: LimitInfo(
        value=None,
        remedy="Raise `pairs` of the operation in job.toml, or narrow its blocking rules: `cji link count` finds the "
        "rule with too many pairs.",
    ),
    Limit.LINK_MEMORY: LimitInfo(
        value=6 << 10,
        remedy="Run `link` in parts, or in more shards: a task of it keeps this much of rows and of pairs that count. "
        "It is fixed; in parts, a person of very many records, or false pairs, can reach it too.",
    ),
    Limit.SOURCES: LimitInfo(
        value=1024, remedy="Link fewer sources with `duplicates_in_source = false`. The limit is fixed."
    ),
    Limit.SHARDS: LimitInfo(value=1024, remedy="Raise shard_rows in job.toml, which makes fewer shards."),
    Limit.STREAMS: LimitInfo(
        value=1 << 17, remedy="Raise shard_rows in job.toml: fewer shards have fewer streams between tasks."
    ),
}


def _info(blame: Blame, remedy: str, *, retryable: bool = False, soon: bool = False) -> ReasonInfo:
    return ReasonInfo(blame=blame, retryable=retryable or soon, remedy=remedy, soon=soon)


REASONS: Final[dict[Reason, ReasonInfo]] = {
    Reason.MALFORMED_HEADER: _info(
        "caller",
        "Build the header with the SDK, or follow docs/format.md: canonical protobuf without unknown or empty fields.",
    ),
    Reason.HEADER_SIGNATURE_INVALID: _info(
        "caller", "Sign exactly the header bytes that you send, with the signing key registered for your certificate."
    ),
    Reason.AUDIENCE_MISMATCH: _info("caller", "Use the audience that Describe returns for this worker pool."),
    Reason.EXPIRED: _info(
        "caller", "Check your clock, then seal the job again; created and not_after may be at most 24 hours apart."
    ),
    Reason.REPLAYED: _info(
        "caller", "This job_id was already used with a different header. Seal the job again with a new job_id."
    ),
    Reason.ALREADY_EXISTS: _info(
        "caller", "This job has finished or is still running. Fetch its receipt with GetReceipt once it has finished."
    ),
    Reason.POLICY_DENIED: _info(
        "caller",
        "The worker's policy does not allow this combination of submitter, agency, purpose, operation, kind of data, "
        "column keys, recipients, escrow and volume today. Ask the worker's operator, who sees which rule denied it.",
    ),
    Reason.UNKNOWN_KEY: _info("caller", "Seal to a key id that Describe returns; old key versions are retired."),
    Reason.DEK_UNWRAP_FAILED: _info(
        "caller",
        "Wrap the data key for the key named in kek_id, in the form of the job's suite, and seal attribution and "
        "project keys under it; see docs/format.md, section 4.",
    ),
    Reason.SEGMENT_INVALID: _info(
        "caller", "The stream was altered, truncated, reordered or sealed with another key. Seal the job again."
    ),
    Reason.INCOMPLETE: _info(
        "caller",
        "Send every part through its last segment, then Finish, and read the answers meanwhile, without pauses longer "
        "than the idle_seconds that Describe returns. A job that did not finish has no receipt.",
        retryable=True,
    ),
    Reason.SCHEMA_MISMATCH: _info(
        "caller",
        "Compare the columns and types of each part with the schema that it declares; see `cji schema show`.",
    ),
    Reason.BAD_PARAMETERS: _info(
        "caller", "Compare the operation's parameters with docs/operations.md. A nonce has 32 bytes, a job_id 16."
    ),
    Reason.LIMIT_EXCEEDED: _info(
        "caller",
        "Stay within the limits that Describe returns. If the job needs more memory than a cell has, split it or ask "
        "the worker's operator to raise cell_memory_mib. For `link`, `cji link count` finds the rule with too many "
        "pairs.",
    ),
    Reason.OVERLOADED: _info(
        "platform",
        "All cells, or your share of the worker's calls, are in use. Try again after the time given.",
        soon=True,
    ),
    Reason.NOT_READY: _info(
        "operator",
        "The worker has no fresh evidence, no key yet, no current keys of your Entra tenant, or an unfit machine. Run "
        "`cji doctor` on it.",
        soon=True,
    ),
    Reason.ATTESTATION_REJECTED: _info(
        "operator", "The evidence of this machine was rejected. Find the failed check in the worker's log."
    ),
    Reason.KEY_RELEASE_DENIED: _info(
        "operator",
        "Key Vault refused to release the key. Compare its release policy and role assignments with deploy/.",
    ),
    Reason.KEY_THROTTLED: _info("platform", "Key Vault is throttling key releases. Try again later.", soon=True),
    Reason.AUDIT_UNAVAILABLE: _info(
        "operator",
        "The audit sink cannot be written, so no job starts. Restore it, then restart the worker.",
        retryable=True,
    ),
    Reason.DEADLINE: _info(
        "caller",
        "The deadline passed. Run the job again with a longer one; the worker ends every job after the job_seconds "
        "that Describe returns.",
        retryable=True,
    ),
    Reason.CELL_FAILED: _info(
        "platform", "The job's process ended early and no result was released. Run the job again.", retryable=True
    ),
    Reason.DRAINING: _info("platform", "This worker is shutting down. Send the job to another worker.", soon=True),
    Reason.INTERNAL: _info(
        "platform", "The worker failed internally. Give the correlation id to its operator.", retryable=True
    ),
    Reason.UNKNOWN_REFERENCE: _info(
        "caller",
        "This worker holds no such reference for this submitter and key: it expired, or the worker restarted. Send the "
        "reference with the inquiries.",
    ),
    Reason.CERTIFICATE_REFUSED: _info(
        "caller",
        "Your client certificate was revoked, has expired, or was not issued by one of the worker's client roots "
        "itself. Connect with a valid one.",
    ),
    Reason.REVOCATION_UNKNOWN: _info(
        "operator",
        "A certificate revocation list of the worker has expired. Install a new client_crl, then run `cji reload`.",
        retryable=True,
    ),
    Reason.SUITE_NOT_ACCEPTED: _info(
        "caller",
        "Seal the job in a suite that the worker's policy accepts from you; ask its operator which they are. A "
        "hybrid job needs a key for which Describe returns an ML-KEM half.",
    ),
    Reason.TOKEN_REFUSED: _info(
        "caller",
        "Get a new access token of Microsoft Entra for this worker, bound to your client certificate, and send it as "
        "docs/entra.md describes. Send none if the worker's policy names no Entra application for you. Its operator "
        "finds the failed check in the audit trail.",
    ),
    Reason.LEDGER_UNAVAILABLE: _info(
        "operator",
        "The pool's replay ledger in Azure Storage cannot be reached, so no job starts. Check [ledger] in worker.toml, "
        "the network, and the rights of the worker's identity.",
        retryable=True,
    ),
    Reason.SUBMITTER_MISMATCH: _info(
        "caller",
        "The header names another submitter than the one whose key signed it. Seal the job with the key that signs it.",
    ),
    Reason.ADMISSION_WORKER: _info(
        "caller",
        "The admission was signed for another worker, or for this one before it restarted. Attest again, then sign for "
        "the receipt key of that answer.",
        soon=True,
    ),
    Reason.ADMISSION_NONCE: _info(
        "caller",
        "The admission's nonce was used, is too old, or is not this worker's. Attest again, then sign the new nonce.",
        soon=True,
    ),
    Reason.ADMISSION_ATTEMPT: _info(
        "caller",
        "The admission must be signed for the next attempt of this job on this worker; a job has three. After the "
        "third, seal the job again with a new job_id.",
        soon=True,
    ),
    Reason.ADMISSION_SIGNATURE: _info(
        "caller",
        "Sign nonce, receipt key, header and attempt exactly as you send them, with the submitter's key, or with the "
        "send key if the header names one; see docs/format.md, section 6.",
    ),
    Reason.ATTEMPTS_EXHAUSTED: _info(
        "caller",
        "Every attempt that the pool allows for this job was used, and none completed. Find out why in the trails of "
        "its workers, then seal the job again with a new job_id.",
    ),
    Reason.CANCELLED: _info(
        "caller", "The submitter asked for the end of this job. Seal it again with a new job_id to run it."
    ),
    Reason.COLUMN_KEY_WRONG: _info(
        "caller",
        "No cell of this sealed column opens with the column encryption key of its statement. Find the key that the "
        "column has in the database, then run `cji columns rewrap` with it.",
    ),
    Reason.COLUMN_CELL_INVALID: _info(
        "caller",
        "The job cannot leave this row out: every cell of the column is faulty, or one of a side table or of a job in "
        "parts is, or a value of a result does not fit the column that it is sealed as. Correct the row, or type and "
        "encryption of the column in columns.toml.",
    ),
}


class Refusal(CoreError):  # noqa: N818 - the domain's word; not always an error in this program
    """A refusal for a Reason. Its text is the Reason, the stage and the remedy, nothing else.

    `limit` is the one that LIMIT_EXCEEDED is about; its remedy takes the place of the Reason's.
    """

    def __init__(self, reason: Reason, *, stage: Stage, limit: Limit | None = None) -> None:
        super().__init__(reason, stage)
        self.reason = reason
        self.stage = stage
        self.limit = limit
        self.code = reason.value
        self.remedy = REASONS[reason].remedy if limit is None else LIMITS[limit].remedy

    def __str__(self) -> str:
        about = "" if self.limit is None else f" ({self.limit.value})"
        return f"{self.reason.value} at {self.stage.value}{about}: {self.remedy}"


class Denied(Refusal):
    """A refusal by the policy: POLICY_DENIED for the caller. `by` is the rule, which never reaches the caller."""

    def __init__(self, by: DeniedBy, *, stage: Stage = Stage.ADMIT) -> None:
        super().__init__(Reason.POLICY_DENIED, stage=stage)
        self.by = by


class RetryLater(Refusal):
    """A refusal with the delay before the next attempt, in milliseconds."""

    def __init__(self, reason: Reason, *, stage: Stage, after_ms: int, limit: Limit | None = None) -> None:
        super().__init__(reason, stage=stage, limit=limit)
        self.after_ms = after_ms


class StartupError(Refusal):
    """A machine or configuration that cannot run the worker. `what` names the cause, `remedy` the fix.

    `status` is the exit status of the process that ends with it.
    """

    status = 1

    def __init__(self, what: str, remedy: str, *, reason: Reason = Reason.NOT_READY) -> None:
        super().__init__(reason, stage=Stage.START)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


class RebootError(StartupError):
    """No start in this boot of the machine can help. The keyholder ends with this status, then the supervisor."""

    status = 76

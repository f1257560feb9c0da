"""Messages on the socket of the engine, `tasks.sock`: names, numbers and sizes.

A message is a length of four bytes, big-endian, and JSON of at most MAX_BYTES. A connection has one request; the answer
is any number of `progress`, then `done` or `refused`. Anyone who connects can run code as the engine's user, so a
request is taken for hostile: it names a task, and no address, container, blob or key.

    request   {"v":1,"job":hex,"header_sha384":hex,"plan":hex or "none","stage":name,"task":n}, perhaps "again":true
    answer    {"progress":[stage,per_cent]}, any number
              {"done":{...}} or {"refused":{"reason":NAME,"stage":name,"retry_after_ms":n,...}}
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.documents import decode
from cji_core.errors import LIMITS, REASONS, Limit, Reason, Refusal, RetryLater
from cji_core.errors import Stage as Where
from cji_core.pool.ticket import HeaderDigest, JobName
from cji_core.strict import StrictError
from cji_worker.errors import WorkerError

MAX_BYTES: Final = 4096
LENGTH_BYTES: Final = 4
START: Final = "start"
"""The stage of a request for the stages up to the one that plans; it runs nothing."""
FINISH: Final = "finish"
"""The stage of a request to sign the job's receipt."""
NO_PLAN: Final = "none"
RETRY_MS: Final = 1000
"""When the same request may succeed, if the refusal gave no time."""
_OF_THE_JOB: Final = frozenset(
    (
        Reason.LIMIT_EXCEEDED,
        Reason.BAD_PARAMETERS,
        Reason.SCHEMA_MISMATCH,
        Reason.COLUMN_KEY_WRONG,
        Reason.COLUMN_CELL_INVALID,
    )
)
"""Reasons that a task has in every cell alike once it computes."""

PlanName = Annotated[str, Meta(pattern=r"^(none|[0-9a-f]{32})\Z")]
StageName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
TaskNumber = Annotated[int, Meta(ge=0, lt=1024)]
Tasks = Annotated[int, Meta(ge=1, le=1024)]
Count = Annotated[int, Meta(ge=0, le=2**62)]


class RequestError(WorkerError):
    """The peer sent no request of this protocol."""

    code = "task-request-invalid"
    remedy = "Run the engine and the worker of one version."


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One task of a job. `again` runs it although it has a published statement, if one more can be published."""

    v: Literal[1]
    job: JobName
    header_sha384: HeaderDigest
    plan: PlanName
    stage: StageName
    task: TaskNumber
    again: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A task that has a published statement. Bytes are ciphertext, with padding.

    `tasks` has stages in the order in which they run: those up to the one that plans, in the answer to a request to
    start; all of them, with the `plan`, in the answer of that stage.
    """

    attempt: str
    statement_sha256: str
    bytes_in: Count
    bytes_out: Count
    seconds: float
    tasks: dict[StageName, Tasks] | None = None
    plan: PlanName | None = None
    rows: Count | None = None
    shards: Tasks | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task that did not run. `retry_after_ms` 0: the same request on this node would be refused again.

    `everywhere`: and on any other node, because the job is the reason. `limit` is the one that it exceeds, with its
    value, unless the job has that; `remedy` is a text of `LIMITS`.
    """

    reason: Reason
    stage: Where
    retry_after_ms: Annotated[int, Meta(ge=0, le=3_600_000)]
    everywhere: bool = False
    limit: Limit | None = None
    value: Annotated[int, Meta(ge=0)] | None = None
    remedy: str = ""

    @classmethod
    def of(cls, refusal: Refusal, *, cell_memory_mib: int | None = None) -> "Refused":
        """The answer for this refusal, of a worker whose cells have so much memory."""
        limit = refusal.limit
        if limit is not None:
            value = cell_memory_mib if limit is Limit.CELL_MEMORY else LIMITS[limit].value
            return cls(
                reason=refusal.reason,
                stage=refusal.stage,
                retry_after_ms=0,
                everywhere=True,
                limit=limit,
                value=value,
                remedy=LIMITS[limit].remedy,
            )
        again = REASONS[refusal.reason].retryable
        after = refusal.after_ms if isinstance(refusal, RetryLater) else RETRY_MS if again else 0
        return cls(
            reason=refusal.reason,
            stage=refusal.stage,
            retry_after_ms=min(after, 3_600_000),
            everywhere=refusal.stage is Where.COMPUTE and refusal.reason in _OF_THE_JOB,
        )


Answer = Done | Refused


def read_request(read: Callable[[int], bytes]) -> Request:
    """The request on a stream. `read(n)` returns 1 to n bytes, and none at the end. Raises RequestError."""
    length = int.from_bytes(_exactly(read, LENGTH_BYTES), "big")
    if not 0 < length <= MAX_BYTES:
        raise RequestError
    try:
        return decode(_exactly(read, length), Request, limit=MAX_BYTES)
    except StrictError as error:
        raise RequestError from error


def progress_bytes(step: str, per_cent: int) -> bytes:
    """The message for a step of a task."""
    return _framed({"progress": (step, per_cent)})


def answer_bytes(answer: Answer) -> bytes:
    """The last message. Raises ValueError for one that is too long."""
    return _framed({"done" if isinstance(answer, Done) else "refused": answer})


def _framed(message: object) -> bytes:
    encoded = msgspec.json.encode(message)
    if len(encoded) > MAX_BYTES:
        raise ValueError("a message is too long")
    return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


def _exactly(read: Callable[[int], bytes], number: int) -> bytes:
    found = bytearray()
    while len(found) < number:
        more = read(number - len(found))
        if not more:
            raise RequestError
        found += more
    return bytes(found)

"""Messages on the socket of the engine, `tasks.sock`: names, numbers and sizes.

A message is a length of four bytes, big-endian, and JSON of at most MAX_BYTES. A connection has one request; the answer
is any number of `progress`, then `done` or `refused`. Members that are not declared here are refused.
"""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from cji_engine.errors import EngineError

__all__ = [
    "FINISH",
    "MAX_BYTES",
    "NO_PLAN",
    "PLAN",
    "START",
    "Answer",
    "Done",
    "Job",
    "MessageError",
    "Refused",
    "Request",
    "framed",
    "read_answer",
]

MAX_BYTES: Final = 4096
LENGTH_BYTES: Final = 4
START: Final = "start"
"""The stage of a request for the stages up to the one that plans; it runs nothing."""
PLAN: Final = "plan"
FINISH: Final = "finish"
"""The stage of a request to sign the job's receipt."""
NO_PLAN: Final = "none"

Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
Reason = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z][A-Z0-9_]{0,63}\Z")]
JobId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Sha384 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{96}\Z")]
PlanId = Annotated[str, msgspec.Meta(pattern=r"\A(?:none|[0-9a-f]{32})\Z")]
TaskNumber = Annotated[int, msgspec.Meta(ge=0, lt=1024)]
Tasks = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Remedy = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]{0,400}\Z")]
PerCent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class MessageError(EngineError, ValueError):
    """A peer sent no message of this protocol."""

    code = "message-invalid"
    remedy = "Run the engine and the worker of one version."


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The names of a job: its id and the SHA-384 of its header, in hexadecimal."""

    job: JobId
    header_sha384: Sha384


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One task. `again` runs it although its statement is published."""

    v: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1
    job: JobId
    header_sha384: Sha384
    plan: PlanId
    stage: Name
    task: TaskNumber
    again: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A task that has a published statement. Bytes are ciphertext, with padding.

    `tasks`: stages in the order in which they run, with their numbers of tasks: those up to the one that plans, of a
    request to start; all of them, of the one that plans, with the `plan`. `rows` and `shards` only of a request to
    start.
    """

    attempt: str
    statement_sha256: str
    bytes_in: Count
    bytes_out: Count
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    tasks: dict[Name, Tasks] | None = None
    plan: PlanId | None = None
    rows: Count | None = None
    shards: Tasks | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task that did not run. `retry_after_ms` 0: the same request on this node would be refused again.

    `everywhere`: and on any other node, because the job is the reason. `limit` is the one that it exceeds, with its
    value, unless the job has that, and where it is changed.
    """

    reason: Reason
    stage: str
    retry_after_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 0
    everywhere: bool = False
    limit: Name | None = None
    value: Count | None = None
    remedy: Remedy = ""

    def __str__(self) -> str:
        """`LIMIT_EXCEEDED, cell_memory_mib is 160`."""
        if self.limit is None:
            return self.reason
        return f"{self.reason}, limit {self.limit}" + ("" if self.value is None else f" is {self.value}")


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    progress: tuple[Name, PerCent] | None = None
    done: Done | None = None
    refused: Refused | None = None


Answer = Done | Refused
ProgressCallback = Callable[[str, int], None]
_MESSAGE: Final = msgspec.json.Decoder(_Message, strict=True)


def framed(request: Request) -> bytes:
    """The bytes of a request, with their length."""
    encoded = msgspec.json.encode(request)
    return len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded


def read_answer(read: Callable[[int], bytes], *, progress: ProgressCallback = lambda _step, _per_cent: None) -> Answer:
    """Read messages up to the one that answers. `read(n)` returns 1 to n bytes, and none at the end of the stream.

    Raises MessageError for anything but messages of this protocol, and for an end before the answer.
    """
    while True:
        length = int.from_bytes(_exactly(read, LENGTH_BYTES), "big")
        if not 0 < length <= MAX_BYTES:
            raise MessageError(f"a message of {length} bytes")
        try:
            data = _exactly(read, length)
            message = _MESSAGE.decode(data)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise MessageError("a message that is not of this protocol") from error
        if msgspec.json.encode(message) != data:  # a member twice, or in another form than the node's
            raise MessageError("a message that is not in its one form")
        match [one for one in (message.progress, message.done, message.refused) if one is not None]:
            case [(str(step), int(per_cent))]:
                progress(step, per_cent)
            case [Done() | Refused() as answer]:
                return answer
            case _:
                raise MessageError("a message with no member or several")


def _exactly(read: Callable[[int], bytes], number: int) -> bytes:
    found = bytearray()
    while len(found) < number:
        more = read(number - len(found))
        if not more:
            raise MessageError("the stream ended before the answer")
        found += more
    return bytes(found)

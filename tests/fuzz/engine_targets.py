"""What is read at the two ends of the engine's socket: names of tasks by the fleet process, sizes by the engine.

And the small blobs by which nodes of a pool find the attempts of each other.
"""

import io
from typing import Final

import msgspec

from cji_core.errors import Reason, Refusal, Stage
from cji_core.pool.documents import DocumentError, decode
from cji_worker.fleet.tasks import messages as fleet
from cji_worker.fleet.tasks.published import Attempts, PublishedAttempt
from tests.fuzz.attestation_targets import target
from tests.fuzz.mutators import BYTES, TEXT
from tests.support.engine_path import engine_messages as engine

__all__ = ["ENGINE"]

_JOB, _DIGEST, _PLAN = "0a" * 16, "0b" * 48, "0c" * 16


def _requests() -> tuple[bytes, ...]:
    return tuple(
        engine.framed(engine.Request(job=_JOB, header_sha384=_DIGEST, plan=plan, stage=stage, task=7, again=again))
        for plan, stage, again in (("none", "plan", False), (_PLAN, "pairs", True))
    )


def _answers() -> tuple[bytes, ...]:
    done = fleet.Done(
        attempt="0d" * 16, statement_sha256="0e" * 32, bytes_in=3, bytes_out=2, seconds=0.5, tasks={"a": 3}, plan=_PLAN
    )
    refused = fleet.Refused.of(Refusal(Reason.EXPIRED, stage=Stage.ADMIT))
    return (fleet.progress_bytes("a", 50) + fleet.answer_bytes(done), fleet.answer_bytes(refused))


def _attempts() -> tuple[bytes, ...]:
    one = PublishedAttempt(attempt="0d" * 16, statement_sha256="0e" * 32, bytes_in=1, bytes_out=2, seconds=0.5)
    return (msgspec.json.encode(Attempts(attempts=(one,))), msgspec.json.encode(Attempts(attempts=(one, one))))


def _names_a_task(_: bytes, request: object) -> bool:
    """Accepted is a name of a blob's alphabet and a number in bounds."""
    assert isinstance(request, fleet.Request)
    name = f"{request.job}/{request.plan}/{request.stage}/{request.task:05d}"
    return name.isascii() and name.count("/") == 3 and ".." not in name and request.task < 1024


def _is_an_answer(_: bytes, answer: object) -> bool:
    return isinstance(answer, engine.Done | engine.Refused)


def _is_bounded(_: bytes, found: object) -> bool:
    assert isinstance(found, Attempts)
    return 1 <= len(found.attempts) <= 4


ENGINE: Final = (
    target(
        "task-request",
        _requests,
        lambda data: fleet.read_request(io.BytesIO(data).read),
        refusals=(fleet.RequestError,),
        fair=_names_a_task,
        mutators=(*BYTES, *TEXT),
        weight=10,
    ),
    target(
        "task-answer",
        _answers,
        lambda data: engine.read_answer(io.BytesIO(data).read),
        refusals=(engine.MessageError,),
        fair=_is_an_answer,
        mutators=(*BYTES, *TEXT),
        weight=10,
    ),
    target(
        "task-attempts",
        _attempts,
        lambda data: decode(data, Attempts),
        refusals=(DocumentError,),
        fair=_is_bounded,
        mutators=(*BYTES, *TEXT),
        weight=5,
    ),
)

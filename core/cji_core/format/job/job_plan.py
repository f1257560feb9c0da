"""The plan of a job in parts: the number of tasks of each stage, the result header, and the sealed result key.

The cell of the task that plans makes it. Its SHA-384 is in the name and key of every stream that comes after, and in
every statement. `sealed_result_key` opens only with all its other bytes, so nobody without the data key can alter one.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job.limits import LIMITS
from cji_core.wire.v1 import worker_pb2

VERSION: Final = 1
MAX_PLAN_BYTES: Final = LIMITS.header_bytes + 16 * 1024
MAX_STAGES: Final = 256
STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MAX_TASKS: Final = 1024
_SEALED_KEY_BYTES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """A well-formed plan. `tasks` are those of all stages, in their order; `facts` are all bytes but the sealed key."""

    data: bytes = field(repr=False)
    sha384: bytes
    header_sha384: bytes
    tasks: Mapping[str, int]
    result_header: bytes = field(repr=False)
    facts: bytes = field(repr=False)
    sealed_result_key: bytes = field(repr=False)


def plan_facts(header_sha384: bytes, tasks: Mapping[str, int], result_header: bytes) -> bytes:
    """The canonical bytes of a plan without its sealed key."""
    return _message(header_sha384, tasks, result_header).SerializeToString(deterministic=True)


def encode_plan(facts: bytes, sealed_result_key: bytes) -> bytes:
    """The canonical bytes of a plan."""
    message = worker_pb2.JobPlan.FromString(facts)
    message.sealed_result_key = sealed_result_key
    return message.SerializeToString(deterministic=True)


def parse_plan(data: bytes) -> JobPlan:
    """The plan in these bytes. Raises BAD_PARAMETERS at ADMIT for anything but the canonical encoding of one."""
    message = worker_pb2.JobPlan()
    try:
        _require(0 < len(data) <= MAX_PLAN_BYTES)
        message.ParseFromString(data)
    except DecodeError:
        raise _refused() from None
    message.DiscardUnknownFields()
    _require(message.SerializeToString(deterministic=True) == data)
    _require(message.version == VERSION and len(message.header_sha384) == hashlib.sha384().digest_size)
    tasks = {stage.name: stage.tasks for stage in message.stages}
    _require(0 < len(tasks) == len(message.stages) <= MAX_STAGES)
    _require(all(STAGE_NAME.fullmatch(name) and 1 <= number <= _MAX_TASKS for name, number in tasks.items()))
    _require(0 < len(message.result_header) <= LIMITS.header_bytes)
    _require(len(message.sealed_result_key) == _SEALED_KEY_BYTES)
    return JobPlan(
        data=bytes(data),
        sha384=hashlib.sha384(data).digest(),
        header_sha384=message.header_sha384,
        tasks=tasks,
        result_header=message.result_header,
        facts=plan_facts(message.header_sha384, tasks, message.result_header),
        sealed_result_key=message.sealed_result_key,
    )


def _message(header_sha384: bytes, tasks: Mapping[str, int], result_header: bytes) -> worker_pb2.JobPlan:
    return worker_pb2.JobPlan(
        version=VERSION,
        header_sha384=header_sha384,
        stages=[worker_pb2.PlannedStage(name=name, tasks=number) for name, number in tasks.items()],
        result_header=result_header,
    )


def _require(holds: object) -> None:
    if not holds:
        raise _refused()


def _refused() -> Refusal:
    return Refusal(Reason.BAD_PARAMETERS, stage=Stage.ADMIT)

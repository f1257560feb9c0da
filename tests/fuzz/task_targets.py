"""Fuzz targets of jobs in parts: plans and statements, which a fleet hands on."""

import functools
from typing import Any, Final

import msgspec

from cji_core.errors import Refusal
from cji_core.format.job import encode_plan, parse_plan
from cji_core.trail import StatementError, read_statement
from tests.fuzz.attestation_targets import only, target
from tests.fuzz.engine import Target
from tests.fuzz.mutators import JWS, SIZED
from tests.support.task_statements import Honest


@functools.cache
def _honest() -> Honest:
    return Honest()


@functools.cache
def _plans() -> tuple[bytes, ...]:
    return (_honest().plan.data, Honest(shards=3).plan.data)


@functools.cache
def _statements() -> tuple[bytes, ...]:
    return tuple(each.encode("ascii") for each in _honest().statements()[:4])


def _plan_fair(data: bytes, value: Any) -> bool:
    return bool(encode_plan(value.facts, value.sealed_result_key) == data == value.data)


TASKS: Final[tuple[Target, ...]] = (
    target("task-plan", _plans, parse_plan, refusals=(Refusal,), fair=_plan_fair, mutators=SIZED, weight=20),
    target(
        "task-statement",
        _statements,
        lambda data: msgspec.structs.asdict(read_statement(data.decode("latin-1"))),
        refusals=(StatementError,),
        fair=only(_statements),
        mutators=JWS,
        weight=5,
    ),
)

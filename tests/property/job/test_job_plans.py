"""The plan of a job in parts: one encoding, and every other byte is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_core.format.job import JobPlan, encode_plan, parse_plan, plan_facts
from cji_core.wire.v1 import worker_pb2 as pb

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
TASKS = st.dictionaries(NAMES, st.integers(1, 1024), min_size=1, max_size=6)
SEALED = b"s" * 60


def refused(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_plan(data)
    assert caught.value.reason is Reason.BAD_PARAMETERS


def plan(tasks: dict[str, int], header: bytes = b"h" * 48, result: bytes = b"r") -> bytes:
    return encode_plan(plan_facts(header, tasks, result), SEALED)


@given(TASKS, st.binary(min_size=1, max_size=300))
def test_a_plan_reads_back(tasks: dict[str, int], result: bytes) -> None:
    data = plan(tasks, result=result)
    found = parse_plan(data)
    assert (dict(found.tasks), found.result_header, found.header_sha384) == (tasks, result, b"h" * 48)
    assert list(found.tasks) == list(tasks)
    assert (encode_plan(found.facts, found.sealed_result_key), found.data) == (data, data)


@given(TASKS, st.integers(0, 400), st.integers(1, 255))
def test_an_altered_byte_is_another_plan_or_none(tasks: dict[str, int], at: int, by: int) -> None:
    data = bytearray(plan(tasks))
    data[at % len(data)] ^= by
    try:
        found = parse_plan(bytes(data))
    except Refusal:
        return
    assert isinstance(found, JobPlan)
    assert encode_plan(found.facts, found.sealed_result_key) == bytes(data)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_or_reads_back(data: bytes) -> None:
    try:
        found = parse_plan(data)
    except Refusal:
        refused(data)
    else:
        assert found.data == data


def test_each_rule() -> None:
    for tasks in ({}, {"": 1}, {"X": 1}, {"a" * 33: 1}, {"a": 0}, {"a": 1025}, {f"s{n}": 1 for n in range(257)}):
        refused(plan(tasks))
    refused(plan({"a": 1}, header=b"h" * 47))
    refused(plan({"a": 1}, result=b""))
    refused(plan({"a": 1}, result=bytes(32 * 1024 + 1)))
    refused(encode_plan(plan_facts(b"h" * 48, {"a": 1}, b"r"), b"s" * 61))
    refused(b"")
    twice = pb.JobPlan.FromString(plan({"a": 1}))
    twice.stages.add(name="a", tasks=2)
    refused(twice.SerializeToString(deterministic=True))
    other = pb.JobPlan.FromString(plan({"a": 1}))
    other.version = 2
    refused(other.SerializeToString(deterministic=True))

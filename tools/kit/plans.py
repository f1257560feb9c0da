"""Cases about a job in parts (§10): its plan, and the streams between its tasks."""

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit.case import Case
from tools.kit.headers import CLASSICAL, HYBRID, Job, put
from tools.kit.statements import result_header
from tools.kit.writer import box, chance, data_key, expand, ivs, sha384, stream

SHARDS: Final = 3
SEGMENT: Final = 1 << 16
TO_ALL: Final = 0xFFFFFFFF
_SHARDED: Final = put(inputs=[pb.InputPart(name="records", schema="person/1", shards=SHARDS)])
_STAGES: Final = (("plan", 1), ("count", SHARDS), ("apply", SHARDS), ("merge", 1))
Change = Callable[[pb.JobPlan], object]
Result = Callable[[pb.ResultHeader], object]


def header(job: Job) -> bytes:
    """The header of a job whose records are in three shards."""
    return job.header(_SHARDED)


def result_changes(job: Job) -> Result:
    """The facts of its result header, which names the audience in place of a worker."""

    def of_parts(message: pb.ResultHeader) -> None:
        message.job_header_sha384 = sha384(header(job))
        message.worker_id = job.message().audience
        del message.outputs[:]
        message.outputs.add(name="result", schema="findings/1", shards=SHARDS)
        message.outputs.add(name="row_status", schema="row_status/1", shards=SHARDS)
        message.outputs.add(name="counts", schema="finding_counts/1")

    return of_parts


def result(job: Job, *changes: Result) -> bytes:
    """Its result header."""
    return result_header(job, result_changes(job), *changes).SerializeToString(deterministic=True)


def plan(job: Job, *changes: Change, purpose: bytes = b"", key: bytes = b"") -> bytes:
    """A plan with changes made to it, its result key sealed with all other bytes, as they are then."""
    made = pb.JobPlan(
        version=1,
        header_sha384=sha384(header(job)),
        stages=[pb.PlannedStage(name=name, tasks=tasks) for name, tasks in _STAGES],
        result_header=result(job),
    )
    for change in changes:
        change(made)
    facts = made.SerializeToString(deterministic=True)
    key = key or data_key(job.name, hybrid=job.hybrid).key
    purpose = purpose or b"plan\0" + sha384(facts)
    made.sealed_result_key = box(key, purpose, chance("result keys/key", 32), chance(f"{job.name}/plan", 12))
    return made.SerializeToString(deterministic=True)


def _set(name: str, value: object) -> Change:
    return lambda message: setattr(message, name, value)


def _stages(*stages: tuple[str, int]) -> Change:
    def change(message: pb.JobPlan) -> None:
        del message.stages[:]
        message.stages.extend(pb.PlannedStage(name=name, tasks=tasks) for name, tasks in stages)

    return change


def _result(*changes: Result) -> Change:
    return _set("result_header", result(CLASSICAL, *changes))


def _wrong() -> Iterator[tuple[str, str, Change]]:
    """Faults of a plan: a name, the rule, the change."""
    first, count, apply, merge = _STAGES
    yield "version 2", "version", _set("version", 2)
    yield "no version", "version", _set("version", 0)
    yield "a digest of 47 bytes", "header_sha384", _set("header_sha384", bytes(47))
    yield "the digest of another header", "header_sha384", _set("header_sha384", sha384(CLASSICAL.header()))
    yield "no stages", "stages", _stages()
    yield "257 stages", "stages", _stages(*((f"s{n}", 1) for n in range(257)))
    yield "a stage in upper case", "name of a stage", _stages(("Plan", 1), count, apply, merge)
    yield "a stage of 33 characters", "name of a stage", _stages(("p" * 33, 1), count, apply, merge)
    yield "a stage of no tasks", "tasks of a stage", _stages(first, ("count", 0), apply, merge)
    yield "a stage of 1025 tasks", "tasks of a stage", _stages(first, ("count", 1025), apply, merge)
    yield "a stage twice", "stages", _stages(first, count, count, apply, merge)
    yield "a stage less", "stages", _stages(first, count, apply)
    yield "a stage that the operation has not", "stages", _stages(*_STAGES, ("publish", 1))
    yield "stages in another order", "stages", _stages(first, apply, count, merge)
    yield "fewer tasks than shards", "stages", _stages(first, ("count", 2), apply, merge)
    yield "no result header", "result_header", _set("result_header", b"")
    yield "a result header of 32 769 bytes", "result_header", _set("result_header", bytes((1 << 15) + 1))
    yield "the result header of another job", "result_header", _result(_field("job_id", bytes(15) + b"\1"))
    yield "a result header of a worker", "result_header", _result(_field("worker_id", "worker-1"))
    yield "a result header without shards", "result_header", _result(lambda said: said.outputs[0].ClearField("shards"))
    yield "a result header without counts", "result_header", _result(lambda said: said.outputs.pop())
    yield "a result header for nobody", "result_header", _result(lambda said: said.ClearField("recipients"))


def _field(name: str, value: object) -> Result:
    return lambda message: setattr(message, name, value)


def plans() -> Iterator[Case]:
    """Plans, with the data key that opens their result key."""
    for job in (CLASSICAL, HYBRID):
        yield _valid(job)
        yield from _unopened(job)
    good, given = plan(CLASSICAL), _given(CLASSICAL)
    for name, rule, change in _wrong():
        yield _broken(name, rule, plan(CLASSICAL, change), given)
    sealed = pb.JobPlan.FromString(good).sealed_result_key
    for name, rule, data in (
        ("no bytes", "length", b""),
        ("a plan of 49 153 bytes", "length", good + b"\xf2\x3f\xff\xff\x02" + bytes(49_153 - len(good) - 5)),
        ("an unknown field", "canonical", good + b"\xc2\x0c\x00"),
        ("fields in another order", "canonical", good[2:] + good[:2]),
        ("a longer varint", "canonical", b"\x08\x81\x00" + good[2:]),
        ("a byte short", "not protobuf", good[:-1]),
        ("a sealed key a byte short", "sealed_result_key", good.replace(b"\x3c" + sealed, b"\x3b" + sealed[1:])),
        ("a sealed key a byte long", "sealed_result_key", good.replace(b"\x3c" + sealed, b"\x3d" + sealed + b"\0")),
        ("no sealed key", "sealed_result_key", good.replace(b"\x2a\x3c" + sealed, b"")),
    ):
        yield _broken(name, rule, data, given)


def _given(job: Job) -> dict[str, str]:
    return {"header": header(job).hex(), "data_key": data_key(job.name, hybrid=job.hybrid).key.hex()}


def _broken(name: str, rule: str, data: bytes, given: dict[str, str], base: str = "classical-1") -> Case:
    return Case.broken(name, rule, "BAD_PARAMETERS", made_from=base, plan=data.hex(), **given)


def _valid(job: Job) -> Case:
    data, dek, digest = plan(job), data_key(job.name, hybrid=job.hybrid).key, sha384(header(job))
    without = pb.JobPlan.FromString(data)
    without.ClearField("sealed_result_key")
    key = b"cji-shuffle-key/1\0" + digest
    expected = {
        "facts": without.SerializeToString(deterministic=True),
        "plan_sha384": sha384(data),
        "result_key": chance("result keys/key", 32),
        "shuffle_key": expand(dek, key + sha384(data), 32),
        "shuffle_key_before": expand(dek, key + bytes(48), 32),
    }
    return Case.valid(
        job.suite, expected={name: value.hex() for name, value in expected.items()}, plan=data.hex(), **_given(job)
    )


def _unopened(job: Job) -> Iterator[Case]:
    good, given = plan(job), _given(job)
    other = pb.JobPlan.FromString(good)
    other.sealed_result_key = other.sealed_result_key[:-1] + bytes([other.sealed_result_key[-1] ^ 1])
    for name, data in {
        "a box whose tag was changed": other.SerializeToString(deterministic=True),
        "a box for another purpose": plan(job, purpose=b"plan\0" + bytes(48)),
        "a box under another data key": plan(job, key=chance("plans/other", 32)),
        "the box of another job": plan(
            job, purpose=b"plan\0" + sha384(plan(HYBRID if job is CLASSICAL else CLASSICAL))
        ),
    }.items():
        yield _broken(f"{job.suite}, {name}", "sealed_result_key", data, given, base=job.suite)


# ---------------------------------------------------------------- streams between tasks


def shuffles() -> Iterator[Case]:
    """Streams between tasks: their key has the plan, their AAD the plan and the stream's name."""
    dek, head, digest = data_key(CLASSICAL.name, hybrid=False).key, sha384(header(CLASSICAL)), sha384(plan(CLASSICAL))
    name = {"edge": 2, "producer": 1, "consumer": TO_ALL}

    def made(plan_sha384: bytes, length: int = 4096, **changed: int) -> tuple[list[bytes], dict[str, str]]:
        key = expand(dek, b"cji-shuffle-key/1\0" + head + plan_sha384, 32)
        aad = b"cji-shuffle/1\0" + plan_sha384 + struct.pack(">III", *{**name, **changed}.values())
        each = SEGMENT - 32
        sizes = [each] * ((length - 74) // SEGMENT) + [(length - 74) % SEGMENT - 32]
        pieces = [bytes(range(200)) * (size // 200) + bytes(size % 200) for size in sizes]
        found = stream(key, aad, pieces, **ivs("shuffle", len(pieces)), segment=SEGMENT)
        plain = sha384(b"".join(pieces))
        return list(found.data), {"key": key.hex(), "aad": aad.hex(), "plaintext_sha384": plain.hex()} | found.steps

    def given(plan_sha384: bytes, data: list[bytes], **changed: int) -> dict[str, Any]:
        facts = {"data_key": dek.hex(), "header_sha384": head.hex(), "plan_sha384": plan_sha384.hex()}
        return {**facts, **name, **changed, "data": [part.hex() for part in data]}

    for title, under, length, changed in (
        ("4096 bytes, to all", digest, 4096, {}),
        ("to one task", digest, 4096, {"consumer": 2}),
        ("before the plan", bytes(48), 4096, {}),
        ("two segments", digest, 1 << 17, {}),
    ):
        data, steps = made(under, length, **changed)
        assert sum(map(len, data)) == length
        yield Case.valid(title, expected=steps, **given(under, data, **changed))
    good, _ = made(digest)
    for title, rule, data in (
        ("of another edge", "header tag", made(digest, edge=3)[0]),
        ("of another producer", "header tag", made(digest, producer=2)[0]),
        ("to another consumer", "header tag", made(digest, consumer=1)[0]),
        ("under another plan", "header tag", made(sha384(b"another plan"))[0]),
        ("before the plan, as one after it", "header tag", made(bytes(48))[0]),
        ("with segments of 1 MiB", "parameters", [good[0][:2] + struct.pack(">I", 1 << 20) + good[0][6:]]),
        ("with its tag changed", "segment", [good[0][:-1] + bytes([good[0][-1] ^ 1])]),
        ("cut off", "end", made(digest, 1 << 17)[0][:1]),
    ):
        yield Case.broken(title, rule, "SEGMENT_INVALID", made_from="4096 bytes, to all", **given(digest, data))

"""The protocol of the engine's socket, with the engine's own half of it at the other end."""

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import LIMITS, REASONS, Limit, Reason, Refusal, RetryLater, Stage
from cji_engine import messages as engine
from cji_worker.fleet.tasks import messages as fleet

JOB, DIGEST, PLAN = "0a" * 16, "0b" * 48, "0c" * 16
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
COUNTS = st.integers(0, 2**62)
DONE = st.builds(
    fleet.Done,
    attempt=st.just("0d" * 16),
    statement_sha256=st.just("0e" * 32),
    bytes_in=COUNTS,
    bytes_out=COUNTS,
    seconds=st.floats(0, 1e6),
    tasks=st.none() | st.dictionaries(NAMES, st.integers(1, 1024), max_size=20),
    plan=st.none() | st.just(PLAN),
    rows=st.none() | COUNTS,
    shards=st.none() | st.integers(1, 1024),
)
REFUSED = st.builds(
    fleet.Refused,
    reason=st.sampled_from(Reason),
    stage=st.sampled_from(Stage),
    retry_after_ms=st.integers(0, 3_600_000),
    everywhere=st.booleans(),
    limit=st.none() | st.sampled_from(Limit),
    value=st.none() | COUNTS,
    remedy=st.sampled_from(["", *(one.remedy for one in LIMITS.values())]),
)


@given(
    plan=st.sampled_from(["none", PLAN]),
    stage=NAMES,
    task=st.integers(0, 1023),
    again=st.booleans(),
)
def test_a_request_of_the_engine_is_read(plan: str, stage: str, task: int, again: bool) -> None:
    sent = engine.Request(job=JOB, header_sha384=DIGEST, plan=plan, stage=stage, task=task, again=again)
    read = fleet.read_request(io.BytesIO(engine.framed(sent)).read)
    assert msgspec.structs.asdict(read) == msgspec.structs.asdict(sent)


@given(answer=DONE | REFUSED, steps=st.lists(st.tuples(NAMES, st.integers(0, 100)), max_size=3))
def test_an_answer_is_read_by_the_engine(answer: fleet.Done | fleet.Refused, steps: list[tuple[str, int]]) -> None:
    seen: list[tuple[str, int]] = []
    stream = b"".join(fleet.progress_bytes(*step) for step in steps) + fleet.answer_bytes(answer)
    read = engine.read_answer(io.BytesIO(stream).read, progress=lambda step, per_cent: seen.append((step, per_cent)))
    assert seen == steps
    assert msgspec.json.decode(msgspec.json.encode(read)) == msgspec.json.decode(msgspec.json.encode(answer))


@given(cut=st.data())
def test_a_cut_stream_is_no_message(cut: st.DataObject) -> None:
    request = engine.framed(engine.Request(job=JOB, header_sha384=DIGEST, plan="none", stage="plan", task=0))
    with pytest.raises(fleet.RequestError):
        fleet.read_request(io.BytesIO(request[: cut.draw(st.integers(0, len(request) - 1))]).read)
    answer = fleet.progress_bytes("step", 1) + fleet.answer_bytes(
        fleet.Refused.of(Refusal(Reason.EXPIRED, stage=Stage.ADMIT))
    )
    with pytest.raises(engine.MessageError):
        engine.read_answer(io.BytesIO(answer[: cut.draw(st.integers(0, len(answer) - 1))]).read)


@pytest.mark.parametrize(
    "changed",
    [
        {"blob_url": "https://elsewhere.example"},
        {"job": JOB.upper()},
        {"job": JOB + "\n"},
        {"job": "../" + JOB[3:]},
        {"header_sha384": DIGEST[:-1]},
        {"plan": "some"},
        {"stage": "a/b"},
        {"stage": ""},
        {"task": -1},
        {"task": 1024},
        {"task": 1.0},
        {"task": "1"},
        {"v": 2},
        {"again": 1},
    ],
)
def test_anything_else_is_refused(changed: dict[str, object]) -> None:
    sound = {"v": 1, "job": JOB, "header_sha384": DIGEST, "plan": "none", "stage": "plan", "task": 0}

    def read(message: dict[str, object]) -> fleet.Request:
        data = msgspec.json.encode(message)
        return fleet.read_request(io.BytesIO(len(data).to_bytes(4, "big") + data).read)

    assert read(sound).stage == "plan"
    with pytest.raises(fleet.RequestError):
        read({**sound, **changed})


@pytest.mark.parametrize("length", [0, fleet.MAX_BYTES + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_a_read(length: int) -> None:
    stream = io.BytesIO(length.to_bytes(4, "big") + b" " * 8192)
    with pytest.raises(fleet.RequestError):
        fleet.read_request(stream.read)
    assert stream.tell() == fleet.LENGTH_BYTES


@pytest.mark.parametrize(
    "message",
    [
        b"{}",
        b'{"progress":["a",1],"refused":{"reason":"EXPIRED","stage":"admit","retry_after_ms":0}}',
        b'{"progress":["a",101]}',
        b'{"records":"..."}',
        b'{"refused":{"reason":"EXPIRED","stage":"admit","retry_after_ms":0,"text":"..."}}',
        b"[" * 4000,
    ],
)
def test_the_engine_takes_no_other_answer(message: bytes) -> None:
    with pytest.raises(engine.MessageError):
        engine.read_answer(io.BytesIO(len(message).to_bytes(4, "big") + message).read)


@pytest.mark.parametrize("reason", Reason)
def test_only_what_may_succeed_later_has_a_time(reason: Reason) -> None:
    answer = fleet.Refused.of(Refusal(reason, stage=Stage.ADMIT))
    assert (answer.retry_after_ms > 0) == REASONS[reason].retryable
    assert fleet.Refused.of(RetryLater(reason, stage=Stage.ADMIT, after_ms=77)).retry_after_ms == 77


def test_a_member_twice_is_refused_at_both_ends() -> None:
    """A decoder that keeps the last one would let two programs read two messages in the same bytes."""
    request = engine.framed(engine.Request(job=JOB, header_sha384=DIGEST, plan="none", stage="plan", task=0))[4:]
    twice = request[:-1] + b',"task":1}'
    with pytest.raises(fleet.RequestError):
        fleet.read_request(io.BytesIO(len(twice).to_bytes(4, "big") + twice).read)
    answer = fleet.answer_bytes(fleet.Refused.of(Refusal(Reason.EXPIRED, stage=Stage.ADMIT)))[4:]
    twice = answer[:-1] + b"," + answer[1:]
    with pytest.raises(engine.MessageError, match="one form"):
        engine.read_answer(io.BytesIO(len(twice).to_bytes(4, "big") + twice).read)


@pytest.mark.parametrize("limit", Limit)
def test_a_refusal_for_a_limit_names_it_with_value_and_remedy(limit: Limit) -> None:
    refused = fleet.Refused.of(Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE, limit=limit), cell_memory_mib=160)
    assert (refused.limit, refused.remedy) == (limit, LIMITS[limit].remedy)
    assert refused.value == (160 if limit is Limit.CELL_MEMORY else LIMITS[limit].value)
    assert refused.everywhere
    assert refused.retry_after_ms == 0


@pytest.mark.parametrize(
    ("reason", "stage", "everywhere"),
    [
        (Reason.BAD_PARAMETERS, Stage.COMPUTE, True),
        (Reason.LIMIT_EXCEEDED, Stage.COMPUTE, True),
        (Reason.LIMIT_EXCEEDED, Stage.ADMIT, False),
        (Reason.UNKNOWN_KEY, Stage.ADMIT, False),
        (Reason.CELL_FAILED, Stage.COMPUTE, False),
    ],
)
def test_only_a_job_that_is_the_reason_is_refused_everywhere(reason: Reason, stage: Stage, everywhere: bool) -> None:
    """A policy or a key may be another one on another node."""
    assert fleet.Refused.of(Refusal(reason, stage=stage)).everywhere is everywhere

"""Pitfalls X01, X10 and X11: callers that take what others need. Each is a program of its own beside a live worker."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cji_core.errors import Reason, Stage
from cji_core.trail import CallsRefused, Event, JobEnded, JobRefused
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import Answer, RawJob, RawStream, RawWorker, events, forge, sends, settled, until
from cji_simulator.site import people
from tests.support.neighbours import FIRST, SECOND, STRANGER, Neighbours, neighbours, san

YEAR = 365 * 86_400.0
STREAMS = 140
"""More than the worker has calls of one kind."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="descriptors and memory of other processes are root's to see")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    with neighbours(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    """A worker that waits three seconds for a caller and gives a job eight."""
    with neighbours(tmp_path_factory.mktemp("hurried"), max_job_seconds=8, idle_seconds=3) as found:
        yield found


def job_of(town: Neighbours, name: str = SECOND) -> RawJob:
    return forge(town.site, signing_key=town.signing[name])


def works_for(town: Neighbours, name: str) -> bool:
    """One job of two rows, asked for once."""
    job = job_of(town, name)
    with town.raw(name) as raw:
        return raw.run_once(job.messages(job.stream(people(2))), timeout=60).receipt is not None


def refused_calls(town: Neighbours) -> list[CallsRefused]:
    return [event for event in events(town.site) if isinstance(event, CallsRefused)]


def asked(raw: RawWorker, stub: Callable[[RawWorker], Callable[..., object]], request: object) -> str:
    with pytest.raises(grpc.RpcError) as error:
        stub(raw)(request, timeout=60)
    return (error.value.details() or "").partition(":")[0]


# ------------------------------------------------------------------ identity first


@pytest.mark.parametrize("act", ["silent", "unsent"])
def test_x01_silent_strangers_hold_nothing(town: Neighbours, act: str) -> None:
    settled(town.site)
    with town.hostile(act, STRANGER, STREAMS):
        assert works_for(town, FIRST)
        assert works_for(town, SECOND)


@pytest.mark.parametrize("act", ["silent", "unsent"])
def test_x01_a_silent_submitter_holds_its_own_share_only(town: Neighbours, act: str) -> None:
    settled(town.site)
    with town.hostile(act, FIRST, STREAMS), town.raw(SECOND) as raw:
        assert works_for(town, SECOND)
        assert raw.stub.Describe(pb.DescribeRequest(), timeout=60).operations
        time.sleep(6)  # what sends nothing for five seconds is over
        assert works_for(town, FIRST)


@pytest.mark.parametrize(("name", "reason"), [(STRANGER, Reason.POLICY_DENIED), (FIRST, Reason.INCOMPLETE)])
def test_x01_a_call_whose_request_never_comes_ends(town: Neighbours, name: str, reason: Reason) -> None:
    with town.raw(name) as raw:
        never = threading.Event()
        call = raw.channel.stream_stream("/cji.worker.v1.CjiWorker/Describe", None, None)(
            iter(lambda: never.wait() or b"", b"x"), timeout=YEAR
        )
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.details().startswith(reason)
        never.set()


def test_x01_a_stranger_may_ask_for_health_and_nothing_else(town: Neighbours) -> None:
    with town.raw(STRANGER) as raw:
        health = health_pb2_grpc.HealthStub(raw.channel)
        request = health_pb2.HealthCheckRequest(service="cji.worker.v1.CjiWorker")
        assert health.Check(request, timeout=60).status == health_pb2.HealthCheckResponse.SERVING
        for stub, message in (
            (lambda raw: raw.stub.Describe, pb.DescribeRequest()),
            (lambda raw: raw.stub.Attest, pb.AttestRequest(nonce=bytes(32))),
            (lambda raw: raw.stub.GetReceipt, pb.GetReceiptRequest(job_id=bytes(16))),
        ):
            assert asked(raw, stub, message) == Reason.POLICY_DENIED
        job = job_of(town)
        answer = raw.run(job.messages(job.stream(people(2))))
    assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.OPEN)


def test_x01_a_stranger_adds_one_line_in_a_period(town: Neighbours) -> None:
    before = len(events(town.site))
    with town.hostile("crowd", STRANGER, 8):
        time.sleep(12)
    new = until(lambda: _many_refused(town, before))  # a line has the calls of its period
    assert len(new) <= 3
    assert {(event.identity, event.submitter) for event in new} == {(san(STRANGER), None)}
    assert not [event for event in events(town.site)[before:] if isinstance(event, JobRefused)]


def _many_refused(town: Neighbours, first: int) -> list[CallsRefused]:
    """The lines about strangers, once they count more than a hundred calls."""
    found: list[Event] = events(town.site)[first:]
    lines = [e for e in found if isinstance(e, CallsRefused) and e.reason is Reason.POLICY_DENIED]
    return lines if sum(line.count for line in lines) > 100 else []


# ------------------------------------------------------------------ time inside a job


def begin(stream: RawStream, job: RawJob) -> None:
    assert stream.begin(job.open()).WhichOneof("message") == "accepted"


def end_of(town: Neighbours, job: RawJob) -> JobEnded:
    digest = hashlib.sha384(job.header).hexdigest()

    def found() -> JobEnded | None:
        return next((e for e in events(town.site) if isinstance(e, JobEnded) and e.header_sha384 == digest), None)

    return until(found)


def test_x01_a_job_that_sends_nothing_ends(hurried: Neighbours) -> None:
    job = job_of(hurried, FIRST)
    with hurried.raw(FIRST) as raw, raw.stream(timeout=YEAR) as stream:
        begin(stream, job)
        answer = stream.answer()
    assert (answer.reason, end_of(hurried, job).reason) == (Reason.INCOMPLETE, Reason.INCOMPLETE)


def test_x01_a_job_that_reads_nothing_ends(hurried: Neighbours) -> None:
    job = job_of(hurried, FIRST)
    with hurried.raw(FIRST) as raw, raw.stream(timeout=YEAR) as stream:
        begin(stream, job)
        stream.send(*sends(job.stream(people(300_000))), pb.RunRequest(finish=pb.Finish()))
        assert end_of(hurried, job).reason in (Reason.INCOMPLETE, Reason.DEADLINE)
        settled(hurried.site)
        assert works_for(hurried, SECOND)


def test_x01_the_worker_ends_a_job_before_its_deadline(hurried: Neighbours) -> None:
    job = job_of(hurried, FIRST)
    segments = job.stream(people(300_000))
    with hurried.raw(FIRST) as raw, raw.stream(timeout=YEAR) as stream:
        begin(stream, job)
        stop = threading.Event()

        def dribble() -> None:
            for message in sends(segments[:-1]):
                if stop.wait(0.6):
                    return
                stream.send(message)

        thread = threading.Thread(target=dribble)
        thread.start()
        answer = stream.answer()
        stop.set()
        thread.join()
    assert (answer.reason, answer.code) == (Reason.DEADLINE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert end_of(hurried, job).reason is Reason.DEADLINE


# ------------------------------------------------------------------ fair sharing


def test_x01_a_job_waits_for_a_cell(town: Neighbours) -> None:
    settled(town.site)
    with town.raw(FIRST) as raw, raw.stream() as one, raw.stream() as two, ThreadPoolExecutor(1) as pool:
        held = [job_of(town, FIRST) for _ in range(2)]
        for stream, job in zip((one, two), held, strict=True):
            begin(stream, job)
        waiting = pool.submit(works_for, town, SECOND)
        time.sleep(1)
        assert not waiting.done()
        one.call.cancel()
        assert waiting.result()


def test_x01_two_submitters_get_equal_shares(town: Neighbours) -> None:
    """Twelve streams of one beside two of the other; each holds its cell for a while."""
    settled(town.site)
    done, stop = {FIRST: 0, SECOND: 0}, threading.Event()

    def submit(name: str) -> None:
        with town.raw(name) as raw:
            while not stop.is_set():
                job = job_of(town, name)
                with raw.stream() as stream:
                    begin(stream, job)
                    time.sleep(0.2)
                    stream.send(*job.messages(job.stream(people(2)))[1:])
                    stream.half_close()
                    done[name] += stream.answer().receipt is not None and not stop.is_set()

    names = [FIRST] * 12 + [SECOND] * 2
    with ThreadPoolExecutor(len(names)) as pool:
        for name in names:
            pool.submit(submit, name)
        until(lambda: sum(done.values()) >= 120, seconds=90)
        stop.set()
    assert 0.8 < done[FIRST] / done[SECOND] < 1.25, done


# ------------------------------------------------------------------ evidence


def test_x10_a_flood_of_attest_shuts_nobody_out(town: Neighbours) -> None:
    with town.hostile("attest", FIRST, 24), town.raw(SECOND) as raw:
        for number in range(20):
            nonce = number.to_bytes(32, "big")
            assert raw.stub.Attest(pb.AttestRequest(nonce=nonce), timeout=60).evidence


# ------------------------------------------------------------------ connections and memory


def descriptors(town: Neighbours) -> int:
    """Of the door, where connections end."""
    return len(os.listdir(f"/proc/{town.site.worker.door.pid}/fd"))


@needs_root
@pytest.mark.root
def test_x11_silent_connections_leave_while_they_are_held(town: Neighbours) -> None:
    """Three thousand from one address; another address connects meanwhile."""
    before = descriptors(town)
    with town.hostile("connect", STRANGER, 3000):
        until(lambda: descriptors(town) <= before + 100)
        assert works_for(town, SECOND)
        until(lambda: descriptors(town) <= before + 10)


@needs_root
@pytest.mark.root
def test_x11_memory_returns_after_load(town: Neighbours) -> None:
    """Sixteen streams at once, each of more segments than the ring has slots."""
    front = town.site.worker.pids["front"]
    time.sleep(8)
    idle, table = resident(front), people(120_000)

    def load(name: str) -> None:
        job = job_of(town, name)
        segments = job.stream(table)
        with town.raw(name) as raw:
            raw.run(job.messages(segments), timeout=60)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(load, [FIRST, SECOND] * 16))
    until(lambda: resident(front) <= 1.3 * idle)


def resident(pid: int) -> int:
    """Kilobytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


# ------------------------------------------------------------------ keys that do not open


def test_failed_unwraps_are_limited_and_alike(town: Neighbours) -> None:
    """Noise, another length, a number above the modulus, a project key: one code, one text; the eleventh waits."""
    wrapped = [os.urandom(383), os.urandom(385), b"\xff" * 384, bytes(384), b"\0" + os.urandom(383)] * 2

    def tried(data: bytes) -> Answer:
        settled(town.site)
        job = forge(town.site, signing_key=town.signing[FIRST], wrapped_dek=data)
        with town.raw(FIRST) as raw:
            return raw.run_once(job.messages(job.stream(people(2))))

    told = {(answer.code, answer.details, answer.reason, answer.stage) for answer in map(tried, wrapped)}
    assert {(reason, stage) for _, _, reason, stage in told} == {(Reason.DEK_UNWRAP_FAILED, Stage.ADMIT)}
    assert len(told) == 1
    # every ten seconds one more is allowed, and a busy machine needs some for one
    answer = next(found for found in map(tried, wrapped) if found.reason is not Reason.DEK_UNWRAP_FAILED)
    assert answer.reason is Reason.OVERLOADED
    assert answer.refusal is not None
    assert 0 < (answer.refusal.retry_after or 0) <= 10
    assert works_for(town, SECOND)

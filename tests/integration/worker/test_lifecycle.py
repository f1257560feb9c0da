"""What callers do besides sending records: come twice, leave, dawdle, crowd. Nothing is lost and the worker serves."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from cji_core.errors import Reason, Stage
from cji_core.trail import JobAdmitted, JobCompleted, JobEnded, JobRefused
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawJob, RawStream, RawWorker, cells, events, forge, sends, settled, until
from cji_simulator.site import Site, people

FINISH = pb.RunRequest(finish=pb.Finish())


@pytest.fixture
def raw(site: Site) -> Iterator[RawWorker]:
    settled(site)
    with RawWorker.of(site) as worker:
        yield worker


def trail(site: Site, job: RawJob) -> list[Any]:
    """The events of one job."""
    digest = hashlib.sha384(job.header).hexdigest()
    return [e for e in events(site) if getattr(e, "header_sha384", None) == digest]


def ended(site: Site, job: RawJob) -> JobEnded:
    """The end of its only attempt."""
    admitted, end = until(lambda: found if len(found := trail(site, job)) == 2 else None)
    assert isinstance(admitted, JobAdmitted)
    assert isinstance(end, JobEnded)
    return end


def begin(stream: RawStream, job: RawJob) -> None:
    """Open a job; returns once a cell has it."""
    assert stream.begin(job.open()).WhichOneof("message") == "accepted"


def run(raw: RawWorker, job: RawJob) -> Any:
    """A job of two rows."""
    return raw.run(job.messages(job.stream(people(2))), timeout=60)


def test_a_finished_job_exists_and_its_receipt_can_be_fetched(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    first = run(raw, job)
    again = run(raw, job)
    assert (again.reason, again.stage) == (Reason.ALREADY_EXISTS, Stage.ADMIT)
    assert not again.accepted
    header = pb.JobHeader.FromString(job.header)
    assert raw.stub.GetReceipt(pb.GetReceiptRequest(job_id=header.job_id), timeout=60).receipt == first.receipt


def test_release_is_told_in_three_words(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    request = pb.GetReceiptRequest(job_id=pb.JobHeader.FromString(job.header).job_id)

    def release() -> int:
        return int(raw.stub.GetReceipt(request, timeout=60).release)

    assert release() == pb.NOT_RELEASED
    with raw.stream() as stream:
        begin(stream, job)
        assert release() == pb.UNKNOWN  # it may end with a receipt at any moment
    ended(site, job)
    assert release() == pb.NOT_RELEASED
    assert run(raw, job).receipt
    assert release() == pb.RELEASED


def test_another_header_under_a_used_job_id_is_a_replay(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    job_id = pb.JobHeader.FromString(job.header).job_id
    twin = forge(site, job_id=job_id)
    with raw.stream() as stream:
        begin(stream, job)
        while_running = run(raw, twin)
        stream.half_close()
        stream.answer()
    after_its_end = run(raw, twin)
    assert run(raw, job).receipt
    after_its_receipt = run(raw, twin)
    for answer in (while_running, after_its_end, after_its_receipt):
        assert (answer.reason, answer.stage, answer.accepted) == (Reason.REPLAYED, Stage.ADMIT, False)
    assert [type(e) for e in trail(site, twin)] == [JobRefused] * 3


def test_an_attempt_without_a_receipt_may_be_made_again(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    assert raw.run([job.open()]).reason is Reason.INCOMPLETE
    assert run(raw, job).receipt
    kinds = [type(e) for e in trail(site, job) if not isinstance(e, JobRefused)]
    assert kinds == [JobAdmitted, JobEnded, JobAdmitted, JobCompleted]


def test_a_job_does_not_run_twice_at_once(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    with raw.stream() as stream:
        begin(stream, job)
        assert run(raw, job).reason is Reason.ALREADY_EXISTS
        stream.send(*job.messages(job.stream(people(2)))[1:])
        stream.half_close()
        assert stream.answer().receipt


def test_no_rows_are_a_job(site: Site, raw: RawWorker) -> None:
    job = forge(site, rows=0)
    answer = raw.run(job.messages(job.stream(people(0))))
    assert answer.receipt
    assert [m.WhichOneof("message") for m in answer.messages] == ["accepted", "segment", "segment", "done"]


def cancelled(stream: RawStream, raw: RawWorker) -> None:
    stream.call.cancel()


def disconnected(stream: RawStream, raw: RawWorker) -> None:
    raw.channel.close()


@pytest.mark.parametrize("leave", [cancelled, disconnected])
@pytest.mark.parametrize("when", ["after open", "in the middle of the upload", "in the middle of the download"])
def test_a_client_that_vanishes_costs_its_job_only(
    site: Site, when: str, leave: Callable[[RawStream, RawWorker], None]
) -> None:
    warm = settled(site)
    with RawWorker.of(site) as raw, raw.stream() as stream:
        job = forge(site)
        begin(stream, job)
        if when != "after open":
            segments = job.stream(people(150_000))
            stream.send(*sends(segments if when.endswith("download") else segments[:2]))
        if when.endswith("download"):
            while stream.receive().WhichOneof("message") != "segment":
                pass
        leave(stream, raw)
        end = ended(site, job)
    assert (end.reason, end.stage) == (Reason.INCOMPLETE, Stage.UNSEAL)
    assert len(until(lambda: warm - cells(site))) == 1
    with RawWorker.of(site) as raw:
        assert run(raw, forge(site)).receipt


def test_a_deadline_is_required(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    answer = raw.run(job.messages(job.stream(people(2))), timeout=None)
    assert (answer.reason, answer.stage) == (Reason.DEADLINE, Stage.OPEN)
    assert not trail(site, job)


def test_a_deadline_that_passes_ends_the_job(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    with raw.stream(timeout=4) as stream:
        begin(stream, job)
        answer = stream.answer()  # nothing more is sent
    assert (answer.code, answer.receipt) == (grpc.StatusCode.DEADLINE_EXCEEDED, None)
    assert ended(site, job).reason is Reason.DEADLINE
    assert run(raw, forge(site)).receipt


def test_a_reader_that_does_not_read_is_ended_by_its_deadline(site: Site, raw: RawWorker) -> None:
    job = forge(site)
    with raw.stream(timeout=6) as stream:
        begin(stream, job)
        stream.send(*sends(job.stream(people(300_000))), FINISH)
        end = ended(site, job)  # while nothing is read
    assert end.reason in (Reason.DEADLINE, Reason.INCOMPLETE)


def test_busy_cells_refuse_with_a_time_to_come_back(site: Site, raw: RawWorker) -> None:
    with raw.stream() as first, raw.stream() as second:
        for stream in (first, second):
            begin(stream, forge(site))
        job = forge(site)
        answer = raw.run_once(job.messages(job.stream(people(2))))
        assert (answer.reason, answer.stage) == (Reason.OVERLOADED, Stage.ADMIT)
        assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert answer.refusal is not None
        assert 0.2 <= (answer.refusal.retry_after or 0) <= 30
        assert [type(e) for e in trail(site, job)] == [JobRefused]
    assert run(raw, job).receipt  # the refusal did not use the job up


@pytest.mark.parametrize(
    ("job_id", "reason"),
    [(b"", Reason.BAD_PARAMETERS), (bytes(300_000), Reason.BAD_PARAMETERS)],
)
def test_no_receipt_of_what_is_no_job_id(raw: RawWorker, job_id: bytes, reason: Reason) -> None:
    with pytest.raises(grpc.RpcError) as error:
        raw.stub.GetReceipt(pb.GetReceiptRequest(job_id=job_id), timeout=60)
    assert (error.value.details() or "").startswith(reason.value)


@pytest.mark.parametrize(
    "nonce", [b"", bytes(15), bytes(16), bytes(31), bytes(33), bytes(64), bytes(65), bytes(300_000)]
)
def test_a_nonce_of_another_length_is_refused(raw: RawWorker, nonce: bytes) -> None:
    with pytest.raises(grpc.RpcError) as error:
        raw.stub.Attest(pb.AttestRequest(nonce=nonce), timeout=60)
    assert (error.value.details() or "").startswith(Reason.BAD_PARAMETERS.value)


def test_a_crowd_gets_answers_and_leaves_a_worker_that_serves(site: Site, raw: RawWorker) -> None:
    """Every one of many calls at once is told a Reason or served; see MAX_PENDING_CALLS of the front."""
    header = pb.JobHeader(inputs=[pb.InputPart(name="x")]).SerializeToString()
    request = pb.RunRequest(open=pb.Open(header=header, signature=bytes(96)))
    calls = [raw.stub.Run(iter([request]), timeout=30) for _ in range(400)]
    told = set()
    for call in calls:
        with pytest.raises(grpc.RpcError):
            list(call)
        told.add((call.details() or "").split(":")[0])
    unread = {one for one in told if "error code 7" in one}  # REFUSED_STREAM: nothing of it was read (RFC 9113, 8.7)
    assert told - unread <= {Reason.MALFORMED_HEADER.value, Reason.OVERLOADED.value}
    assert run(raw, forge(site)).receipt

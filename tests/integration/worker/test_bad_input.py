"""Bad input against a live worker: what is sent, the Reason it gets, and where.

Two tables to read as a specification. Behind each row the same is checked: at the door nothing was admitted, so no key
was opened, and the warm cells are the same as before; in the cell the attempt has its end in the audit trail, there is
no receipt, and the cell is gone. The worker serves afterwards.
"""

# ruff: noqa: E501 - a row of a table is one line

import datetime
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import grpc
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf.timestamp_pb2 import Timestamp

from cji_core.errors import REASONS, Reason, Stage
from cji_core.format.envelope import wrap_dek, wrap_project_key
from cji_core.format.records import END_OF_STREAM, StreamWriter, tagged
from cji_core.jose import key_id, public_jwk
from cji_core.trail import (
    CallsRefused,
    Event,
    JobAdmitted,
    JobCompleted,
    JobEnded,
    JobRefused,
    TrailAnchored,
    TrailCheckpoint,
)
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import Answer, RawJob, RawWorker, cells, events, forge, sends, settled, until
from cji_simulator.site import Site, people
from cji_worker.front.status import CODES

Messages = list[pb.RunRequest]
Build = Callable[[Site], Messages]
FINISH = pb.RunRequest(finish=pb.Finish())
SEGMENT = 1 << 20
DEK = bytes(range(1, 33))


@cache
def many() -> pa.Table:
    """Four segments' worth of rows."""
    return people(60_000)


@pytest.fixture(scope="module")
def raw(site: Site) -> Iterator[RawWorker]:
    with RawWorker.of(site) as worker:
        yield worker


def check_refusal(answer: Answer, reason: Reason, stage: Stage) -> None:
    assert (answer.reason, answer.stage, answer.code) == (reason, stage, CODES[reason])
    assert answer.details == f"{reason.value}: {REASONS[reason].remedy}"
    assert answer.receipt is None
    assert answer.refusal is not None
    assert answer.refusal.retryable is REASONS[reason].retryable
    assert len(answer.refusal.correlation_id) == 16


def serves(site: Site, raw: RawWorker) -> None:
    """A sound job is done, and its cell is gone too."""
    job, warm = forge(site), settled(site)
    assert raw.run(job.messages(job.stream(people(2)))).receipt
    until(lambda: warm - cells(site))


# ------------------------------------------------------------------ builders


def headed(change: Callable[[pb.JobHeader], object] = lambda _: None, **options: Any) -> Build:
    """A job whose header is changed, then signed; `options` are those of `forge`."""

    def build(site: Site) -> Messages:
        job = forge(site, change, **options)
        return job.messages(job.stream(people(2)))

    return build


def bytes_of_header(alter: Callable[[bytes], bytes]) -> Build:
    """Header bytes that no protobuf library writes, under a signature of other bytes: form comes before signature."""

    def build(site: Site) -> Messages:
        job = forge(site)
        return [pb.RunRequest(open=pb.Open(header=alter(job.header), signature=job.signature)), FINISH]

    return build


def signed_as(signature: Callable[[Site, RawJob], bytes]) -> Build:
    def build(site: Site) -> Messages:
        job = forge(site)
        return [pb.RunRequest(open=pb.Open(header=job.header, signature=signature(site, job))), FINISH]

    return build


def streamed(alter: Callable[[list[bytes], Site], list[bytes]]) -> Build:
    """A sound job whose sealed segments are altered; indexes are counted afterwards."""

    def build(site: Site) -> Messages:
        job = forge(site)
        return job.messages(alter(job.stream(many()), site))

    return build


def sent(alter: Callable[[Messages], Messages]) -> Build:
    """A sound job of four segments whose messages are altered."""

    def build(site: Site) -> Messages:
        job = forge(site)
        return alter(job.messages(job.stream(many())))

    return build


def holding(table: pa.Table, *, schema: str = "person/1", declared: str = "person/1", rows: int | None = None) -> Build:
    """Records that are sealed well and are not what the header says."""

    def build(site: Site) -> Messages:
        job = forge(site, lambda h: h.inputs[0].MergeFrom(pb.InputPart(schema=declared)), rows=rows)
        writer = StreamWriter(tagged(schema, list(table.schema)), max_batch_bytes=1 << 24)
        batches = table.cast(tagged(schema, list(table.schema))).to_batches()
        return job.messages(job.plain([writer.schema_message(), *(b.serialize() for b in batches), END_OF_STREAM]))

    return build


def plain(make: Callable[[], bytes]) -> Build:
    """Any plaintext, sealed well."""

    def build(site: Site) -> Messages:
        job = forge(site)
        return job.messages(job.plain([make()]))

    return build


def times(created: float, not_after: float) -> Callable[[pb.JobHeader], None]:
    """Hours from now."""

    def change(header: pb.JobHeader) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for field, hours in (("created", created), ("not_after", not_after)):
            stamp = Timestamp()
            stamp.FromDatetime(now + datetime.timedelta(hours=hours))
            getattr(header, field).CopyFrom(stamp)

    return change


def operation(**parameters: Any) -> Callable[[pb.JobHeader], None]:
    return lambda h: h.operations[0].deidentify.MergeFrom(pb.Deidentify(**parameters))


def rule(index: int, **transform: Any) -> Callable[[pb.JobHeader], None]:
    def change(header: pb.JobHeader) -> None:
        found = header.operations[0].deidentify.columns[index]
        found.CopyFrom(pb.ColumnRule(column=found.column, **transform))

    return change


def arrow(*, compression: str | None = None, metadata: bool = True) -> bytes:
    table = people(50)
    if metadata:
        table = table.cast(tagged("person/1", list(table.schema)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def too_many_rows() -> bytes:
    names = pa.array(["x"] * 65_537)
    batch = pa.record_batch([names, names, names], schema=tagged("person/1", list(people(1).schema)))
    return b"".join(map(bytes, (batch.schema.serialize(), batch.serialize(), END_OF_STREAM)))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other(site: Site) -> list[bytes]:
    """The segments of another job of the same submitter."""
    return forge(site).stream(many())


def foreign_recipient(header: pb.JobHeader) -> None:
    public = rsa.generate_private_key(65537, 3072).public_key()
    header.recipients[0].CopyFrom(pb.Recipient(key_id=key_id(public), jwk=public_jwk(public)))


def another_project_key(header: pb.JobHeader) -> None:
    wrapped = wrap_project_key(DEK, "another", bytes(range(32)))
    header.operations[0].deidentify.wrapped_project_key = wrapped


# ------------------------------------------------------------------ the door

R, S = Reason, Stage

BEFORE_A_JOB: list[tuple[str, Build, Reason]] = [
    ("nothing", lambda _: [], R.MALFORMED_HEADER),
    ("finish first", lambda _: [FINISH], R.MALFORMED_HEADER),
    ("a segment first", lambda _: sends([bytes(200)]), R.MALFORMED_HEADER),
    ("an empty message first", lambda _: [pb.RunRequest()], R.MALFORMED_HEADER),
]

AT_THE_DOOR: list[tuple[str, Build, Reason, Stage]] = [
    # form
    ("empty header", bytes_of_header(lambda _: b""), R.MALFORMED_HEADER, S.OPEN),
    ("header is not protobuf", bytes_of_header(lambda _: b"\xff" * 100), R.MALFORMED_HEADER, S.OPEN),
    ("header cut", bytes_of_header(lambda h: h[:-1]), R.MALFORMED_HEADER, S.OPEN),
    ("header of 17 KiB", bytes_of_header(lambda h: h + bytes((17 << 10) - len(h))), R.MALFORMED_HEADER, S.OPEN),
    ("header of 33 KiB, one long text", headed(audience="r" * 33_000), R.MALFORMED_HEADER, S.OPEN),
    ("header of 900 KiB", headed(audience="r" * 900_000), R.MALFORMED_HEADER, S.OPEN),
    ("unknown field", bytes_of_header(lambda h: h + b"\xa0\x06\x01"), R.MALFORMED_HEADER, S.OPEN),
    ("field twice", bytes_of_header(lambda h: h + b"\x08\x01"), R.MALFORMED_HEADER, S.OPEN),
    ("version 2", headed(version=2), R.MALFORMED_HEADER, S.OPEN),
    ("no job id", headed(job_id=b""), R.MALFORMED_HEADER, S.OPEN),
    ("no input", headed(lambda h: h.ClearField("inputs")), R.MALFORMED_HEADER, S.OPEN),
    ("17 inputs", headed(lambda h: h.inputs.extend([h.inputs[0]] * 16)), R.MALFORMED_HEADER, S.OPEN),
    ("no recipient", headed(lambda h: h.ClearField("recipients")), R.MALFORMED_HEADER, S.OPEN),
    ("no size class", headed(lambda h: h.ClearField("size_class")), R.MALFORMED_HEADER, S.OPEN),
    ("no operation", headed(lambda h: h.ClearField("operations")), R.MALFORMED_HEADER, S.OPEN),
    ("unknown operation", headed(lambda h: h.operations[0].Clear()), R.MALFORMED_HEADER, S.OPEN),
    # for whom, when, by whom
    ("wrong audience", headed(lambda h: setattr(h, "audience", "another-pool")), R.AUDIENCE_MISMATCH, S.ADMIT),
    ("expired", headed(times(-3, -1)), R.EXPIRED, S.ADMIT),
    ("valid in half an hour", headed(times(0.5, 3)), R.NOT_READY, S.ADMIT),
    ("valid in two hours", headed(times(2, 3)), R.EXPIRED, S.ADMIT),
    ("valid for 25 hours", headed(times(0, 25)), R.EXPIRED, S.ADMIT),
    ("ends before it begins", headed(times(0, -1)), R.EXPIRED, S.ADMIT),
    (
        "signed with another key",
        headed(lambda _: None, signing_key=ec.generate_private_key(ec.SECP384R1())),
        R.HEADER_SIGNATURE_INVALID,
        S.ADMIT,
    ),
    ("no signature", signed_as(lambda _s, _j: b""), R.HEADER_SIGNATURE_INVALID, S.ADMIT),
    ("signature of another job", signed_as(lambda s, _: forge(s).signature), R.HEADER_SIGNATURE_INVALID, S.ADMIT),
    ("signature altered", signed_as(lambda _, j: flipped(j.signature, 95)), R.HEADER_SIGNATURE_INVALID, S.ADMIT),
    ("signature of 900 KiB", signed_as(lambda _s, _j: bytes(900_000)), R.HEADER_SIGNATURE_INVALID, S.ADMIT),
    # what policy does not allow
    ("purpose not granted", headed(purpose_code="F"), R.POLICY_DENIED, S.ADMIT),
    ("purpose unknown", headed(purpose_code="Q"), R.POLICY_DENIED, S.ADMIT),
    ("another requesting agency", headed(requesting_ori="GA0610000"), R.POLICY_DENIED, S.ADMIT),
    ("another originating agency", headed(originating_ori="AL0610000"), R.POLICY_DENIED, S.ADMIT),
    ("recipient not granted", headed(foreign_recipient), R.POLICY_DENIED, S.ADMIT),
    # parameters that no input could make right
    ("no column rules", headed(lambda h: h.operations[0].deidentify.ClearField("columns")), R.BAD_PARAMETERS, S.ADMIT),
    ("rule without transform", headed(rule(0)), R.BAD_PARAMETERS, S.ADMIT),
    ("token of 64 bits", headed(rule(2, hmac_token=pb.HmacToken(domain="d", bits=64))), R.BAD_PARAMETERS, S.ADMIT),
    ("mask that hides nothing", headed(rule(0, mask=pb.Mask(keep_first=99))), R.BAD_PARAMETERS, S.ADMIT),
    ("column ruled twice", headed(operation(columns=[pb.ColumnRule(column="last", keep=pb.Keep())])), R.BAD_PARAMETERS, S.ADMIT),
    ("two inputs", headed(lambda h: h.inputs.append(pb.InputPart(name="more", schema="person/1"))), R.BAD_PARAMETERS, S.ADMIT),
    ("a schema nobody knows", headed(lambda h: setattr(h.inputs[0], "schema", "x/1")), R.SCHEMA_MISMATCH, S.ADMIT),
    # keys that the worker does not hold
    ("another key version", headed(lambda h: setattr(h, "kek_id", h.kek_id[:-32] + "0" * 32)), R.UNKNOWN_KEY, S.ADMIT),
    ("another key", headed(lambda h: setattr(h, "kek_id", h.kek_id.replace("/keys/", "/keys/x"))), R.UNKNOWN_KEY, S.ADMIT),
]  # fmt: skip


def _with_own_lines(site: Site) -> list[Event]:
    """The trail without what comes at a time of its own: counts of refused calls, anchors."""
    return [event for event in events(site) if not isinstance(event, CallsRefused | TrailAnchored | TrailCheckpoint)]


@pytest.mark.parametrize(("build", "reason"), [row[1:] for row in BEFORE_A_JOB], ids=[row[0] for row in BEFORE_A_JOB])
def test_before_a_job_is_named(site: Site, raw: RawWorker, build: Build, reason: Reason) -> None:
    before, warm = _with_own_lines(site), settled(site)
    check_refusal(raw.run_once(build(site)), reason, Stage.OPEN)
    assert _with_own_lines(site) == before
    assert settled(site) == warm


@pytest.mark.parametrize(
    ("build", "reason", "stage"), [row[1:] for row in AT_THE_DOOR], ids=[row[0] for row in AT_THE_DOOR]
)
def test_at_the_door(site: Site, raw: RawWorker, build: Build, reason: Reason, stage: Stage) -> None:
    before, warm = len(_with_own_lines(site)), settled(site)
    check_refusal(raw.run(build(site)), reason, stage)
    *others, event = [e for e in _with_own_lines(site)[before:] if getattr(e, "reason", None) is not Reason.OVERLOADED]
    assert not others  # above all no JobAdmitted, which comes before any key is opened
    assert isinstance(event, JobRefused)
    assert (event.reason, event.stage) == (reason, stage)
    assert event.submitter == "fulton-pd"
    assert settled(site) == warm


# ------------------------------------------------------------------ the cell

IN_THE_CELL: list[tuple[str, Build, Reason, Stage]] = [
    # data key and project key
    ("data key of noise", headed(wrapped_dek=bytes(384)), R.DEK_UNWRAP_FAILED, S.ADMIT),
    ("data key too short", headed(wrapped_dek=bytes(256)), R.DEK_UNWRAP_FAILED, S.ADMIT),
    (
        "data key to another RSA key",
        headed(lambda h: setattr(h, "wrapped_dek", wrap_dek(rsa.generate_private_key(65537, 3072).public_key(), bytes(32)))),
        R.DEK_UNWRAP_FAILED,
        S.ADMIT,
    ),
    (
        "project key of another project",
        headed(another_project_key, dek=DEK),
        R.DEK_UNWRAP_FAILED,
        S.ADMIT,
    ),
    # the stream
    ("bit flipped in the stream's header", streamed(lambda d, _: [flipped(d[0], 5), *d[1:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("bit flipped in the commitment", streamed(lambda d, _: [flipped(d[0], 73), *d[1:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("bit flipped in the first segment", streamed(lambda d, _: [flipped(d[0], 500), *d[1:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("bit flipped in the last byte", streamed(lambda d, _: [*d[:-1], flipped(d[-1], len(d[-1]) - 1)]), R.SEGMENT_INVALID, S.UNSEAL),
    ("two segments swapped", streamed(lambda d, _: [d[0], d[2], d[1], *d[3:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment twice", streamed(lambda d, _: [d[0], d[1], d[1], *d[2:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment missing", streamed(lambda d, _: [d[0], *d[2:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("last segment missing", streamed(lambda d, _: d[:-1]), R.INCOMPLETE, S.UNSEAL),
    ("last segment cut", streamed(lambda d, _: [*d[:-1], d[-1][:-1]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("last segment longer", streamed(lambda d, _: [*d[:-1], d[-1] + b"\0"]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment before the last cut", streamed(lambda d, _: [d[0], d[1][:-1], *d[2:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment of another job", streamed(lambda d, s: [d[0], other(s)[1], *d[2:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("the stream of another job", streamed(lambda _, s: other(s)), R.SEGMENT_INVALID, S.UNSEAL),
    ("a stream's header alone", streamed(lambda d, _: [d[0][:74]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment of no bytes", streamed(lambda d, _: [d[0], b"", *d[1:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment of 1 MiB and a byte", streamed(lambda d, _: [d[0], bytes(SEGMENT + 1)]), R.LIMIT_EXCEEDED, S.UNSEAL),
    # the protocol
    ("half-close without finish", sent(lambda m: m[:-1]), R.INCOMPLETE, S.UNSEAL),
    ("half-close after open", sent(lambda m: m[:1]), R.INCOMPLETE, S.UNSEAL),
    ("finish without a segment", sent(lambda m: [m[0], m[-1]]), R.INCOMPLETE, S.UNSEAL),
    ("a second open", sent(lambda m: [*m[:2], m[0], *m[2:]]), R.MALFORMED_HEADER, S.OPEN),
    ("an empty message", sent(lambda m: [*m[:2], pb.RunRequest(), *m[2:]]), R.SEGMENT_INVALID, S.UNSEAL),
    ("indexes that skip", sent(lambda m: [m[0], *sends([m[1].segment.data], first=1)]), R.SEGMENT_INVALID, S.UNSEAL),
    ("an index of 2^63", sent(lambda m: [*m[:2], *sends([m[2].segment.data], first=1 << 63)]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a part that is not there", sent(lambda m: [m[0], *sends([m[1].segment.data], part=1)]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a second part", sent(lambda m: [*m[:-1], *sends([m[1].segment.data], part=1)]), R.SEGMENT_INVALID, S.UNSEAL),
    ("a segment behind the last", sent(lambda m: [*m[:-1], *sends([bytes(64)], first=len(m) - 2), FINISH]), R.SEGMENT_INVALID, S.UNSEAL),
    # the records
    ("not Arrow", plain(lambda: b"last,first,SOC\n" * 99), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("no plaintext at all", plain(lambda: b""), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("Arrow without its end", plain(lambda: arrow()[:-8]), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("bytes behind Arrow's end", plain(lambda: arrow() + b"x" * 8), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("compressed Arrow", plain(lambda: arrow(compression="zstd")), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("schema not declared in the stream", plain(lambda: arrow(metadata=False)), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("another schema in the stream", holding(people(2), schema="hotfile/1"), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("another schema in the header", holding(people(2), declared="hotfile/1"), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("a column of another type", holding(people(2).set_column(2, "SOC", pa.array([1, 2]))), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("a column nobody knows", holding(people(2).append_column("shoe_size", pa.array(["9", "9"]))), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("a column without rule", holding(people(2).append_column("middle", pa.array(["a", "b"]))), R.BAD_PARAMETERS, S.COMPUTE),
    ("a rule without column", holding(people(2).drop_columns(["first"])), R.BAD_PARAMETERS, S.COMPUTE),
    ("fewer rows than declared", holding(people(2), rows=3), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("more rows than declared", holding(people(2), rows=1), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("no rows where some are declared", holding(people(0), rows=1), R.SCHEMA_MISMATCH, S.COMPUTE),
    ("a batch of 65 537 rows", plain(too_many_rows), R.LIMIT_EXCEEDED, S.COMPUTE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "reason", "stage"), [row[1:] for row in IN_THE_CELL], ids=[row[0] for row in IN_THE_CELL]
)
def test_in_the_cell(site: Site, raw: RawWorker, build: Build, reason: Reason, stage: Stage) -> None:
    before, warm = len(events(site)), settled(site)
    check_refusal(raw.run(build(site)), reason, stage)
    admitted, ended = until(lambda: new if len(new := jobs(site, before)) == 2 else None)
    assert isinstance(admitted, JobAdmitted)
    assert isinstance(ended, JobEnded)
    assert (ended.job_id, ended.reason, ended.stage) == (admitted.job_id, reason, stage)
    assert len(until(lambda: warm - cells(site))) == 1


def jobs(site: Site, since: int) -> list[Any]:
    return [e for e in events(site)[since:] if isinstance(e, JobAdmitted | JobEnded | JobCompleted)]


def test_the_worker_still_serves_and_leaves_no_attempt_open(site: Site, raw: RawWorker) -> None:
    serves(site, raw)
    state: dict[str, int] = {}
    for event in events(site):
        match event:
            case JobAdmitted():
                state[event.job_id] = state.get(event.job_id, 0) + 1
            case JobEnded() | JobCompleted():
                state[event.job_id] -= 1
    assert state
    assert not any(state.values())


def test_a_message_above_the_cap_ends_the_call(site: Site, raw: RawWorker) -> None:
    """gRPC itself refuses it, before the worker sees it, so there is no Reason; the job has its end nevertheless."""
    before = len(events(site))
    job = forge(site)
    answer = raw.run([job.open(), *sends([bytes(SEGMENT + (64 << 10) + 1)])])
    assert answer.code is not grpc.StatusCode.OK
    assert not answer.receipt
    ended = until(lambda: new[1] if len(new := jobs(site, before)) == 2 else None)
    assert isinstance(ended, JobEnded)
    serves(site, raw)

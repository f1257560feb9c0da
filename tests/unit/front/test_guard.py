"""The front's map of reasons and its outermost guard: every failure is a Reason, and nothing else is said."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from cji_client.errors import from_details
from cji_core.errors import LIMITS, REASONS, Limit, Reason, Refusal, RetryLater, Stage
from cji_core.format.job import Limits, identity_sha256
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.certificates import authority, leaf
from cji_worker.front.guard import Call, Guard, Relayed
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.refused import RefusedCounter
from cji_worker.front.server import UnknownMethods
from cji_worker.front.status import CODES, DETAILS_KEY, DOMAIN, code_and_details
from cji_worker.front.submitters import Kind, Submitters
from cji_worker.ipc import Channel
from cji_worker.ipc.messages import (
    Attest,
    Ended,
    FaultyColumn,
    FrontFromKeyholder,
    Identities,
    KeyholderFromFront,
    NotReady,
)
from tests.support.connections import reported
from tests.support.refusals import refused

CANARY = "SMITH,JOHN 123-45-6789"
NAME = "spiffe://cji.example/agency/someone"
CA = authority("Agency CA", ec.generate_private_key(ec.SECP256R1()))
CALLER = leaf("someone", ec.generate_private_key(ec.SECP256R1()), CA, uris=[NAME])


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_and_all_its_details(reason: Reason) -> None:
    info = REASONS[reason]
    code, message, details = code_and_details(Refusal(reason, stage=Stage.UNSEAL), correlation_id="0123456789abcdef")
    assert code is CODES[reason]
    assert code not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)
    assert message == f"{reason.value}: {info.remedy}"
    status = Status.FromString(details)
    assert (status.code, status.message) == (code.value[0], message)
    error, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(error)
    assert (error.reason, error.domain) == (reason.value, DOMAIN)
    assert dict(error.metadata) == {
        "stage": "unseal",
        "retryable": str(info.retryable).lower(),
        "blame": info.blame,
        "correlation_id": "0123456789abcdef",
    }
    assert (len(status.details) == 2 and status.details[1].Unpack(retry)) is info.retryable
    read = from_details(details)
    assert read is not None
    assert (read.reason, read.stage, read.retryable) == (reason, Stage.UNSEAL, info.retryable)


@pytest.mark.parametrize(
    ("column", "metadata", "text"),
    [
        (
            FaultyColumn(table="records", column="last", part=3, row=17),
            {"table": "records", "column": "last", "part": "3", "row": "17"},
            "COLUMN_CELL_INVALID at unseal: column last of records, part 3, row 17",
        ),
        (
            FaultyColumn(table="link_to", column="SOC", row=0),
            {"table": "link_to", "column": "SOC", "row": "0"},
            "COLUMN_CELL_INVALID at unseal: column SOC of link_to, row 0",
        ),
        (
            FaultyColumn(table="result", column="token"),
            {"table": "result", "column": "token"},
            "COLUMN_CELL_INVALID at unseal: column token of result",
        ),
    ],
    ids=["shard", "side table", "output"],
)
def test_a_faulty_column_reaches_the_caller(column: FaultyColumn, metadata: dict[str, str], text: str) -> None:
    refusal = Relayed(Reason.COLUMN_CELL_INVALID, stage=Stage.UNSEAL, after_ms=0, column=column)
    _, _, details = code_and_details(refusal, correlation_id="x", column=refusal.column)
    error = ErrorInfo()
    assert Status.FromString(details).details[0].Unpack(error)
    assert {name: error.metadata[name] for name in error.metadata if name in metadata} == metadata
    read = from_details(details)
    assert read is not None
    assert str(read) == text
    assert (read.columns, read.row) == ((column.column,), column.row)


@pytest.mark.parametrize("limit", Limit)
def test_a_limit_reaches_the_caller_with_its_remedy(limit: Limit) -> None:
    refusal = Relayed(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE, after_ms=0, limit=limit)
    _, message, details = code_and_details(refusal, correlation_id="x")
    read = from_details(details)
    assert read is not None
    assert (read.limit, read.remedy) == (limit.value, LIMITS[limit].remedy)
    assert message.endswith(LIMITS[limit].remedy)


@pytest.mark.parametrize(
    ("name", "value"), [("column", "a b"), ("table", CANARY), ("column", "x" * 65), ("row", "-1"), ("limit", CANARY)]
)
def test_text_that_is_no_column_is_not_shown(name: str, value: str) -> None:
    """A hostile front or proxy puts what it likes into the details."""
    info = ErrorInfo(reason="COLUMN_KEY_WRONG", domain=DOMAIN, metadata={"table": "t", "column": "c", "row": "1"})
    info.metadata[name] = value
    status = Status()
    status.details.add().Pack(info)
    read = from_details(status.SerializeToString())
    assert read is not None
    assert value not in str(read)


def test_reasons_are_those_of_the_contract() -> None:
    assert {r.value for r in Reason} | {"REASON_UNSPECIFIED"} == set(pb.Reason.keys())
    assert set(CODES) == set(REASONS) == set(Reason)


def test_the_time_to_come_back_is_the_one_given() -> None:
    refusal = Refusal(Reason.OVERLOADED, stage=Stage.ADMIT)
    _, _, details = code_and_details(refusal, correlation_id="x", retry_after_ms=1500)
    read = from_details(details)
    assert read is not None
    assert read.retry_after == 1.5


def accepted(_: bytes) -> None:
    """Every certificate is."""


async def answer(body: Any) -> grpc.aio.AioRpcError:
    """What a submitter is told by a served call with this body."""
    guard = Guard(Submitters(), RefusedCounter(), accepted)
    guard._submitters.replace([identity_sha256(NAME)])
    return await told(guard.stream(Kind.RUN, body), reported(CALLER))


async def told(handler: Any, metadata: Sequence[tuple[str, str]] = ()) -> grpc.aio.AioRpcError:
    """The error of one call to this handler with these metadata, as they come from the door."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x", {"y": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary("/x/y", None, None)(b"", metadata=metadata, timeout=60)
        return error.value
    finally:
        await server.stop(0)


@pytest.mark.parametrize(
    "fault",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        AssertionError(CANARY),
        MemoryError(CANARY),
        ExceptionGroup(CANARY, [ValueError(CANARY)]),
    ],
    ids=lambda f: type(f).__name__,
)
async def test_l02_a_fault_is_internal_without_its_text(fault: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(_: Call) -> bytes:
        raise fault

    error = await answer(body)
    said = f"{error.details()} {error.debug_error_string()} {error.trailing_metadata()} {capsys.readouterr()}"
    assert error.code() is grpc.StatusCode.INTERNAL
    assert CANARY not in said
    assert "SMITH" not in said


async def test_a_refusal_keeps_its_reason_and_drops_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    async def body(_: Call) -> bytes:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise RetryLater(Reason.OVERLOADED, stage=Stage.ADMIT, after_ms=700) from cause

    error = await answer(body)
    metadata: Any = error.trailing_metadata()
    read = from_details(dict(metadata)[DETAILS_KEY])
    assert read is not None
    assert (read.reason, read.stage, read.retry_after) == (Reason.OVERLOADED, Stage.ADMIT, 0.7)
    assert "SMITH" not in f"{error!r} {capsys.readouterr()}"


async def test_a_caller_without_a_name_is_denied() -> None:
    async def body(_: Call) -> None:
        raise AssertionError("reached")

    refused_calls = RefusedCounter()
    error = await told(Guard(Submitters(), refused_calls, accepted).stream(Kind.HEALTH, body))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert [(each.reason, each.count, each.identity) for each in refused_calls.take()] == [
        (Reason.POLICY_DENIED, 1, "")
    ]


async def test_a_request_that_never_comes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request of an ordinary call is waited for no longer than the first message of a stream."""
    monkeypatch.setattr("cji_worker.front.guard.LIMITS", Limits(open_seconds=1))

    async def reply(_: Call, request: pb.DescribeRequest) -> pb.DescribeRequest:
        return request

    handler = Guard(Submitters(), RefusedCounter(), accepted).unary(Kind.HEALTH, pb.DescribeRequest, reply)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x", {"y": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/x/y", None, None)(None, metadata=reported(CALLER), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
    await server.stop(0)
    assert (error.value.details() or "").startswith(Reason.INCOMPLETE)


# ------------------------------------------------------------------ client


@pytest.fixture
async def client() -> Any:
    ours, theirs = Channel.pair()
    client = KeyholderClient(Channel(ours, FrontFromKeyholder), Submitters())
    keyholder: Channel[Any, Any] = Channel(theirs, KeyholderFromFront)
    serving = asyncio.create_task(client.serve())
    yield client, keyholder, serving
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    keyholder.close()


async def test_the_list_of_submitters_comes_from_the_keyholder(client: Any) -> None:
    client, keyholder, _ = client
    keyholder.send(Identities(sha256=(identity_sha256(NAME),)))
    keyholder.send(NotReady(reason=Reason.NOT_READY, condition="starting"))
    await client.changed.wait()
    with client._submitters.call(NAME, Kind.RUN):
        pass


async def test_nothing_is_offered_before_the_keyholder_says_so(client: Any) -> None:
    client, keyholder, _ = client
    with refused(Reason.NOT_READY):
        client.offer()
    keyholder.send(NotReady(reason=Reason.KEY_RELEASE_DENIED, condition="keys"))
    await client.changed.wait()
    with refused(Reason.KEY_RELEASE_DENIED):
        client.offer()


async def test_an_answer_goes_to_its_call_and_to_no_other(client: Any) -> None:
    client, keyholder, _ = client
    with client.pending_call() as one, client.pending_call() as two:
        client.send(Attest(call=two.number, nonce=bytes(16)))
        assert (await asyncio.to_thread(keyholder.receive))[0].call == two.number
        keyholder.send(Ended(call=99, reason=Reason.DEADLINE, stage=Stage.OPEN))  # nobody's
        keyholder.send(Ended(call=two.number, reason=Reason.EXPIRED, stage=Stage.ADMIT))
        with pytest.raises(RetryLater) as refused:
            await two.answer()
        assert refused.value.reason is Reason.EXPIRED
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.answer(), 0.05)


async def test_every_open_call_is_refused_when_the_keyholder_is_gone(client: Any) -> None:
    client, keyholder, serving = client
    with client.pending_call() as pending:
        keyholder.close()
        with pytest.raises(RetryLater) as refused:
            await pending.answer()
        assert refused.value.reason is Reason.CELL_FAILED
    await asyncio.wait({serving})


async def test_every_refusal_that_no_keyholder_records_is_counted() -> None:
    """Also one that the keyholder sent, for a call that is no job, and one of an open call whose certificate ended."""
    counter = RefusedCounter()
    guard = Guard(Submitters(), counter, accepted)
    guard._submitters.replace([identity_sha256(NAME)])

    def refusing(refusal: Refusal, *, recorded: bool) -> Any:
        async def body(call: Call) -> None:
            call.keyholder_records = recorded
            raise refusal

        return guard.stream(Kind.ASK, body)

    for refusal, recorded in (
        (Relayed(Reason.INCOMPLETE, stage=Stage.RECEIPT, after_ms=0), False),
        (Refusal(Reason.CERTIFICATE_REFUSED, stage=Stage.COMPUTE), False),
        (Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN), False),
        (Relayed(Reason.REPLAYED, stage=Stage.ADMIT, after_ms=0), True),
        (Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL), True),
    ):
        await told(refusing(refusal, recorded=recorded), reported(CALLER))
    assert {each.reason: (each.count, each.identity) for each in counter.take()} == {
        Reason.INCOMPLETE: (1, NAME),
        Reason.CERTIFICATE_REFUSED: (1, NAME),
        Reason.BAD_PARAMETERS: (1, NAME),
    }


async def test_a_method_that_does_not_exist_is_counted() -> None:
    counter = RefusedCounter()
    handler = UnknownMethods(counter).service(None)  # type: ignore[arg-type]
    for metadata in (reported(CALLER), ()):
        error = await told(handler, metadata)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    (found,) = counter.take()
    assert (found.reason, found.count, found.identity) == (Reason.BAD_PARAMETERS, 2, NAME)

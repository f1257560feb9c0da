"""Whatever a peer or a file says, the SDK answers with a value or with an error of its own."""

from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_attestation.attested import read_evidence, verify_attestation
from cji_client.errors import ClientError, SpecError, Unverified, from_details
from cji_client.parts import arrow_messages, open_part, seal_stream
from cji_client.profile import load_profile
from cji_client.progress import Progress
from cji_client.received import Collector, parse_result_header
from cji_client.sources import Batches
from cji_client.spec import decode_spec
from cji_core.errors import REASONS, Reason, Stage
from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES
from cji_core.format.job import Header, JobId, Recipient, SizeClass
from cji_core.format.keys import PinnedKey, load_project_key
from cji_core.jose import key_id, public_jwk
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.forge import decided

KEY = rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key()
HEADER = Header(
    data=b"header",
    sha384=bytes(48),
    job_id=JobId(bytes(15) + b"\x01"),
    audience="pool",
    originating_ori="CA0190000",
    requesting_ori="CA0190000",
    sealed_attribution=b"",
    suite=Suite.CLASSICAL_1,
    submitter=b"t" * 32,
    send_key=None,
    purpose_code="C",
    inputs=(),
    operations=(),
    operation_names=(),
    kek_id="k",
    wrapped_dek=b"",
    recipients=(Recipient(key_id=key_id(KEY), jwk=public_jwk(KEY)),),
    created=None,  # type: ignore[arg-type]
    not_after=None,  # type: ignore[arg-type]
    size_class=SizeClass.EXACT,
)
RESULT = pb.ResultHeader(
    version=1,
    job_id=HEADER.job_id,
    job_header_sha384=HEADER.sha384,
    worker_id="w",
    outputs=[pb.OutputPart(name="result", schema="person/1"), pb.OutputPart(name="row_status", schema="row_status/1")],
    recipients=[pb.WrappedKey(key_id=key_id(KEY), wrapped_dek=bytes(384))],
).SerializeToString(deterministic=True)

MESSAGES = st.one_of(
    st.just(pb.RunResponse()),
    st.just(pb.RunResponse(accepted=pb.Accepted())),
    st.builds(
        lambda s, n: pb.RunResponse(progress=pb.Progress(stage=s, per_cent=n)),
        st.text(max_size=40),
        st.integers(0, 2**32 - 1),
    ),
    st.builds(
        lambda part, index, data: pb.RunResponse(segment=pb.Segment(part=part, index=index, data=data)),
        st.integers(0, 2),
        st.integers(0, 2),
        st.one_of(st.binary(max_size=200), st.just(bytes(106)), st.just(bytes(32))),
    ),
    st.builds(
        lambda receipt, header: pb.RunResponse(done=pb.Done(receipt=receipt, result_header=header)),
        st.text(max_size=20),
        st.sampled_from([RESULT, RESULT + b"\0", b""]),
    ),
)


@given(st.binary(max_size=300))
def test_result_headers(data: bytes) -> None:
    assert parse_result_header(RESULT, HEADER).worker_id == "w"
    with pytest.raises(Unverified):
        parse_result_header(data, HEADER)


def _set(name: str, value: object) -> Callable[[pb.ResultHeader], None]:
    return lambda message: setattr(message, name, value)


def _second_recipient(message: pb.ResultHeader) -> None:
    message.recipients.add(key_id="B" * 43, wrapped_dek=bytes(384))


def _without_recipients(message: pb.ResultHeader) -> None:
    del message.recipients[:]


CHANGES: dict[str, Callable[[pb.ResultHeader], None]] = {
    "version": _set("version", 2),
    "job": _set("job_id", bytes(16)),
    "job header": _set("job_header_sha384", bytes(47) + b"\1"),
    "one recipient too many": _second_recipient,
    "no recipient": _without_recipients,
    "another recipient": lambda message: setattr(message.recipients[0], "key_id", "B" * 43),
    "a shorter wrapped key": lambda message: setattr(message.recipients[0], "wrapped_dek", bytes(383)),
    "a longer wrapped key": lambda message: setattr(message.recipients[0], "wrapped_dek", bytes(385)),
    "an output twice": lambda message: setattr(message.outputs[1], "name", "result"),
    "no row_status": lambda message: setattr(message.outputs[1], "name", "rows"),
    "a name of an output": lambda message: setattr(message.outputs[0], "name", "../result"),
    "a schema": lambda message: setattr(message.outputs[0], "schema", "person"),
    "one shard": lambda message: setattr(message.outputs[0], "shards", 1),
    "too many shards": lambda message: setattr(message.outputs[0], "shards", 1025),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_rule_of_a_result_header(change: Callable[[pb.ResultHeader], None]) -> None:
    message = pb.ResultHeader.FromString(RESULT)
    change(message)
    with pytest.raises(Unverified, match="result_header"):
        parse_result_header(message.SerializeToString(deterministic=True), HEADER)


@given(st.integers(0, len(RESULT) - 1), st.integers(1, 255))
def test_altered_result_headers(at: int, by: int) -> None:
    data = bytearray(RESULT)
    data[at] ^= by
    with suppress(Unverified):
        parsed = parse_result_header(bytes(data), HEADER)
        # what may differ is what the receipt's digest of these bytes will catch
        assert set(parsed.wrapped) == {key_id(KEY)}
        assert {"result", "row_status"} <= {part.name for part in parsed.outputs}


@given(st.lists(MESSAGES, max_size=8))
def test_streams_of_messages(messages: list[pb.RunResponse]) -> None:
    seen: list[Progress] = []
    collector = Collector(HEADER, progress=seen.append)
    try:
        for message in messages:
            collector.take(message)
        header, outputs = collector.finish()
        assert len(outputs) == len(header.parts)
        assert all(output.ended for output in outputs)
    except Unverified:
        pass
    finally:
        collector.discard()
    assert all(event.stage.isascii() and event.per_cent <= 100 for event in seen)


@given(st.text(max_size=200))
def test_specs_and_profiles(text: str) -> None:
    with pytest.raises(SpecError):
        decode_spec(text)
    with pytest.raises(SpecError):
        decode_spec(text.encode("utf-8", "surrogatepass") + b"\xff")


@given(st.binary(max_size=200))
def test_files(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "sdk-any"
    path.write_bytes(data)
    with pytest.raises(SpecError):
        load_profile(path)
    with pytest.raises(SpecError):
        load_project_key(path)
    with pytest.raises(SpecError):
        read_evidence(data, trust=AZURE_US, reference=decided())


@given(st.binary(max_size=100), st.text(max_size=60), st.text(max_size=60))
def test_attestation_answers(evidence: bytes, token: str, jwk: str) -> None:
    answer = pb.AttestResponse(evidence=evidence, maa_token=token, receipt_jwk=jwk, token_nonce=evidence[:32])
    with pytest.raises(ClientError):
        verify_attestation(
            answer,
            nonce=bytes(32),
            trust=AZURE_US,
            reference=decided(),
            maa_url="https://x.eus.attest.azure.net",
        )
    with pytest.raises(Unverified):
        PinnedKey.check("k", jwk, expected="A" * 43)


@given(st.binary(max_size=200))
def test_any_error_details(data: bytes) -> None:
    refused = from_details(data)
    assert refused is None or refused.reason in REASONS


@given(
    reason=st.one_of(st.sampled_from(list(Reason)), st.text(max_size=20)),
    stage=st.one_of(st.sampled_from(list(Stage)), st.text(max_size=20)),
    domain=st.sampled_from(["worker.cji", "other"]),
    correlation=st.text(max_size=300),
)
def test_error_details(reason: str, stage: str, domain: str, correlation: str) -> None:
    info = error_details_pb2.ErrorInfo(
        reason=reason, domain=domain, metadata={"stage": stage, "retryable": "true", "correlation_id": correlation}
    )
    detail = any_pb2.Any()
    detail.Pack(info)
    refused = from_details(status_pb2.Status(details=[detail]).SerializeToString())
    known = reason in set(Reason) and (stage in set(Stage) or not stage) and domain == "worker.cji"
    assert (refused is not None) is known
    if refused is not None:
        assert refused.retryable
        assert len(refused.correlation_id) <= 200
        assert refused.correlation_id.isprintable()


@given(
    rows=st.lists(st.one_of(st.none(), st.text(max_size=50)), max_size=30),
    cut=st.integers(1, 7),
    part=st.integers(0, 3),
)
def test_tables_return_from_their_sealed_form(rows: list[str | None], cut: int, part: int) -> None:
    table = pa.table({"record_id": pa.array(rows, pa.string())})
    batches = [batch for at in range(0, len(rows), cut) for batch in table.slice(at, cut).to_batches()]
    messages = arrow_messages(Batches(schema=table.schema, batches=iter(batches)))
    sealed = b"".join(seal_stream(bytes(32), bytes([part]), messages))
    opened = pa.Table.from_batches(open_part(bytes(32), bytes([part]), _file(sealed), name="p", padded=False))
    assert opened.to_pydict() == table.to_pydict()
    for wrong in (sealed[:-1], sealed + b"\0", sealed[:74], b"", sealed[:80] + bytes([sealed[80] ^ 1]) + sealed[81:]):
        with pytest.raises(Unverified, match="p:"):
            list(open_part(bytes(32), bytes([part]), _file(wrong), name="p", padded=False))


def _one_row(behind: bytes = b"") -> bytes:
    """The plaintext of a table of one row, with other bytes behind its end."""
    table = pa.table({"record_id": ["a"]})
    return b"".join(map(bytes, arrow_messages(Batches(schema=table.schema, batches=iter(table.to_batches()))))) + behind


def _open(plain: bytes, *, padded: bool) -> list[pa.RecordBatch]:
    sealed = b"".join(seal_stream(bytes(32), b"", [plain]))
    return list(open_part(bytes(32), b"", _file(sealed), name="p", padded=padded))


@pytest.mark.parametrize("behind", [b"\0", b"\x01", bytes(3 << 20), bytes(pa.schema([]).serialize())])
def test_nothing_follows_an_exact_table(behind: bytes) -> None:
    assert sum(batch.num_rows for batch in _open(_one_row(), padded=False)) == 1
    with pytest.raises(Unverified, match="after the end"):
        _open(_one_row(behind), padded=False)


def test_zeros_to_the_next_power_of_two_follow_a_padded_table() -> None:
    plain = _one_row()
    length = 1 << (len(plain) - 1).bit_length()
    assert sum(batch.num_rows for batch in _open(plain.ljust(length, b"\0"), padded=True)) == 1
    for wrong in (length - 1, length + 1, 2 * length, len(plain)):
        with pytest.raises(Unverified, match="power of two"):
            _open(plain.ljust(wrong, b"\0"), padded=True)
    with pytest.raises(Unverified, match="after the end"):
        _open(plain.ljust(length - 1, b"\0") + b"\1", padded=True)


def test_e01_bytes_behind_a_full_last_segment_are_refused() -> None:
    table = pa.table({"record_id": ["a" * (SEGMENT_BYTES - OVERHEAD_BYTES - len(_one_row()) + 1)]})
    plain = b"".join(map(bytes, arrow_messages(Batches(schema=table.schema, batches=iter(table.to_batches())))))
    sealed = b"".join(seal_stream(bytes(32), b"", [plain]))
    assert len(sealed) == FLOE_HEADER_BYTES + SEGMENT_BYTES
    assert sum(b.num_rows for b in open_part(bytes(32), b"", _file(sealed), name="p", padded=False)) == 1
    with pytest.raises(Unverified, match="after the last segment"):
        list(open_part(bytes(32), b"", _file(sealed + b"\0"), name="p", padded=False))


@given(plain=st.binary(max_size=300))
def test_plaintext_that_is_no_table_is_refused(plain: bytes) -> None:
    sealed = b"".join(seal_stream(bytes(32), b"", [plain]))
    with pytest.raises(Unverified):
        list(open_part(bytes(32), b"", _file(sealed), name="p", padded=False))


def _file(data: bytes):  # type: ignore[no-untyped-def]
    import io

    return io.BytesIO(data)

"""Whatever a peer or a file says, the SDK answers with a value or with an error of its own."""

from contextlib import suppress

import pyarrow as pa
import pytest
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
from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.forge import decided

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
    recipients=(Recipient(key_id="A" * 43, jwk=""),),
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
    recipients=[pb.WrappedKey(key_id="A" * 43, wrapped_dek=bytes(384))],
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


@given(st.integers(0, len(RESULT) - 1), st.integers(1, 255))
def test_altered_result_headers(at: int, by: int) -> None:
    data = bytearray(RESULT)
    data[at] ^= by
    with suppress(Unverified):
        parsed = parse_result_header(bytes(data), HEADER)
        # what may differ is what the receipt's digest of these bytes will catch
        assert set(parsed.wrapped) == {"A" * 43}
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
    opened = pa.Table.from_batches(open_part(bytes(32), bytes([part]), _file(sealed), name="p"))
    assert opened.to_pydict() == table.to_pydict()
    for wrong in (sealed[:-1], sealed + b"\0", sealed[:74], b"", sealed[:80] + bytes([sealed[80] ^ 1]) + sealed[81:]):
        with pytest.raises(Unverified, match="p:"):
            list(open_part(bytes(32), bytes([part]), _file(wrong), name="p"))


@pytest.mark.parametrize("behind", [b"", bytes(1), bytes(3 << 20)])
def test_zeros_behind_a_table_are_padding_and_nothing_else_is(behind: bytes) -> None:
    table = pa.table({"record_id": ["a"]})
    for end, sound in ((b"", True), (b"\x01", False), (bytes(table.schema.serialize()), False)):
        messages = [*arrow_messages(Batches(schema=table.schema, batches=iter(table.to_batches()))), behind, end]
        sealed = b"".join(seal_stream(bytes(32), b"", messages))
        if sound:
            assert sum(b.num_rows for b in open_part(bytes(32), b"", _file(sealed), name="p")) == 1
        else:
            with pytest.raises(Unverified, match="after the end"):
                list(open_part(bytes(32), b"", _file(sealed), name="p"))


def test_e01_bytes_behind_a_full_last_segment_are_refused() -> None:
    table = pa.table({"record_id": ["a"]})
    plain = b"".join(map(bytes, arrow_messages(Batches(schema=table.schema, batches=iter(table.to_batches())))))
    sealed = b"".join(seal_stream(bytes(32), b"", [plain.ljust(SEGMENT_BYTES - OVERHEAD_BYTES, b"\0")]))
    assert len(sealed) == FLOE_HEADER_BYTES + SEGMENT_BYTES
    assert sum(b.num_rows for b in open_part(bytes(32), b"", _file(sealed), name="p")) == 1
    with pytest.raises(Unverified, match="after the last segment"):
        list(open_part(bytes(32), b"", _file(sealed + b"\0"), name="p"))


@given(plain=st.binary(max_size=300))
def test_plaintext_that_is_no_table_is_refused(plain: bytes) -> None:
    sealed = b"".join(seal_stream(bytes(32), b"", [plain]))
    with pytest.raises(Unverified):
        list(open_part(bytes(32), b"", _file(sealed), name="p"))


def _file(data: bytes):  # type: ignore[no-untyped-def]
    import io

    return io.BytesIO(data)

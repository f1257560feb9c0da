"""Records in shards: the split against a slow twin, sealing part by part, and outputs read shard after shard."""

import io
from typing import cast

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation.attested import AttestedWorker
from cji_client.errors import SpecError, Unverified
from cji_client.parts import arrow_messages, open_part, seal_stream
from cji_client.received import Collector, Output, parse_result_header
from cji_client.result import Result, open_result
from cji_client.seal import number_of_shards, seal, split
from cji_client.sources import Batches
from cji_client.spec import JobSpec, decode_spec
from cji_core.format.envelope import input_aad, output_aad, unwrap_dek, wrap_result_key
from cji_core.format.job import InputPart, OutputPart, Recipient, parse
from cji_core.format.job.result_header import result_header
from cji_core.format.keys import PinnedKey, new_signing_key
from cji_core.format.records import RowStatus, Status
from cji_core.jose import key_id, public_jwk
from cji_core.trail import Expected, sign, verify_receipt
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.job_headers import make
from tests.support.job_specs import head
from tests.support.receipts import CLAIMS
from tests.support.rsa_keys import rsa_key

KEY = rsa_key(0, 3072)
CMK = rsa_key(1, 3072)
JWK = public_jwk(KEY.public_key())
JOB = parse(make(recipients=[Recipient(key_id=key_id(KEY.public_key()), jwk=JWK)]))
SIGNING = new_signing_key()
RECEIPT_KEY = ec.generate_private_key(ec.SECP384R1())


def spec(**fields: str | int) -> JobSpec:
    text = head(recipient=JWK, kek_thumbprint=key_id(CMK.public_key()), **fields)
    return decode_spec(
        f'{text}\n[input]\nschema = "person/1"\n[[operations]]\nkind = "deidentify"\ncolumns = {{ last = "keep" }}\n'
    )


def batches_of(sizes: list[int]) -> list[pa.RecordBatch]:
    starts = np.cumsum([0, *sizes])
    return [
        pa.record_batch({"row": pa.array(range(start, start + size), pa.int64())})
        for start, size in zip(starts, sizes, strict=False)
    ]


def slowly(batches: list[pa.RecordBatch], rows: int, shards: int) -> list[list[pa.RecordBatch]]:
    """Each batch into the last shard whose share begins at its first row or before."""
    found: list[list[pa.RecordBatch]] = [[] for _ in range(shards)]
    first = 0
    for batch in batches:
        shard = max(k for k in range(shards) if rows * k <= first * shards)
        found[shard].append(batch)
        first += batch.num_rows
    return found


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 40))
def test_the_split_keeps_batches_whole_and_in_order(sizes: list[int], shards: int) -> None:
    batches = batches_of(sizes)
    found = [list(shard) for shard in split(iter(batches), rows=sum(sizes), shards=shards)]
    assert found == slowly(batches, sum(sizes), shards)
    assert [batch for shard in found for batch in shard] == batches
    largest = max((sum(batch.num_rows for batch in shard) for shard in found), default=0)
    assert largest <= -(-sum(sizes) // shards) + max(sizes, default=0)


def test_several_shards_need_the_number_of_rows() -> None:
    assert [list(shard) for shard in split(iter([]), rows=None, shards=1)] == [[]]
    with pytest.raises(SpecError):
        next(split(iter([]), rows=None, shards=2))
    assert number_of_shards(spec(shards=7), None) == 7
    assert [number_of_shards(spec(shard_rows=10), rows) for rows in (0, 1, 10, 11, 100)] == [1, 1, 1, 2, 10]
    assert number_of_shards(spec(shard_rows=1), 1024) == 1024
    with pytest.raises(SpecError, match="1025 shards"):
        number_of_shards(spec(shard_rows=1), 1025)
    with pytest.raises(SpecError):
        number_of_shards(spec(shard_rows=1), None)
    with pytest.raises(SpecError, match="either shards or shard_rows"):
        spec(shards=2, shard_rows=2)


def test_every_shard_is_sealed_as_a_part_of_its_own() -> None:
    names = [f"N{number}" for number in range(40_000)]
    table = pa.table({"last": names})
    wanted = spec(shards=3)
    kek = PinnedKey(kek_id=wanted.kek_id, thumbprint=wanted.kek_thumbprint, public=CMK.public_key())
    job = seal(wanted, kek=kek, signing_key=SIGNING, rows=len(names))
    assert job.header.inputs == (InputPart(name="records", schema="person/1", rows_declared=40_000, shards=3),)
    dek = unwrap_dek(CMK, job.header.wrapped_dek)

    def opened(part: int, segments: list[bytes]) -> list[str]:
        sealed = io.BytesIO(b"".join(segments))
        found = open_part(dek, input_aad(job.header.sha384, part), sealed, name="records")
        return [name for batch in found for name in batch["last"].to_pylist()]

    parts = {part: opened(part, list(segments)) for part, segments in job.seal_parts(0, table)}
    assert [len(found) for found in parts.values()] == [16_384, 16_384, 7_232]
    assert [name for found in parts.values() for name in found] == names
    assert [opened(part, list(job.seal_part(part, table))) for part in range(3)] == list(parts.values())
    with pytest.raises(Unverified):
        opened(0, list(job.seal_part(1, table)))
    with pytest.raises(ValueError, match="no such part"):
        job.seal_part(3, table)
    with pytest.raises(SpecError, match="more than once"):
        list(job.seal_part(1, iter(table.to_batches())))


def sealed_result(outputs: dict[OutputPart, list[pa.Table]], *, rows: int) -> Result:
    """A result with a verified receipt; each output has a table for each of its shards."""
    key = bytes(range(32))
    wrapped = wrap_result_key(KEY.public_key(), key, JOB.sha384)
    data = result_header(JOB, worker_id="w", outputs=tuple(outputs), wrapped_keys=[wrapped])
    header, files = parse_result_header(data, JOB), list[Output]()
    for output, shards in outputs.items():
        for table in shards:
            messages = arrow_messages(Batches(schema=table.schema, batches=iter(table.to_batches())))
            file = io.BytesIO(b"".join(seal_stream(key, output_aad(header.sha384, len(files)), messages)))
            files.append(Output(name=output.name, schema=output.schema, file=file))
    volumes = msgspec.structs.replace(CLAIMS.volumes, rows_in=rows)
    compact = sign(msgspec.structs.replace(CLAIMS, volumes=volumes), RECEIPT_KEY)
    receipt = verify_receipt(compact, key=RECEIPT_KEY.public_key(), expected=Expected(simulated=False))
    return Result(job=JOB, header=header, outputs=tuple(files), receipt=receipt, attested=cast("AttestedWorker", None))


def status_of(rows: int, bad: int) -> pa.Table:
    """The status of a shard, one of whose rows cannot be used."""
    status = RowStatus.all_ok(rows).found(np.array([bad]), status=Status.NOT_USABLE, code=7)
    return pa.Table.from_batches([status.to_batch(0)])


def test_outputs_are_read_shard_after_shard() -> None:
    result = OutputPart(name="result", schema="person/1", shards=2)
    row_status = OutputPart(name="row_status", schema="row_status/1", shards=3)
    names = [pa.table({"last": ["A", "B"]}), pa.table({"last": ["C"]})]
    statuses = [status_of(2, 1), status_of(1, 0), status_of(3, 2)]
    sealed = sealed_result({result: names, row_status: statuses}, rows=6)
    assert sealed.names == ("result", "row_status")
    assert [part.name for part in sealed.header.parts] == ["result"] * 2 + ["row_status"] * 3
    opened = open_result(sealed, KEY)
    assert opened["result"] == pa.concat_tables(names)
    whole = RowStatus.concatenate([RowStatus.all_ok(6)]).found(np.array([1, 2, 5]), status=Status.NOT_USABLE, code=7)
    assert opened["row_status"].combine_chunks() == pa.Table.from_batches([whole.to_batch(0)])
    with pytest.raises(Unverified, match="row_status"):
        open_result(sealed_result({result: names, row_status: statuses}, rows=7), KEY)
    other = [names[0], pa.table({"last": pa.array(["C"], pa.binary())})]
    with pytest.raises(Unverified, match="different schemas"):
        open_result(sealed_result({result: other, row_status: statuses}, rows=6), KEY)


@pytest.mark.parametrize("shards", [1, 1025])
def test_a_result_header_has_one_form_of_one_shard(shards: int) -> None:
    outputs = [
        pb.OutputPart(name="result", schema="person/1", shards=shards),
        pb.OutputPart(name="row_status", schema="row_status/1"),
    ]
    recipients = [pb.WrappedKey(key_id=JOB.recipients[0].key_id, wrapped_dek=bytes(384))]
    header = pb.ResultHeader(
        version=1, job_id=JOB.job_id, job_header_sha384=JOB.sha384, outputs=outputs, recipients=recipients
    )
    with pytest.raises(Unverified, match="result_header"):
        parse_result_header(header.SerializeToString(deterministic=True), JOB)


def test_a_run_answers_with_sixteen_parts_at_most() -> None:
    outputs = (OutputPart(name="result", schema="person/1", shards=16), OutputPart(name="row_status", schema="x/1"))
    header = result_header(JOB, worker_id="w", outputs=outputs, wrapped_keys=[bytes(384)])
    collector = Collector(JOB)
    collector.take(pb.RunResponse(accepted=pb.Accepted()))
    collector.take(pb.RunResponse(done=pb.Done(receipt="r", result_header=header)))
    with pytest.raises(Unverified, match="result_header"):
        collector.finish()
    with pytest.raises(Unverified, match="segment"):
        Collector(JOB)._segment(pb.Segment(part=16, data=bytes(200)))

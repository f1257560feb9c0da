"""Records in shards: the split against a slow twin, sealing part by part, and outputs read shard after shard."""

import io
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from cji_attestation.attested import AttestedWorker
from cji_client.confirmation import confirm
from cji_client.counts import require_consistent
from cji_client.errors import SpecError, Unverified
from cji_client.parts import arrow_messages, open_part, seal_stream
from cji_client.received import Collector, Output, parse_result_header
from cji_client.result import Result, count_rows, open_result, read_output
from cji_client.seal import number_of_shards, seal, split
from cji_client.shard_counts import require_shards
from cji_client.signers import KeyDecrypter
from cji_client.sources import Batches
from cji_client.spec import JobSpec, decode_spec
from cji_client.verbs import receipt_rows
from cji_core.format.envelope import input_aad, output_aad, unwrap_dek, wrap_result_key
from cji_core.format.job import InputPart, OutputPart, Recipient, parse
from cji_core.format.job.result_header import result_header
from cji_core.format.keys import PinnedKey, new_signing_key
from cji_core.format.records import RowStatus, Status
from cji_core.jose import key_id, public_jwk
from cji_core.operations.volumes import counts_of
from cji_core.trail import (
    Expected,
    StatedPart,
    Statement,
    UsedColumnKey,
    UsedColumnKeys,
    read_statement,
    sign,
    verify_receipt,
)
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.job_headers import make
from tests.support.job_specs import head
from tests.support.receipts import CLAIMS
from tests.support.rsa_keys import rsa_key
from tests.support.task_statements import Honest

KEY = rsa_key(0, 3072)
CMK = rsa_key(1, 3072)
JWK = public_jwk(KEY.public_key())
JOB = parse(make(recipients=[Recipient(key_id=key_id(KEY.public_key()), jwk=JWK)]))
SIGNING = new_signing_key()
HONEST = Honest()
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
        found = open_part(dek, input_aad(job.header.sha384, part), sealed, name="records", padded=False)
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


USED = UsedColumnKeys(statement_sha384="0a" * 48, keys=(UsedColumnKey(key_path="p", cek_sha384="0b" * 48),))


def sealed_result(
    outputs: dict[OutputPart, list[pa.Table]], *, used: tuple[UsedColumnKeys, ...] = (), **stated: Any
) -> Result:
    """A result with a verified receipt; each output has a table for each of its shards.

    The counts are those of an honest cell, but for those that are `stated`. With `used`, the job had sealed columns.
    """
    key = bytes(range(32))
    wrapped = wrap_result_key(KEY.public_key(), key, JOB.sha384)
    data = result_header(JOB, worker_id="w", outputs=tuple(outputs), wrapped_keys=[wrapped])
    header, files = parse_result_header(data, JOB), list[Output]()
    for output, shards in outputs.items():
        for table in shards:
            messages = arrow_messages(Batches(schema=table.schema, batches=iter(table.to_batches())))
            file = io.BytesIO(b"".join(seal_stream(key, output_aad(header.sha384, len(files)), messages)))
            files.append(Output(name=output.name, schema=output.schema, file=file))
    rows = {output.name: sum(table.num_rows for table in shards) for output, shards in outputs.items()}
    volumes = msgspec.structs.replace(
        CLAIMS.volumes, **{**counts_of(header.schemas, rows, withheld=bool(used)), **stated}
    )
    claims = msgspec.structs.replace(CLAIMS, volumes=volumes, column_keys=used or UNSET)
    compact = sign(claims, RECEIPT_KEY)
    receipt = verify_receipt(compact, key=RECEIPT_KEY.public_key(), expected=Expected(simulated=False))
    return Result(job=JOB, header=header, outputs=tuple(files), receipt=receipt, attested=cast("AttestedWorker", None))


def status_of(rows: int, bad: int) -> pa.Table:
    """The status of a shard, one of whose rows cannot be used."""
    status = RowStatus.all_ok(rows).found(np.array([bad]), status=Status.NOT_USABLE, code=7)
    return pa.Table.from_batches([status.to_batch(0)])


def test_no_rows_out_are_compared_or_confirmed_of_sealed_columns() -> None:
    """The receipt states none; one that states some is not of an honest worker."""
    outputs = {
        OutputPart(name="result", schema="person/1"): [pa.table({"last": ["A", "B"]})],
        OutputPart(name="row_status", schema="row_status/1"): [status_of(2, 1)],
    }
    sealed = sealed_result(outputs, used=(USED,))
    assert sealed.receipt.claims.volumes.rows_out == 0
    require_consistent(sealed.receipt, sealed.header)
    with sealed:
        assert open_result(sealed, KEY)
        with pytest.raises(SpecError, match="the job had sealed columns"):
            confirm(sealed, KeyDecrypter(KEY), new_signing_key(), now=datetime.now(UTC))
    loud = sealed_result(outputs, used=(USED,), rows_out=2)
    with pytest.raises(Unverified, match="rows_out is 2, counted 0"):
        require_consistent(loud.receipt, loud.header)


def test_a_receipt_prints_column_keys_and_no_rows_out() -> None:
    claims = msgspec.structs.replace(CLAIMS, column_keys=(USED,))
    assert receipt_rows._rows_out(claims) == "out not stated, because columns were sealed"
    assert receipt_rows._rows_out(CLAIMS) == "10 out, 0 of them with criminal history"
    assert receipt_rows._column_keys(UNSET) == {}
    assert receipt_rows._column_keys(claims.column_keys) == {
        "statements": "0a" * 48,
        "column keys": f"{'0b' * 8}... under p (AEAD_AES_256_CBC_HMAC_SHA256)",
    }


def test_a_receipt_of_other_column_keys_is_not_the_jobs() -> None:
    expected = Expected(simulated=False, column_keys=(USED,))
    other = msgspec.structs.replace(USED, statement_sha384="0c" * 48)
    for used in (UNSET, (other,), (USED, other)):
        claims = msgspec.structs.replace(CLAIMS, column_keys=used)
        assert all(name.startswith("column_keys") for name in expected.differences(claims))
        assert expected.differences(claims)
    assert not expected.differences(msgspec.structs.replace(CLAIMS, column_keys=(USED,)))


def test_outputs_are_read_shard_after_shard() -> None:
    result = OutputPart(name="result", schema="person/1", shards=2)
    row_status = OutputPart(name="row_status", schema="row_status/1", shards=3)
    names = [pa.table({"last": ["A", "B"]}), pa.table({"last": ["C"]})]
    statuses = [status_of(2, 1), status_of(1, 0), status_of(3, 2)]
    sealed = sealed_result({result: names, row_status: statuses})
    assert sealed.names == ("result", "row_status")
    assert [part.name for part in sealed.header.parts] == ["result"] * 2 + ["row_status"] * 3
    opened = open_result(sealed, KEY)
    assert opened["result"] == pa.concat_tables(names)
    whole = RowStatus.concatenate([RowStatus.all_ok(6)]).found(np.array([1, 2, 5]), status=Status.NOT_USABLE, code=7)
    assert opened["row_status"].combine_chunks() == pa.Table.from_batches([whole.to_batch(0)])
    with pytest.raises(Unverified, match="row_status"):
        open_result(sealed_result({result: names, row_status: statuses}, rows_in=7), KEY)
    other = [names[0], pa.table({"last": pa.array(["C"], pa.binary())})]
    with pytest.raises(Unverified, match="different schemas"):
        open_result(sealed_result({result: other, row_status: statuses}), KEY)


RECORDS = [pa.table({"subject": ["S1", "S2", "S1"]}), pa.table({"subject": ["S3"]})]
STATUSES = [status_of(3, 0), status_of(2, 1)]
SUBJECTS = [pa.table({"subject": ["S1", "S2"]}), pa.table({"subject": ["S3"]})]
STATUS = OutputPart(name="row_status", schema="row_status/1", shards=2)
SHARDED = {
    OutputPart(name="result", schema="chri_event/1", shards=2): RECORDS,
    STATUS: STATUSES,
    OutputPart(name="ledger", schema="ledger/1", shards=2): SUBJECTS,
}
COUNTS = {"rows_in": ("row_status", 5), "rows_out": ("result", 4), "subjects_out": ("ledger", 3)}


def test_honest_counts_of_shards_are_accepted() -> None:
    with sealed_result(SHARDED) as sealed:
        found = {name: table.num_rows for name, table in open_result(sealed, KEY).items()}
        volumes = sealed.receipt.claims.volumes
    assert found == dict(COUNTS.values())
    assert {name: getattr(volumes, name) for name in COUNTS} == {name: rows for name, (_, rows) in COUNTS.items()}
    assert volumes.chri_rows_out == 4


@pytest.mark.parametrize("more", [1, -1])
@pytest.mark.parametrize("count", COUNTS)
def test_a_count_that_is_not_the_opened_one_is_refused(count: str, more: int) -> None:
    """Red before: only `rows_in` was compared."""
    output, rows = COUNTS[count]
    stated: dict[str, Any] = {count: rows + more}
    with sealed_result(SHARDED, **stated) as sealed:
        for name in sealed.names:
            if name != output:
                list(read_output(sealed, KEY, name))
        with pytest.raises(Unverified, match=f"{count} is {rows + more}, counted {rows}") as refused:
            list(read_output(sealed, KEY, output))
    assert refused.value.check == "volumes"


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize("output", SHARDED, ids=lambda output: output.name)
def test_a_row_less_in_any_shard_is_refused(output: OutputPart, shard: int) -> None:
    honest = dict(COUNTS.values())
    stated: dict[str, Any] = counts_of({each.name: each.schema for each in SHARDED}, honest, withheld=False)
    shards = list(SHARDED[output])
    shards[shard] = shards[shard].slice(1)
    with sealed_result({**SHARDED, output: shards}, **stated) as sealed, pytest.raises(Unverified) as refused:
        open_result(sealed, KEY)
    assert refused.value.check == "volumes"


@pytest.mark.parametrize(
    ("schema", "stated"),
    [
        ("chri_event/1", {"chri_rows_out": 3}),
        ("chri_event/1", {"chri_rows_out": 0}),
        ("chri_event/1", {"subjects_out": 3}),
        ("person/1", {"chri_rows_out": 4}),
    ],
)
def test_counts_that_contradict_each_other_open_nothing(schema: str, stated: dict[str, Any]) -> None:
    """Red before: nobody compared them. Without a ledger the rows of the result count as subjects."""
    outputs = {OutputPart(name="result", schema=schema, shards=2): RECORDS, STATUS: STATUSES}
    with sealed_result(outputs) as honest:
        require_consistent(honest.receipt, honest.header)
    with sealed_result(outputs, **stated) as sealed:
        with pytest.raises(Unverified) as refused:
            require_consistent(sealed.receipt, sealed.header)
        assert refused.value.check == "volumes"
        with pytest.raises(Unverified, match=next(iter(stated))):
            list(read_output(sealed, KEY, "result"))


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


def said(task: int, *, parts: tuple[int, ...], rows: tuple[int, int, int]) -> Statement:
    """The statement of a task that wrote these parts of `SHARDED`; `rows` of result, row status and ledger."""
    (compact,) = HONEST.statements()[:1]
    parts_out = tuple(StatedPart(part=n, segments=1, bytes=1, tags_sha256="A" * 43, sha256="A" * 43) for n in parts)
    counts = dict(zip(("rows_out", "rows_status", "subjects_out"), rows, strict=True))
    changes: dict[str, Any] = {"stage": "apply", "task": task, "parts_out": parts_out, **counts}
    return msgspec.structs.replace(read_statement(compact), **changes)


def test_each_shard_has_the_rows_of_its_statement() -> None:
    """Two lies that cancel each other out leave every sum as it is; only the shards show them."""
    with sealed_result(SHARDED) as sealed:
        rows, header = count_rows(sealed, KEY), sealed.header
    assert rows == (3, 1, 3, 2, 2, 1)
    honest = [said(0, parts=(0, 2, 4), rows=(3, 3, 2)), said(1, parts=(1, 3, 5), rows=(1, 2, 1))]
    require_shards(header, honest, rows, withheld=False)
    require_shards(
        header, [*honest, said(0, parts=(0, 2, 4), rows=(9, 9, 9))], rows, withheld=False
    )  # an earlier attempt
    for first, second, what in (
        ((2, 3, 2), (2, 2, 1), "task 0 of apply states 2 rows of result, counted 3"),
        ((3, 2, 2), (1, 3, 1), "task 0 of apply states 2 rows of row_status, counted 3"),
        ((3, 3, 1), (1, 2, 2), "task 0 of apply states 1 rows of ledger, counted 2"),
    ):
        lies = [said(0, parts=(0, 2, 4), rows=first), said(1, parts=(1, 3, 5), rows=second)]
        with pytest.raises(Unverified, match=what) as refused:
            require_shards(header, lies, rows, withheld=False)
        assert refused.value.check == "volumes"
    quiet = [said(0, parts=(0, 2, 4), rows=(0, 3, 0)), said(1, parts=(1, 3, 5), rows=(0, 2, 0))]
    require_shards(header, quiet, rows, withheld=True)  # of a job with sealed columns
    for loud in (quiet[1:] + honest[:1], [said(0, parts=(0, 2, 4), rows=(0, 2, 0))]):
        with pytest.raises(Unverified):
            require_shards(header, loud, rows, withheld=True)

"""Rows of the pitfall list that concern records: bombs (E08), hostile values (E13), lost rows (E14), leaks (L02)."""

import gc
import itertools

import pyarrow as pa

from cji_core.errors import Reason
from cji_core.format.records import END_OF_STREAM, StreamReader, StreamWriter, tagged, window_bytes
from cji_core.wire.v1 import worker_pb2 as wire
from tests.support.contexts import context, prepare_batch
from tests.support.refusals import refused

KEY = bytes(range(32))
LIMIT = 1 << 20
COLUMNS = ("SID", "SOC", "DOB", "postcode", "last")
SCHEMA = tagged("person/1", [pa.field(name, pa.utf8()) for name in COLUMNS])
OPERATION = wire.Operation(
    deidentify=wire.Deidentify(
        project="p",
        wrapped_project_key=b"sealed",
        columns=[
            wire.ColumnRule(column="SID", hmac_token=wire.HmacToken(domain="sid", bits=128)),
            wire.ColumnRule(column="SOC", mask={"keep_last": 4, "with": "*"}),
            wire.ColumnRule(column="DOB", date_shift=wire.DateShift(subject_column="SID", max_days=30)),
            wire.ColumnRule(column="postcode", generalise=wire.Generalise(zip_prefix=wire.ZipPrefix(digits=3))),
            wire.ColumnRule(column="last", hmac_token=wire.HmacToken(domain="name", bits=80)),
        ],
    )
)
HOSTILE = (
    *("9223372036854775808", "-1", "NaN", "inf", "1e9", "0x10", "\0", "a\0b", "\u202e321-45-6789", "\ufeff12345"),
    *(
        "\uff11\uff12\uff13\uff14\uff15",
        "\u0967\u0968\u0969\u096a\u096b",
        "=cmd|' /C calc'!A0",
        "{{7*7}}",
        "%s%n",
        "../../etc/passwd",
        "x" * 5000,
    ),
    *("00000000", "99991231", "00010101", "20250229", "2025-2-9", "20250101 ", " 20250101", "XXXXXXXX", "xx"),
)


def read(data: bytes) -> list[pa.RecordBatch]:
    reader = StreamReader(memoryview(bytearray(window_bytes(LIMIT))), max_batch_rows=1 << 16, max_batch_bytes=LIMIT)
    reader.free[: len(data)] = data
    reader.advance(len(data))
    batches = list(reader.batches())
    reader.finish()
    return batches


def hostile_batch() -> pa.RecordBatch:
    rows = list(itertools.islice(itertools.product((*HOSTILE, None, ""), repeat=2), 700))
    arrays = [pa.array([row[i % 2] for row in rows], pa.utf8()) for i in range(len(COLUMNS))]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def test_e08_a_compressed_body_is_refused_and_not_expanded() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["0" * 9000] * 100)] * len(COLUMNS), schema=SCHEMA)
    for codec in ("lz4", "zstd"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
            writer.write_batch(batch)
        gc.collect()  # what other tests left must not end in between
        before = pa.total_allocated_bytes()
        with refused(Reason.SCHEMA_MISMATCH):
            read(sink.getvalue().to_pybytes())
        assert pa.total_allocated_bytes() <= before


def test_e13_hostile_values_stay_values() -> None:
    batch = hostile_batch()
    applied = prepare_batch(OPERATION, "person/1", SCHEMA, context(KEY)).apply(batch)
    out, status = applied.batch, applied.status
    out.validate(full=True)
    assert out.num_rows == batch.num_rows
    tokens = [value for value in out.column("last").to_pylist() if value is not None]
    assert len(set(tokens)) == len({value for value in batch.column("last").to_pylist() if value})
    assert {value for value in out.column("postcode").to_pylist() if value} == set()
    assert sum(status.counts()) == batch.num_rows


def test_e13_lone_surrogates_and_overlong_text_are_not_utf8() -> None:
    writer = StreamWriter(SCHEMA, max_batch_bytes=LIMIT)
    batch = pa.RecordBatch.from_arrays([pa.array(["abc"])] * len(COLUMNS), schema=SCHEMA)
    message = next(writer.batch_messages(batch)).to_pybytes()
    for bad in (b"\xed\xa0\x80", b"\xe0\x80\xaf", b"\xff\xfe\xfd"):
        with refused(Reason.SCHEMA_MISMATCH):
            read(writer.schema_message().to_pybytes() + message.replace(b"abc", bad) + END_OF_STREAM)


def test_e14_every_row_is_accounted_for_once() -> None:
    batch = hostile_batch()
    run = prepare_batch(OPERATION, "person/1", SCHEMA, context(KEY))
    numbers = []
    counts = [0, 0, 0, 0]
    for first in range(0, batch.num_rows, 64):
        part = batch.slice(first, 64)
        applied = run.apply(part)
        out, status = applied.batch, applied.status
        assert out.num_rows == part.num_rows
        numbers += status.to_batch(first).column("row").to_pylist()
        counts = [a + b for a, b in zip(counts, status.counts(), strict=True)]
    assert numbers == list(range(batch.num_rows))
    assert sum(counts) == batch.num_rows


def test_l02_a_refusal_quotes_nothing_of_a_record() -> None:
    canary = b"canary-4711-canary"
    writer = StreamWriter(SCHEMA, max_batch_bytes=LIMIT)
    batch = pa.RecordBatch.from_arrays([pa.array([canary.decode()])] * len(COLUMNS), schema=SCHEMA)
    message = next(writer.batch_messages(batch)).to_pybytes().replace(canary, canary[:-1] + b"\xff")
    with refused(Reason.SCHEMA_MISMATCH) as refusal:
        read(writer.schema_message().to_pybytes() + message + END_OF_STREAM)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
    for text in (str(refusal.value), repr(refusal.value), repr(refusal.value.args)):
        assert "canary" not in text

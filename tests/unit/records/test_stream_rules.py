"""What a stream may not be, one refusal each; and that reading copies nothing."""

import pyarrow as pa
import pytest

from cji_core.errors import Reason
from cji_core.format.job import LIMITS
from cji_core.format.records import END_OF_STREAM, RESERVE_BYTES, StreamReader, StreamWriter, tagged, window_bytes
from cji_core.format.records.stream import MAX_HEADER_BYTES
from cji_worker.cell.process import WINDOW_BYTES
from tests.support.refusals import refused

LIMIT = 1 << 16
SCHEMA = tagged("person/1", [pa.field("last", pa.utf8())])


def reader_of(data: bytes, *, rows: int = 100, size: int = LIMIT) -> StreamReader:
    reader = StreamReader(
        memoryview(bytearray(max(len(data), window_bytes(LIMIT)))), max_batch_rows=rows, max_batch_bytes=size
    )
    reader.free[: len(data)] = data
    reader.advance(len(data))
    return reader


def read(data: bytes, **limits: int) -> None:
    list(reader_of(data, **limits).batches())


def arrow_stream(batch: pa.RecordBatch, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def batch_of(values: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"last": values}, schema=SCHEMA)


def test_arrows_own_writer_is_read_in_place() -> None:
    reader = reader_of(arrow_stream(batch_of(["neumann", None, "painter"])))
    for batch in reader.batches():
        assert batch.to_pydict() == {"last": ["neumann", None, "painter"]}
        window = pa.py_buffer(reader._window)
        data = batch.column(0).buffers()[2]
        assert window.address <= data.address < window.address + window.size
    reader.finish()


def test_compression_is_refused() -> None:
    for codec in ("lz4", "zstd"):
        if pa.Codec.is_available(codec):
            with refused(Reason.SCHEMA_MISMATCH):
                read(arrow_stream(batch_of(["a" * 200] * 50), compression=codec))


def test_dictionaries_are_refused() -> None:
    batch = pa.record_batch({"last": pa.array(["a", "b"]).dictionary_encode()})
    with refused(Reason.SCHEMA_MISMATCH):
        read(arrow_stream(batch))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([{"x": 1}]),
        pa.array([[["deep"]]]),
        pa.array(["a"], pa.large_utf8()),
        pa.array(["a"], pa.string_view()),
        pa.array([None]),
        pa.array([1.5], pa.float32()),
        pa.array([[(1, 2)]], pa.map_(pa.int8(), pa.int8())),
    ],
    ids=lambda array: str(array.type),
)
def test_types_that_no_schema_has_are_refused(array: pa.Array) -> None:
    with refused(Reason.SCHEMA_MISMATCH):
        read(arrow_stream(pa.record_batch({"last": array})))


def test_old_framing_is_refused() -> None:
    with refused(Reason.SCHEMA_MISMATCH):
        read(arrow_stream(batch_of(["a"]), use_legacy_format=True))


def test_text_that_is_not_utf8_is_refused() -> None:
    data = arrow_stream(batch_of(["neumann"]))
    with refused(Reason.SCHEMA_MISMATCH):
        read(data.replace(b"neumann", b"neu\xffann"))


def test_too_many_rows_or_bytes_are_refused_before_the_body() -> None:
    data = arrow_stream(batch_of(["neumann"] * 101))
    with refused(Reason.LIMIT_EXCEEDED):
        read(data)
    with refused(Reason.LIMIT_EXCEEDED):
        read(data, rows=101, size=700)
    head = SCHEMA.serialize().size
    with refused(Reason.LIMIT_EXCEEDED):
        read(data[: head + 300], rows=101, size=700)
    with refused(Reason.LIMIT_EXCEEDED):
        read(data[:head] + b"\xff\xff\xff\xff\x00\x00\x00\x7f")


def test_a_header_has_a_limit_of_its_own() -> None:
    claimed = MAX_HEADER_BYTES + 8
    reader = StreamReader(memoryview(bytearray(4 * claimed)), max_batch_rows=1, max_batch_bytes=1)
    prefix = b"\xff\xff\xff\xff" + claimed.to_bytes(4, "little")
    reader.free[:8] = prefix
    reader.advance(8)
    with refused(Reason.LIMIT_EXCEEDED):
        list(reader.batches())


def test_an_empty_stream_is_legal_and_no_schema_is_not() -> None:
    reader = reader_of(SCHEMA.serialize().to_pybytes() + END_OF_STREAM)
    assert list(reader.batches()) == []
    reader.finish()
    assert reader.schema is not None
    assert reader.schema.metadata == {b"cji.schema": b"person/1"}
    bare = reader_of(END_OF_STREAM)
    assert list(bare.batches()) == []
    with refused(Reason.SCHEMA_MISMATCH):
        bare.finish()


def test_room_for_a_segment_is_left_after_every_drain() -> None:
    writer = StreamWriter(SCHEMA, max_batch_bytes=LIMIT)
    message = next(writer.batch_messages(batch_of(["n" * 600] * 100))).to_pybytes()
    data = writer.schema_message().to_pybytes() + message * 40 + END_OF_STREAM
    reader = StreamReader(memoryview(bytearray(window_bytes(LIMIT))), max_batch_rows=100, max_batch_bytes=LIMIT)
    rows = 0
    for position in range(0, len(data), 50_000):
        piece = data[position : position + 50_000]
        assert len(reader.free) >= RESERVE_BYTES
        reader.free[: len(piece)] = piece
        reader.advance(len(piece))
        rows += sum(batch.num_rows for batch in reader.batches())
    reader.finish()
    assert rows == 4000


def test_a_large_batch_is_cut_by_rows() -> None:
    writer = StreamWriter(SCHEMA, max_batch_bytes=4096)
    values: list[str | None] = [f"{i:0100}" for i in range(100)]
    messages = list(writer.batch_messages(batch_of(values)))
    assert len(messages) > 1
    assert all(message.size <= 4096 for message in messages)
    data = writer.schema_message().to_pybytes() + b"".join(m.to_pybytes() for m in messages) + END_OF_STREAM
    assert pa.ipc.open_stream(data).read_all().column(0).to_pylist() == values
    with refused(Reason.LIMIT_EXCEEDED):
        list(writer.batch_messages(batch_of(["x" * 5000])))


def test_misuse_by_the_caller_is_no_refusal() -> None:
    with pytest.raises(ValueError, match="writable"):
        StreamReader(memoryview(bytes(64)), max_batch_rows=1, max_batch_bytes=1)
    reader = StreamReader(memoryview(bytearray(64)), max_batch_rows=1, max_batch_bytes=1)
    with pytest.raises(ValueError, match="room"):
        reader.advance(65)
    with pytest.raises(ValueError, match="another schema"):
        list(StreamWriter(SCHEMA, max_batch_bytes=1).batch_messages(pa.record_batch({"x": ["y"]})))


def test_a_cells_window_fits_the_largest_batch_and_a_segment() -> None:
    assert window_bytes(LIMITS.batch_bytes) <= WINDOW_BYTES

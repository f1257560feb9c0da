"""Any bytes, any split, give batches or a Refusal; a valid stream gives what Arrow's own reader gives."""

import random
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.errors import Reason, Refusal
from cji_core.format.records import StreamReader, StreamWriter, window_bytes
from cji_core.format.records.stream import END_OF_STREAM
from tests.support.refusals import refused

LIMIT = 1 << 16
untimed = settings(deadline=None)


def stream_of(batches: list[pa.RecordBatch], schema: pa.Schema) -> bytes:
    writer = StreamWriter(schema, max_batch_bytes=LIMIT)
    parts = [writer.schema_message().to_pybytes()]
    parts += [message.to_pybytes() for batch in batches for message in writer.batch_messages(batch)]
    return b"".join([*parts, END_OF_STREAM])


def read_all(data: bytes, cuts: list[int], window: int = window_bytes(LIMIT)) -> tuple[pa.Schema, list[dict[str, Any]]]:
    reader = StreamReader(memoryview(bytearray(window)), max_batch_rows=1000, max_batch_bytes=LIMIT)
    out: list[dict[str, Any]] = []
    position = 0
    while position < len(data):
        n = min(cuts.pop() if cuts else len(data), len(reader.free), len(data) - position)
        assert n, "free is empty while a legal message is incomplete"
        reader.free[:n] = data[position : position + n]
        reader.advance(n)
        position += n
        out += [batch.to_pydict() for batch in reader.batches()]
    out += [batch.to_pydict() for batch in reader.batches()]
    reader.finish()
    assert reader.schema is not None
    return reader.schema, out


columns = st.lists(
    st.sampled_from([pa.utf8(), pa.binary(), pa.uint8(), pa.uint64(), pa.bool_(), pa.list_(pa.uint16())]),
    min_size=1,
    max_size=4,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    types = draw(columns)
    schema = pa.schema([(f"c{i}", t) for i, t in enumerate(types)], metadata={"cji.schema": "x"})
    values = {
        pa.utf8(): st.text("aé語\0", max_size=9),
        pa.binary(): st.binary(max_size=9),
        pa.uint8(): st.integers(0, 255),
        pa.uint64(): st.integers(0, 2**64 - 1),
        pa.bool_(): st.booleans(),
        pa.list_(pa.uint16()): st.lists(st.integers(0, 65535), max_size=3),
    }
    batches = []
    for rows in draw(st.lists(st.integers(0, 20), max_size=4)):
        arrays = [pa.array(draw(st.lists(st.none() | values[t], min_size=rows, max_size=rows)), type=t) for t in types]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return schema, batches


@untimed
@given(tables(), st.lists(st.integers(1, 400), max_size=60))
def test_equal_to_arrow_with_any_chunking(table: tuple[pa.Schema, list[pa.RecordBatch]], cuts: list[int]) -> None:
    schema, batches = table
    data = stream_of(batches, schema)
    expected = [batch.to_pydict() for batch in pa.ipc.open_stream(data)]
    got_schema, got = read_all(data, cuts)
    assert got == expected
    assert got_schema.equals(schema, check_metadata=True)


@untimed
@given(tables(), st.lists(st.integers(1, 400), max_size=60))
def test_a_window_as_large_as_the_largest_message_is_enough(
    table: tuple[pa.Schema, list[pa.RecordBatch]], cuts: list[int]
) -> None:
    schema, batches = table
    data = stream_of(batches, schema)
    writer = StreamWriter(schema, max_batch_bytes=LIMIT)
    sizes = [m.size for b in batches for m in writer.batch_messages(b)]
    largest = max([writer.schema_message().size, *sizes])
    assert read_all(data, list(cuts), largest)[1] == [batch.to_pydict() for batch in batches]
    with refused(Reason.LIMIT_EXCEEDED):
        read_all(data, list(cuts), largest - 1 - (largest - 1) % 8)


@given(tables(), st.data())
@settings(max_examples=400, deadline=None)
def test_truncated_is_refused(table: tuple[pa.Schema, list[pa.RecordBatch]], data: st.DataObject) -> None:
    whole = stream_of(table[1], table[0])
    with refused(Reason.SCHEMA_MISMATCH):
        read_all(whole[: data.draw(st.integers(0, len(whole) - 1))], [])


@untimed
@given(tables(), st.binary(min_size=1, max_size=40))
def test_bytes_behind_the_end_are_refused(table: tuple[pa.Schema, list[pa.RecordBatch]], extra: bytes) -> None:
    with refused():
        read_all(stream_of(table[1], table[0]) + extra, [])


@untimed
@given(st.binary(max_size=600), st.lists(st.integers(1, 50), max_size=20))
def test_any_bytes(data: bytes, cuts: list[int]) -> None:
    with refused():
        read_all(data, cuts)


def use(batches: list[dict[str, Any]]) -> int:
    return sum(len(repr(batch)) for batch in batches)


@given(tables(), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=500, deadline=None)
def test_damaged_bytes_never_crash(
    table: tuple[pa.Schema, list[pa.RecordBatch]], damage: list[tuple[int, int]]
) -> None:
    data = bytearray(stream_of(table[1], table[0]))
    for position, value in damage:
        data[position % len(data)] = value
    try:
        use(read_all(bytes(data), [])[1])
    except Refusal:
        return


@given(tables(), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=3))
@settings(max_examples=500, deadline=None)
def test_batches_pass_exactly_where_arrow_validates_them_in_full(
    table: tuple[pa.Schema, list[pa.RecordBatch]], damage: list[tuple[int, int]]
) -> None:
    """Only bodies are damaged: offsets, validity and values. The shortcut for ASCII may not change a verdict."""
    schema, batches = table
    for batch in batches:
        message = bytearray(batch.serialize().to_pybytes())
        body = 8 + int.from_bytes(message[4:8], "little")
        for position, byte in damage if body < len(message) else []:
            message[body + position % (len(message) - body)] = byte
        stream = schema.serialize().to_pybytes() + message + END_OF_STREAM
        try:
            pa.ipc.read_record_batch(pa.py_buffer(bytes(message)), schema).validate(full=True)
        except (pa.ArrowException, ValueError):
            with refused():
                read_all(stream, [])
        else:
            reader = StreamReader(memoryview(bytearray(stream)), max_batch_rows=1000, max_batch_bytes=LIMIT)
            reader.advance(len(stream))
            assert [b.num_rows for b in reader.batches()] == [batch.num_rows]


def test_every_header_word_replaced_by_hostile_numbers() -> None:
    schema = pa.schema([("a", pa.utf8()), ("b", pa.list_(pa.uint16()))], metadata={"cji.schema": "x"})
    batch = pa.RecordBatch.from_pydict({"a": ["one", None, "three"], "b": [[1], None, [2, 3]]}, schema=schema)
    data = stream_of([batch], schema)
    hostile = [0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF8, 0x00010000]
    refused = 0
    for position in range(0, len(data) - 4, 4):
        for number in hostile:
            damaged = data[:position] + number.to_bytes(4, "little") + data[position + 4 :]
            try:
                use(read_all(damaged, [])[1])
            except Refusal:
                refused += 1
    assert refused > len(data) / 4  # most of the words of a header matter


def test_random_order_of_messages() -> None:
    schema = pa.schema([("a", pa.utf8())], metadata={"cji.schema": "x"})
    batch = pa.RecordBatch.from_pydict({"a": ["x"] * 5}, schema=schema)
    writer = StreamWriter(schema, max_batch_bytes=LIMIT)
    head = writer.schema_message().to_pybytes()
    body = next(writer.batch_messages(batch)).to_pybytes()
    legal = [[head, END_OF_STREAM], [head, body, END_OF_STREAM], [head, body, body, END_OF_STREAM]]
    generator = random.Random(7)
    for _ in range(300):
        order = generator.choices([head, body, END_OF_STREAM], k=generator.randint(0, 4))
        if order in legal:
            read_all(b"".join(order), [])
        else:
            with refused():
                read_all(b"".join(order), [])

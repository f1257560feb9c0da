"""Headers that Arrow's own writer does not make: built here by hand, byte by byte."""

import struct

import pytest

from cji_core.errors import Reason
from cji_core.format.records.flatbuffer import MessageHeader, MessageKind, read_header
from tests.support.refusals import refused


def schema_header(*, version: int = 4, kind: int = 1, endianness: int = 0, body: int = 0, table: int = 18) -> bytes:
    """A Message table at 16 with its vtable at 4, and its Schema table at 42 with its vtable at 36."""
    return (
        struct.pack("<I", 16)
        + struct.pack("<6H", 12, 20, 4, 6, 8, 12)
        + struct.pack("<ihBxIq", 12, version, kind, table, body)
        + struct.pack("<3H", 6, 6, 4)
        + struct.pack("<ih", 6, endianness)
    )


def batch_header(
    *,
    rows: int = 5,
    nodes: tuple[tuple[int, int], ...] = ((5, 1),),
    buffers: tuple[tuple[int, int], ...] = ((0, 8), (8, 24)),
    count: int | None = None,
    body: int = 32,
) -> bytes:
    """The same Message around a RecordBatch table at 46, its vectors behind it."""
    vectors = struct.pack("<I", len(nodes)) + b"".join(struct.pack("<qq", *node) for node in nodes)
    behind = 46 + 4 + 8 + 4 + 4
    return (
        schema_header(kind=3, body=body, table=46 - 24)[:36]
        + struct.pack("<5H", 10, 20, 4, 12, 16)
        + struct.pack("<iqII", 10, rows, behind - 58, behind - 62 + len(vectors))
        + vectors
        + struct.pack("<I", len(buffers) if count is None else count)
        + b"".join(struct.pack("<qq", *buffer) for buffer in buffers)
    )


def test_a_batch_that_lies_inside_its_body_is_read() -> None:
    header = read_header(memoryview(batch_header()))
    assert header == MessageHeader(kind=MessageKind.RECORD_BATCH, rows=5, body_bytes=32)


@pytest.mark.parametrize(
    "bad",
    [
        batch_header(rows=-1),
        batch_header(nodes=((-1, -1),)),
        batch_header(nodes=((5, -1),)),
        batch_header(nodes=((5, 6),)),
        batch_header(buffers=((0, 40),)),
        batch_header(buffers=((8, 32),)),
        batch_header(buffers=((40, 0),)),
        batch_header(buffers=((4, 8),)),
        batch_header(buffers=((-8, 8),)),
        batch_header(buffers=((0, -8),)),
        batch_header(buffers=((2**63 - 8, 8),)),
        batch_header(buffers=((8, 2**63 - 1),)),
        batch_header(count=3),
        batch_header(count=2**32 - 1),
        batch_header(buffers=(), body=-8),
        batch_header(body=31),
    ],
)
def test_a_batch_that_reaches_outside_is_refused(bad: bytes) -> None:
    with refused(Reason.SCHEMA_MISMATCH):
        read_header(memoryview(bad))


@pytest.mark.parametrize("version", [3, 4])
def test_both_versions_that_writers_use_are_read(version: int) -> None:
    header = read_header(memoryview(schema_header(version=version)))
    assert header == MessageHeader(kind=MessageKind.SCHEMA, rows=0, body_bytes=0)


@pytest.mark.parametrize(
    "bad",
    [
        schema_header(endianness=1),
        schema_header(body=8),
        schema_header(body=-8),
        schema_header(kind=0),
        schema_header(kind=2),
        schema_header(kind=4),
        schema_header(version=2),
        schema_header(version=5),
        schema_header(table=0xFFFFFFFF),
        schema_header(kind=3, body=-8),
        schema_header(kind=3, body=4),
        schema_header()[:-1],
        b"",
        b"\x10\x00\x00\x00",
        b"\xff\xff\xff\xff" + bytes(60),
    ],
)
def test_the_rest_is_refused(bad: bytes) -> None:
    with refused(Reason.SCHEMA_MISMATCH):
        read_header(memoryview(bad))


def test_a_header_cut_anywhere_is_refused() -> None:
    whole = schema_header()
    for length in range(len(whole)):
        with refused(Reason.SCHEMA_MISMATCH):
            read_header(memoryview(whole[:length]))

"""Headers that Arrow's own writer does not make: built here by hand, byte by byte."""

import struct

import pytest

from worker.errors import Refusal
from worker.records.flatbuffer import MessageHeader, MessageKind, read_header


def schema_header(*, version: int = 4, kind: int = 1, endianness: int = 0, body: int = 0, table: int = 18) -> bytes:
    """A Message table at 16 with its vtable at 4, and its Schema table at 42 with its vtable at 36."""
    return (
        struct.pack("<I", 16)
        + struct.pack("<6H", 12, 20, 4, 6, 8, 12)
        + struct.pack("<ihBxIq", 12, version, kind, table, body)
        + struct.pack("<3H", 6, 6, 4)
        + struct.pack("<ih", 6, endianness)
    )


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
    with pytest.raises(Refusal):
        read_header(memoryview(bad))


def test_a_header_cut_anywhere_is_refused() -> None:
    whole = schema_header()
    for length in range(len(whole)):
        with pytest.raises(Refusal):
            read_header(memoryview(whole[:length]))

"""Messages of `Run` from blobs: whatever the length of a stream, the messages are the stream, cut at its segments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.job import LIMITS
from cji_core.pool.errors import BlobAbsentError, BlobTooLargeError
from cji_core.pool.store import Version
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.fleet.attempt import number_of_parts, requests

FLOE, SEGMENT = LIMITS.floe_header_bytes, LIMITS.segment_bytes


class Sizes:
    """Blobs by their sizes alone; a range is described instead of read."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = {f"job/parts/{part:05d}": size for part, size in enumerate(sizes)}

    def version(self, name: str) -> Version:
        if name not in self._sizes:
            raise BlobAbsentError
        return Version(self._sizes[name], "tag")

    def read_range(self, name: str, version: Version, *, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= version.size
        return b"%d %d" % (offset, length)


def header(*shards: int) -> bytes:
    inputs = [pb.InputPart(name="a", schema="s", shards=each) for each in shards]
    return pb.JobHeader(version=1, inputs=inputs).SerializeToString()


def sent(blobs: Any, data: bytes) -> list[pb.RunRequest]:
    return list(requests(blobs, "job", opening=pb.Open(header=data)))


@given(st.integers(0, 5 * SEGMENT))
def test_the_messages_are_the_stream_cut_at_its_segments(size: int) -> None:
    first, *segments, last = sent(Sizes(size), header(0))
    assert first.WhichOneof("message") == "open"
    assert last.WhichOneof("message") == "finish"
    ranges = [tuple(map(int, each.segment.data.split())) for each in segments]
    assert [each.segment.index for each in segments] == list(range(len(ranges)))
    at = 0
    for number, (offset, length) in enumerate(ranges):
        assert offset == at
        whole = SEGMENT + (FLOE if number == 0 else 0)
        assert length == whole or (number == len(ranges) - 1 and length < whole)
        at += length
    assert at == size
    assert ranges


def test_parts_are_those_of_the_header_in_order() -> None:
    assert number_of_parts(header(0, 0, 0)) == 3
    assert number_of_parts(header(0, 5)) == 6
    assert number_of_parts(b"\xff\xff") == 0
    assert number_of_parts(header(*[4_000_000_000] * 3)) == LIMITS.parts + LIMITS.shards
    parts = [each.segment.part for each in sent(Sizes(10, 20), header(0, 0))[1:-1]]
    assert parts == [0, 1]


def test_a_part_that_is_not_there_and_parts_that_are_too_large() -> None:
    with pytest.raises(BlobAbsentError):
        sent(Sizes(10), header(0, 0))
    with pytest.raises(BlobTooLargeError):
        sent(Sizes(10, LIMITS.job_bytes), header(0, 0))

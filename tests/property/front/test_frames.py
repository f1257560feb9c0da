"""Segments taken apart and put together by hand, beside protobuf."""

from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.front.frames import SegmentFrame, read_request, segment_response

PARTS = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
INDEXES = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
DATA = st.one_of(st.binary(max_size=300), st.integers(0, 1 << 17).map(bytes))


def assert_read_as_protobuf_does(raw: bytes) -> None:
    found = read_request(raw)
    try:
        expected = pb.RunRequest.FromString(raw)
    except DecodeError:
        assert found == pb.RunRequest()
        return
    if expected.WhichOneof("message") == "segment":
        assert isinstance(found, SegmentFrame)
        assert (found.part, found.index, bytes(found.data)) == (
            expected.segment.part,
            expected.segment.index,
            expected.segment.data,
        )
    else:
        assert found == expected


@given(part=PARTS, index=INDEXES, data=DATA)
def test_a_segment_is_read_as_it_was_made(part: int, index: int, data: bytes) -> None:
    raw = pb.RunRequest(segment=pb.Segment(part=part, index=index, data=data)).SerializeToString()
    found = read_request(raw)
    assert isinstance(found, SegmentFrame)
    assert (found.part, found.index, bytes(found.data)) == (part, index, data)


def test_a_large_segment_is_a_view_of_what_came() -> None:
    raw = pb.RunRequest(segment=pb.Segment(part=1, index=7, data=bytes(1 << 20))).SerializeToString()
    found = read_request(raw)
    assert isinstance(found, SegmentFrame)
    assert found.data.obj is raw


@given(part=PARTS, index=INDEXES, data=DATA)
def test_a_response_has_protobufs_bytes(part: int, index: int, data: bytes) -> None:
    expected = pb.RunResponse(segment=pb.Segment(part=part, index=index, data=data)).SerializeToString()
    assert segment_response(part=part, index=index, data=memoryview(data)) == expected


@given(raw=st.binary(max_size=64))
@example(raw=b"")
@example(raw=b"\x12\x00")
@example(raw=b"\x12\x02\x1a\x00")
@example(raw=b"\x12\x05\x1a\x03abc")
@example(raw=b"\x12\x09\x1a\x01a\x1a\x04bcde")  # twice: the last one counts
@example(raw=b"\x12\x07\x10\x01\x08\x02\x1a\x01a")  # out of order
@example(raw=b"\x12\x09\x08\xff\xff\xff\xff\x7f\x1a\x01a")  # part above 32 bits
@example(raw=b"\x12\x05\x1a\x03abc\x1a\x00")  # segment, then finish
@example(raw=b"\x12\x85\x00\x1a\x03abc")  # a length of one byte in two
@example(raw=b"\x12\x06\x1a\x03abcd")
@example(raw=b"\x12\x04\x1a\x03abc")
def test_any_bytes_mean_what_they_mean_to_protobuf(raw: bytes) -> None:
    assert_read_as_protobuf_does(raw)


@given(part=st.integers(0, 300), data=st.binary(max_size=40), at=st.integers(0, 50), byte=st.integers(0, 255))
def test_a_changed_byte_means_what_it_means_to_protobuf(part: int, data: bytes, at: int, byte: int) -> None:
    raw = bytearray(pb.RunRequest(segment=pb.Segment(part=part, index=3, data=data)).SerializeToString())
    raw[at % len(raw)] = byte
    assert_read_as_protobuf_does(bytes(raw))

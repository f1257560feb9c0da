"""Pass segments between protobuf's bytes and the ring without a copy in between.

A segment is a megabyte. Protobuf copies it into its message and out of it again, each time to fresh memory. So the
front parses a Run message itself if it is a segment in the usual encoding: fields in order, each at most once, nothing
else. Anything that differs in a single byte goes to protobuf. Bytes that are not protobuf are read as an empty message.
docs/format.md has the layout.

    RunRequest  { segment = 2 }    Segment { part = 1, index = 2, data = 3 }    zero and empty fields are left out
    RunResponse { segment = 3 }
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from cji_core.wire.v1 import worker_pb2 as pb

_REQUEST_SEGMENT: Final = 0x12  # field 2, length-delimited
_RESPONSE_SEGMENT: Final = b"\x1a"  # field 3, length-delimited
_PART, _INDEX, _DATA = 0x08, 0x10, 0x1A  # fields 1 and 2, varints; field 3, length-delimited
_MAX_PART: Final = 0xFFFF_FFFF  # uint32


Request = TypeVar("Request", pb.RunRequest, pb.RunTaskRequest)


@dataclass(frozen=True, slots=True)
class SegmentFrame:
    """One segment of a request; `data` is a view of the bytes that gRPC received."""

    part: int
    index: int
    data: memoryview


class _Unusual(Exception):  # noqa: N818 - a way out, not a fault
    """Not a segment in the usual encoding."""


def read_request(raw: bytes) -> pb.RunRequest | SegmentFrame:
    """Parse a `RunRequest`; a segment becomes a SegmentFrame. Never raises."""
    return _read(raw, pb.RunRequest)


def read_task_request(raw: bytes) -> pb.RunTaskRequest | SegmentFrame:
    """Parse a `RunTaskRequest`, in which a segment is encoded as in `RunRequest`. Never raises."""
    return _read(raw, pb.RunTaskRequest)


def _read(raw: bytes, kind: type[Request]) -> Request | SegmentFrame:
    try:
        return _segment(raw)
    except (_Unusual, IndexError):
        pass
    try:
        request = kind.FromString(raw)
    except DecodeError:
        return kind()
    if request.WhichOneof("message") == "segment":
        segment = request.segment
        return SegmentFrame(segment.part, segment.index, memoryview(segment.data))
    return request


def segment_response(*, part: int, index: int, data: memoryview) -> bytes:
    """The bytes of `RunResponse(segment=Segment(part, index, data))`; `data` is copied once, to their end."""
    head = b"".join(
        tag + _varint(value) for tag, value in ((b"\x08", part), (b"\x10", index), (b"\x1a", len(data))) if value
    )
    return b"".join((_RESPONSE_SEGMENT, _varint(len(head) + len(data)), head, data))


def _segment(raw: bytes) -> SegmentFrame:
    if raw[0] != _REQUEST_SEGMENT:
        raise _Unusual
    length, at = _read_varint(raw, 1)
    if length != len(raw) - at:
        raise _Unusual
    part = index = 0
    if raw[at] == _PART:
        part, at = _read_varint(raw, at + 1)
    if raw[at] == _INDEX:
        index, at = _read_varint(raw, at + 1)
    if raw[at] != _DATA or part > _MAX_PART:
        raise _Unusual
    length, at = _read_varint(raw, at + 1)
    if length != len(raw) - at:
        raise _Unusual
    return SegmentFrame(part, index, memoryview(raw)[at:])


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """(value, position behind it)."""
    value = shift = 0
    while (byte := raw[at]) >= 0x80:
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if shift > 56:
            raise _Unusual
    return value | byte << shift, at + 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

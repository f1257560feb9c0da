"""The input parts of a job, read from Blob Storage in ranges of a segment each, as messages of `Run`.

A stream is cut by arithmetic alone: its segments all have one length but for the last (docs/format.md §3). Whether it
is whole and in order is for the cell to find out. Every range is of the version that was there at first.
"""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError

from cji_core.format.job import LIMITS
from cji_core.pool import names
from cji_core.pool.errors import BlobTooLargeError
from cji_core.pool.store import Blobs
from cji_core.wire.v1 import worker_pb2 as pb

_MAX_PARTS: Final = LIMITS.parts + LIMITS.shards


def number_of_parts(header: bytes) -> int:
    """Input parts of the job with this header; 0 for what is not a header, which the worker refuses by itself."""
    try:
        inputs = pb.JobHeader.FromString(header).inputs
    except DecodeError:
        return 0
    return min(_MAX_PARTS, sum(max(1, part.shards) for part in inputs))


def requests(jobs: Blobs, job: str, *, opening: pb.Open) -> Iterator[pb.RunRequest]:
    """Every message of the job. Raises BlobAbsentError, BlobChangedError, BlobTooLargeError, StoreAwayError."""
    yield pb.RunRequest(open=opening)
    left = LIMITS.job_bytes
    for part in range(number_of_parts(opening.header)):
        name = names.part(job, part)
        version = jobs.version(name)
        left -= version.size
        if left < 0:
            raise BlobTooLargeError("the parts are larger than any job")
        for index, (offset, length) in enumerate(_ranges(version.size)):
            data = jobs.read_range(name, version, offset=offset, length=length)
            yield pb.RunRequest(segment=pb.Segment(part=part, index=index, data=data))
    yield pb.RunRequest(finish=pb.Finish())


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each message; at least one, for an empty blob too."""
    at, first = 0, LIMITS.floe_header_bytes
    while at < size or first:
        length = min(first + LIMITS.segment_bytes, size - at)
        yield at, length
        at, first = at + length, 0

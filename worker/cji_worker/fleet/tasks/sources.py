"""The sealed streams that a task reads, segment by segment, from where they lie in Blob Storage."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cji_core.errors import Reason, RetryLater
from cji_core.errors import Stage as Where
from cji_core.format.job import LIMITS
from cji_core.operations.stages.stage import Stage
from cji_core.operations.stages.streams import EdgeStream
from cji_core.pool import names
from cji_core.pool.store import Blobs, Version
from cji_worker.fleet.tasks.job import TaskJob
from cji_worker.fleet.tasks.messages import RETRY_MS
from cji_worker.fleet.tasks.published import PublishedAttempt, attempts
from cji_worker.fleet.tasks.shuffle_blob import read_table

_READ_BYTES: Final = LIMITS.segment_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A sealed stream: a range of a blob in one version."""

    blobs: Blobs
    blob: str
    version: Version
    offset: int
    length: int
    segment_bytes: int

    def segments(self) -> Iterator[bytes]:
        """The data of each `Segment` message: the stream's header and segment 0, then segment by segment.

        Raises StoreError.
        """
        at, end, first = self.offset, self.offset + self.length, True
        while at < end or first:
            head = LIMITS.floe_header_bytes if first else 0
            whole = max(1, (_READ_BYTES // self.segment_bytes)) * self.segment_bytes + head
            data = self.blobs.read_range(self.blob, self.version, offset=at, length=min(whole, end - at))
            at, cut = at + len(data), self.segment_bytes + head
            yield data[:cut]
            for start in range(cut, len(data), self.segment_bytes):
                yield data[start : start + self.segment_bytes]
            first = False


class Producers:
    """The shuffle streams of one stage's tasks: which attempt is read, and the table of its blob, looked up once."""

    def __init__(self, job: TaskJob, shuffle: Blobs) -> None:
        self._job = job
        self._shuffle = shuffle
        self._found: dict[tuple[str, int], tuple[str, Version, list[EdgeStream], list[int]]] = {}

    def source(self, stream: EdgeStream) -> Source:
        """The place of a stream. Raises StoreError, DocumentError; INCOMPLETE if its producer has not run yet."""
        stage, written = self._job.producer(stream)
        key = (stage.name, stream.producer)
        if key not in self._found:
            attempt = self._attempt(stage, stream.producer)
            blob = names.streams(self._job.name, self._job.folder(stage), stage.name, stream.producer, attempt.attempt)
            version = self._shuffle.version(blob)
            table = read_table(self._shuffle, blob, version, len(written))
            self._found[key] = (blob, version, written, list(table))
        blob, version, written, table = self._found[key]
        at = written.index(stream)
        return Source(
            blobs=self._shuffle,
            blob=blob,
            version=version,
            offset=table[at],
            length=table[at + 1] - table[at],
            segment_bytes=LIMITS.shuffle_segment_bytes,
        )

    def _attempt(self, stage: Stage, number: int) -> PublishedAttempt:
        return published_attempts(self._job, stage, number, self._shuffle)[0]


def published_attempts(job: TaskJob, stage: Stage, number: int, shuffle: Blobs) -> tuple[PublishedAttempt, ...]:
    """The attempts of a task, the newest first. Raises StoreError, DocumentError; INCOMPLETE if there are none."""
    if stage.plans and job.planned_by is not None:
        return (job.planned_by,)
    found = attempts(shuffle, names.task(job.name, job.folder(stage), stage.name, number))
    if not found:
        raise RetryLater(Reason.INCOMPLETE, stage=Where.COMPUTE, after_ms=RETRY_MS)
    return found


def part_source(job: TaskJob, part: int, jobs: Blobs) -> Source:
    """A part of the job's inputs. Raises StoreError."""
    blob = names.part(job.name, part)
    version = jobs.version(blob)
    return Source(
        blobs=jobs, blob=blob, version=version, offset=0, length=version.size, segment_bytes=LIMITS.segment_bytes
    )

"""One attempt of a task: its streams from Blob Storage to the front, what its cell seals back, then its statement.

Nothing is published before the front has answered `done`. The statement makes an attempt readable, so it is written
after the streams; an attempt that dies leaves blobs that nobody reads, which the container's lifecycle rule deletes.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from cji_core.errors import Reason, Refusal
from cji_core.errors import Stage as Where
from cji_core.format.job.job_plan import parse_plan
from cji_core.operations.stages.stage import Stage
from cji_core.operations.stages.streams import PartStream, Stream
from cji_core.pool import names
from cji_core.pool.documents import DocumentError
from cji_core.pool.store import Blobs
from cji_core.strict import hex_decode
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.fleet.outputs import Outputs
from cji_worker.fleet.tasks.front import FrontCall
from cji_worker.fleet.tasks.job import TaskJob, with_plan
from cji_worker.fleet.tasks.published import MAX_ATTEMPTS, PublishedAttempt, PublishedPlan, digest, publish, read_plan
from cji_worker.fleet.tasks.shuffle_blob import ShuffleBlobWriter
from cji_worker.fleet.tasks.sources import Producers, Source, part_source

ATTEMPT_BYTES: Final = 16
Progressed = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The containers, for one thread."""

    jobs: Blobs
    results: Blobs
    shuffle: Blobs


@dataclass(slots=True)
class _Outputs:
    """Writes the output streams of an attempt."""

    streams: tuple[Stream, ...]
    parts: Outputs
    shuffle: ShuffleBlobWriter | None

    def add(self, segment: pb.Segment) -> None:
        """Keep or upload a segment.

        Raises StoreError; INTERNAL for one of a stream that the task does not have, LIMIT_EXCEEDED for too many.
        """
        if segment.part >= len(self.streams):
            raise Refusal(Reason.INTERNAL, stage=Where.COMPUTE)
        stream = self.streams[segment.part]
        if isinstance(stream, PartStream):
            self.parts.take(stream.part, segment.data)
        elif self.shuffle is not None:
            # shuffle streams come first, so the ordinal of a stream is its position in the blob
            self.shuffle.add(segment.part, segment.data)

    def commit(self) -> int:
        """Create the blobs; returns their bytes. Raises StoreError, LIMIT_EXCEEDED."""
        return self.parts.commit() + (0 if self.shuffle is None else self.shuffle.commit())


def run(
    job: TaskJob,
    stage: Stage,
    number: int,
    *,
    front: FrontCall,
    stores: Stores,
    reading: Stores,
    progress: Progressed,
    again: bool,
) -> tuple[PublishedAttempt, TaskJob]:
    """Run a task and publish it; returns the attempt that readers take, and the job under the plan that it made.

    `reading` are used by the thread that sends. Raises Refusal, StoreError, DocumentError.
    """
    started = time.monotonic()
    attempt = os.urandom(ATTEMPT_BYTES).hex()
    sources = _sources(job, stage, number, reading)
    folder = job.folder(stage)
    streams = job.streams.written_by(stage, number)
    edges = len([one for one in streams if not isinstance(one, PartStream)])
    blob = names.streams(job.name, folder, stage.name, number, attempt)
    writer = ShuffleBlobWriter(stores.shuffle, blob, edges) if edges else None
    outputs = _Outputs(streams, Outputs(stores.results, job=job.name, attempt=attempt), writer)
    opened = pb.OpenTask(
        header=job.submission.header,
        signature=job.submission.signature,
        submitter=job.submission.submitter,
        plan=job.plan_bytes,
        stage=stage.name,
        task=number,
        attempt=hex_decode(attempt),
        streams=len(sources),
    )
    done = front.run_task(_messages(opened, sources), segment=outputs.add, progress=progress)
    written = outputs.commit()
    ended = PublishedAttempt(
        attempt=attempt,
        statement_sha256=digest(done.statement),
        bytes_in=sum(one.length for one in sources),
        bytes_out=written,
        seconds=round(time.monotonic() - started, 3),
    )
    if stage.plans:
        return _publish_plan(job, done, ended, stores.shuffle, again=again)
    stores.shuffle.create(
        names.statement(job.name, folder, stage.name, number, attempt), done.statement.encode("ascii")
    )
    return publish(stores.shuffle, names.task(job.name, folder, stage.name, number), ended, again=again), job


def _publish_plan(
    job: TaskJob, done: pb.TaskDone, ended: PublishedAttempt, shuffle: Blobs, *, again: bool
) -> tuple[PublishedAttempt, TaskJob]:
    """The first plan stays, because streams of other tasks are bound to it, unless the task was run `again`.

    Another plan has other names for all that follows, so nothing of both is ever mixed.
    """
    parse_plan(done.plan)
    name, before = names.plan(job.name), read_plan(shuffle, job.name)
    number = 1 if before is None else min(before.number + 1, MAX_ATTEMPTS)
    made = msgspec.json.encode(PublishedPlan(number=number, plan=done.plan, by=ended, statement=done.statement))
    if not shuffle.create(name, made) and again:
        shuffle.replace(name, shuffle.version(name), made)  # else another node has just published one
    published = read_plan(shuffle, job.name)
    if published is None:
        raise DocumentError
    return published.by, with_plan(job, published)


def _sources(job: TaskJob, stage: Stage, number: int, reading: Stores) -> list[Source]:
    producers = Producers(job, reading.shuffle)
    return [
        part_source(job, one.part, reading.jobs) if isinstance(one, PartStream) else producers.source(one)
        for one in job.streams.read_by(stage, number)
    ]


def _messages(opened: pb.OpenTask, sources: list[Source]) -> Iterator[pb.RunTaskRequest]:
    yield pb.RunTaskRequest(open=opened)
    for ordinal, source in enumerate(sources):
        for index, data in enumerate(source.segments()):
            yield pb.RunTaskRequest(segment=pb.Segment(part=ordinal, index=index, data=data))
    yield pb.RunTaskRequest(finish=pb.Finish())

"""The sending side of one Run: open, the segments of every part in order, finish.

gRPC requests the next message, in its own thread, when the stream's window has room. An error is kept as `fault` and
ends the call; gRPC never sees an exception, because it would log its text.
"""

import hashlib
from collections.abc import Iterator, Sequence

import grpc

from worker.audit import PartDigest
from worker.client.errors import ClientError, SpecError
from worker.client.result import Progress
from worker.client.seal import SealedJob
from worker.client.sources import FittedSource
from worker.wire.v1 import worker_pb2 as pb


class Sender(Iterator[pb.RunRequest]):
    """All messages of a job. `sent` lists the parts that were sent completely; set `call` once it exists."""

    def __init__(self, job: SealedJob, sources: Sequence[FittedSource], *, progress: Progress | None) -> None:
        self.sent: list[PartDigest] = []
        self.fault: ClientError | None = None
        self.call: grpc.Call | None = None
        self._messages = self._produce(job, sources, progress)

    def __next__(self) -> pb.RunRequest:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except ClientError as error:
            self.fault = error
        except Exception as error:  # noqa: BLE001 - a source is the caller's code and may raise anything
            self.fault = SpecError(f"the input cannot be read ({type(error).__name__})")
            self.fault.__cause__ = error
        if self.call is not None:
            self.call.cancel()  # type: ignore[no-untyped-call]
        raise StopIteration

    def _produce(
        self, job: SealedJob, sources: Sequence[FittedSource], progress: Progress | None
    ) -> Iterator[pb.RunRequest]:
        yield pb.RunRequest(open=pb.Open(header=job.header.data, signature=job.signature))
        total = 0
        for number, source in enumerate(sources):
            for part, segments in job.seal_parts(number, source):
                digest, start = hashlib.sha256(), total
                for index, data in enumerate(segments):
                    digest.update(data)
                    yield pb.RunRequest(segment=pb.Segment(part=part, index=index, data=data))
                    total += len(data)
                    if progress is not None:
                        progress("sent", total)
                name = job.header.inputs[number].name
                self.sent.append(PartDigest(name=name, sha256=digest.hexdigest(), bytes=total - start))
        yield pb.RunRequest(finish=pb.Finish())

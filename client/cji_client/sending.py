"""The sending side of one Run: open, the segments of every part in order, finish.

gRPC requests the next message, in its own thread, when the stream's window has room. An error is kept as `fault` and
ends the call; gRPC never sees an exception, because it would log its text.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import grpc

from cji_client.errors import ClientError, LimitExceeded, SpecError
from cji_client.job_folder import JobFolder
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.seal import SealedJob
from cji_client.sources import FittedSource
from cji_client.spans import Span
from cji_core.format.envelope import FLOE_HEADER_BYTES, SEGMENT_BYTES
from cji_core.format.job import LIMITS, Header
from cji_core.trail import PartDigest
from cji_core.wire.v1 import worker_pb2 as pb

_ACCEPT_SECONDS: Final = 5.0
"""How long an input that can be read only once is kept back, so that a refusal leaves it whole."""


class SealedPart(NamedTuple):
    """One part, as it is sent."""

    number: int
    name: str
    segments: Iterable[bytes]


class Gate:
    """Holds an input back until the worker has accepted its job."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._ended = False

    def open(self) -> None:
        """The job was accepted."""
        self._event.set()

    def end(self) -> None:
        """The call has ended: whatever was not begun stays whole."""
        self._ended = True
        self._event.set()

    def passed(self) -> bool:
        """Wait until the job is accepted, for some seconds at most; False if the call has ended."""
        self._event.wait(_ACCEPT_SECONDS)
        return not self._ended


Parts: TypeAlias = Callable[[Gate], Iterator[SealedPart]]
"""Begins the parts of a job, in their order."""


def check_parts(header: Header) -> None:
    """LimitExceeded if one machine does not take this many parts."""
    if len(header.parts) > LIMITS.parts:
        raise LimitExceeded(
            f"the job has {len(header.parts)} parts, and one machine takes {LIMITS.parts}",
            limit="parts",
            found=len(header.parts),
            most=LIMITS.parts,
            remedy="Seal it in fewer shards.",
        )


def parts_of(job: SealedJob, sources: Sequence[FittedSource]) -> Parts:
    """The parts of a job whose records are sealed while they are sent."""

    def parts(gate: Gate) -> Iterator[SealedPart]:
        for number, source in enumerate(sources):
            if not source.opens_again and not gate.passed():
                return
            for part, segments in job.seal_parts(number, source):
                yield SealedPart(part, job.header.inputs[number].name, segments)

    return parts


def saved_parts(job: JobFolder) -> Parts:
    """The parts of a job that was sealed into a folder."""

    def parts(_: Gate) -> Iterator[SealedPart]:
        for number, digest in enumerate(job.sent):
            yield SealedPart(number, digest.name, _segments(job, number))

    return parts


def _segments(job: JobFolder, number: int) -> Iterator[bytes]:
    with job.part(number).open("rb") as file:
        data = file.read(FLOE_HEADER_BYTES + SEGMENT_BYTES)
        while data:
            yield data
            data = file.read(SEGMENT_BYTES)


class Sender(Iterator[pb.RunRequest]):
    """All messages of a job. `sent` lists the parts that were sent completely, `total` counts the bytes of all.

    Set `call` once it exists. `begin` is called before the first message is given away, `sending` ends before the last.
    """

    def __init__(
        self,
        open_: pb.Open,
        parts: Parts,
        *,
        begin: Callable[[], None],
        progress: ProgressCallback | None,
        sending: Span,
    ) -> None:
        self._begin, self._sending = begin, sending
        self.sent: list[PartDigest] = []
        self.total = 0
        self.fault: ClientError | None = None
        self.call: grpc.Call | None = None
        self.gate = Gate()
        self._messages = self._produce(open_, parts, progress)

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

    def _produce(self, open_: pb.Open, parts: Parts, progress: ProgressCallback | None) -> Iterator[pb.RunRequest]:
        self._begin()
        yield pb.RunRequest(open=open_)
        for part in parts(self.gate):
            digest, start = hashlib.sha256(), self.total
            for index, data in enumerate(part.segments):
                digest.update(data)
                self.total += len(data)  # before the worker can have them, and make anything of them
                yield pb.RunRequest(segment=pb.Segment(part=part.number, index=index, data=data))
                if progress is not None:
                    progress(Progress(phase=Phase.SENDING, bytes=self.total))
            self.sent.append(PartDigest(name=part.name, sha256=digest.hexdigest(), bytes=self.total - start))
        self._sending.end(bytes=self.total)
        yield pb.RunRequest(finish=pb.Finish())

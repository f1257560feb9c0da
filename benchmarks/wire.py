"""One Run call, the same for both sides of a pair: messages built before the clock starts, answers parsed after it.

Requests are serialized `RunRequest`s in memory. Answers are copied to memory that was touched before, and parsed when
the clock has stopped. The client therefore costs the same on both sides, and as little as a gRPC client can.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import grpc
import pyarrow as pa

from cji_attestation.attested import AttestedWorker
from cji_client.profile import ClientTls
from cji_client.received import Collector
from cji_client.result import Result
from cji_client.seal import INPUT_NAME, SealedJob
from cji_client.spec import JobSpec
from cji_client.verify import verify_result
from cji_core.trail import PartDigest
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.admissions import Admitter, remember
from cji_simulator.site import Site
from cji_simulator.stepwise import channel
from cji_worker.front.server import OPTIONS

__all__ = ["Connection", "Prepared", "prepare", "verify", "verify_echo"]

_RUN: Final = "/cji.worker.v1.CjiWorker/Run"
_DEADLINE_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A completely sealed job: its serialized messages, and the receipt's expected claims about its input."""

    job: SealedJob
    messages: tuple[bytes, ...]
    sent: PartDigest

    @property
    def megabytes(self) -> float:
        """Sealed input in MB (10^6 bytes)."""
        return self.sent.bytes / 1e6


def prepare(site: Site, spec: JobSpec, table: pa.Table, *, batch: int) -> Prepared:
    """Seal `table`, in batches of at most `batch` rows, as a new job for this site's submitter."""
    job = site.seal(spec, rows=table.num_rows)
    digest, length = hashlib.sha256(), 0
    remember(job.header.data, job.send_key, job.header.suite)
    opening = pb.RunRequest(open=pb.Open(header=job.header.data, signature=job.signature))
    messages = [_admitter(site).admitted(opening).SerializeToString()]
    for index, data in enumerate(job.seal_part(0, table.to_batches(max_chunksize=batch))):
        digest.update(data)
        length += len(data)
        messages.append(pb.RunRequest(segment=pb.Segment(index=index, data=data)).SerializeToString())
    messages.append(pb.RunRequest(finish=pb.Finish()).SerializeToString())
    sent = PartDigest(name=INPUT_NAME, sha256=digest.hexdigest(), bytes=length)
    return Prepared(job=job, messages=tuple(messages), sent=sent)


_ADMITTERS: dict[str, Admitter] = {}


def _admitter(site: Site) -> Admitter:
    """Signs the admissions of this site's jobs, as the SDK does before it calls."""
    return _ADMITTERS.setdefault(site.profile.target, Admitter(CjiWorkerStub(channel(site))))


class Connection:
    """A channel of the blocking client to one server, with room for the answer of one call."""

    def __init__(self, target: str, tls: ClientTls | None, *, room: int) -> None:
        """`tls`: None for a server without."""
        sizes = [option for option in OPTIONS if "message_length" in option[0]]
        options = [*sizes, ("grpc.enable_retries", 0)]  # as the SDK
        if tls is None:
            self._channel = grpc.insecure_channel(target, options=options)
        else:
            own = grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.cert_pem)
            self._channel = grpc.secure_channel(target, own, options=options)
        self._run = self._channel.stream_stream(_RUN, None, None)  # bytes as they are
        self._room = memoryview(bytearray(b"\1") * room)  # touched: the clock does not see page faults
        self._spans: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(self, prepared: Prepared) -> float:
        """Send everything, receive everything; returns the seconds from the first message to the end of the call."""
        room, spans, at = self._room, [], 0
        start = time.perf_counter()
        for message in self._run(iter(prepared.messages), timeout=_DEADLINE_S):
            end = at + len(message)
            room[at:end] = message
            spans.append((at, end))
            at = end
        seconds = time.perf_counter() - start
        self._spans = spans
        return seconds

    def answer(self) -> Iterator[pb.RunResponse]:
        """The messages that the last call received."""
        for start, end in self._spans:
            yield pb.RunResponse.FromString(bytes(self._room[start:end]))


def verify(connection: Connection, prepared: Prepared, attested: AttestedWorker) -> Result:
    """The result of the last call if its receipt vouches for exactly the bytes sent and received; else an error."""
    collector = Collector(prepared.job.header)
    for message in connection.answer():
        collector.take(message)
    header, outputs = collector.finish()
    verified = verify_result(
        collector.done.receipt,
        job=prepared.job.header,
        attested=attested,
        sent=[prepared.sent],
        header=header,
        outputs=outputs,
    )
    return Result(job=prepared.job.header, header=header, outputs=outputs, receipt=verified, attested=attested)


def verify_echo(connection: Connection, prepared: Prepared) -> None:
    """Raises ValueError unless the last call brought back every segment that was sent."""
    digest = hashlib.sha256()
    for message in connection.answer():
        digest.update(message.segment.data)
    if digest.hexdigest() != prepared.sent.sha256:
        raise ValueError("the echo is not what was sent")

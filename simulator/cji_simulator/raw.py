"""A submitter without manners: any messages, in any order, under any certificate. For testers of a worker.

The SDK refuses to make what a worker must refuse to take. `RawWorker` sends what it is given and reports how the worker
answered; `forge` makes job headers that are wrong in one chosen way and still signed; `events` and `cells` look at the
audit trail and at the processes of cells.

Cells are forked one job at a time, so any call may find none. A tester waits as a client does: `RawWorker.run` and
`RawStream.begin` wait out OVERLOADED with its retry hint, and `settled` waits until every cell is warm.
"""

import contextlib
import json
import queue
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import grpc
import pyarrow as pa

from cji_client.errors import WorkerRefused, from_rpc
from cji_client.parts import arrow_messages, seal_stream
from cji_client.sources import fit
from cji_client.spec import InputSpec
from cji_core.errors import Reason, Stage
from cji_core.format.configuration.worker import load
from cji_core.format.envelope import (
    ATTRIBUTION,
    PROJECT_KEY_BYTES,
    input_aad,
    new_dek,
    seal_box,
    sha384,
    sign_header,
    signer_thumbprint,
    wrap_dek,
    wrap_project_key,
)
from cji_core.format.job import Attribution
from cji_core.format.keys import load_signing_key
from cji_core.jose import SigningKey
from cji_core.suites import Suite
from cji_core.trail import Event
from cji_core.trail.chain import read
from cji_core.trail.whole_receipts import with_whole_receipts
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.admissions import Admitter, remember
from cji_simulator.patience import Patience
from cji_simulator.processes import children
from cji_simulator.site import Site

__all__ = ["Answer", "RawJob", "RawStream", "RawWorker", "cells", "events", "forge", "sends", "settled", "until"]

_MESSAGE_BYTES: Final = 8 << 20
Metadata = tuple[tuple[str, str], ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawJob:
    """Header bytes as they will be sent, well formed or not, and the key that parts are sealed with."""

    header: bytes
    signature: bytes
    dek: bytes = field(repr=False)

    def open(self) -> pb.RunRequest:
        """The first message. It gets its admission when it is sent."""
        return pb.RunRequest(open=pb.Open(header=self.header, signature=self.signature))

    def stream(self, table: pa.Table, *, part: int = 0, schema: str = "person/1") -> list[bytes]:
        """The sealed segments of a part of this job."""
        return self.plain(arrow_messages(fit(table, InputSpec(schema=schema)).open()), part=part)

    def plain(self, messages: Iterable[bytes | memoryview | pa.Buffer], *, part: int = 0) -> list[bytes]:
        """The sealed segments of any plaintext."""
        return list(seal_stream(self.dek, input_aad(sha384(self.header), part), messages))

    def messages(self, segments: Iterable[bytes], *, part: int = 0) -> list[pb.RunRequest]:
        """Open, the segments with the indexes they have here, finish."""
        return [self.open(), *sends(segments, part=part), pb.RunRequest(finish=pb.Finish())]


def sends(segments: Iterable[bytes], *, part: int = 0, first: int = 0) -> list[pb.RunRequest]:
    """One message per segment."""
    return [
        pb.RunRequest(segment=pb.Segment(part=part, index=index, data=data))
        for index, data in enumerate(segments, first)
    ]


def forge(
    site: Site,
    change: Callable[[pb.JobHeader], object] = lambda _: None,
    *,
    rows: int | None = None,
    signing_key: SigningKey | None = None,
    dek: bytes | None = None,
    suite: Suite = Suite.CLASSICAL_1,
    reason: str = "test",
    case_number: str = "",
    secondary_recipient: str = "",
    **fields: object,
) -> RawJob:
    """A job for the site. `fields` and `change` alter its header before it is signed in `suite`; nothing is checked.

    `reason`, `case_number` and `secondary_recipient` are those of its attribution. A `dek` of its own is wrapped as in
    classical-1.
    """
    spec = site.hybrid_spec() if suite is Suite.HYBRID_1 else site.spec()
    sealed = site.seal(spec, rows=rows)
    header = pb.JobHeader.FromString(sealed.header.data)
    if dek is None:
        dek, header.wrapped_dek = new_dek(site.hybrid_kek.wrapping, suite)
    else:
        header.wrapped_dek = wrap_dek(site.kek.public, dek)
    by = Attribution(
        operator_id="op-1",
        requestor="detective 7",
        reason=reason,
        case_number=case_number,
        secondary_recipient=secondary_recipient,
    )
    header.sealed_attribution = seal_box(dek, ATTRIBUTION, by.encode())
    for each in header.operations:
        if each.deidentify.wrapped_project_key:
            project_key = secrets.token_bytes(PROJECT_KEY_BYTES)
            each.deidentify.wrapped_project_key = wrap_project_key(dek, each.deidentify.project, project_key)
    key = signing_key or load_signing_key(Path(site.profile.signing_key))
    header.submitter = signer_thumbprint(key.public_key(), suite)
    for name, value in fields.items():
        setattr(header, name, value)
    change(header)
    data = header.SerializeToString(deterministic=True)
    remember(data, sealed.send_key, suite)
    return RawJob(header=data, signature=sign_header(key, data, suite), dek=dek)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The end of a call: every message received, and the refusal if there was one."""

    code: grpc.StatusCode
    details: str
    messages: tuple[pb.RunResponse, ...]
    refusal: WorkerRefused | None

    @property
    def reason(self) -> Reason | None:
        """The worker's Reason."""
        return self.refusal.reason if self.refusal else None

    @property
    def stage(self) -> Stage | None:
        """The stage at which the worker refused."""
        return self.refusal.stage if self.refusal else None

    @property
    def receipt(self) -> str | None:
        """The receipt, when the job was done."""
        return next((m.done.receipt for m in self.messages if m.WhichOneof("message") == "done"), None)

    @property
    def accepted(self) -> bool:
        """Whether the worker accepted the job, which it does once keys have been opened."""
        return any(m.WhichOneof("message") == "accepted" for m in self.messages)


class RawStream:
    """One Run call, message by message. Leaving the context without half-close cancels it: the client vanishes."""

    def __init__(self, stub: CjiWorkerStub, admitter: Admitter, timeout: float | None, metadata: Metadata = ()) -> None:
        self._stub, self._admitter, self._timeout, self._metadata = stub, admitter, timeout, metadata
        self._header = b""
        self._start()

    def _start(self) -> None:
        self._queue: queue.SimpleQueue[pb.RunRequest | None] = queue.SimpleQueue()
        self._seen: list[pb.RunResponse] = []
        self.call = self._stub.Run(iter(self._queue.get, None), timeout=self._timeout, metadata=self._metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self.call.cancel()

    def send(self, *messages: pb.RunRequest) -> None:
        """Queue messages; gRPC takes them as the worker does."""
        for message in messages:
            self._header = message.open.header or self._header
            self._queue.put(self._admitter.admitted(message))

    def begin(self, opening: pb.RunRequest) -> pb.RunResponse:
        """Send the first message and return the worker's; calls again while the worker is OVERLOADED."""
        patience = Patience()
        while True:
            self.send(opening)
            try:
                return self.receive()
            except grpc.RpcError as error:
                self._queue.put(None)
                if not (self._admitter.corrects(self._header, from_rpc(error)) or patience.waits(from_rpc(error))):
                    raise
            self._start()

    def half_close(self) -> None:
        """Nothing more is sent."""
        self._queue.put(None)

    def receive(self) -> pb.RunResponse:
        """The worker's next message; StopIteration or RpcError when there is none."""
        message: pb.RunResponse = next(self.call)
        if message.WhichOneof("message") == "accepted":
            self._admitter.began(self._header)
        self._seen.append(message)
        return message

    def answer(self) -> Answer:
        """Read to the end."""
        with contextlib.suppress(StopIteration, grpc.RpcError):
            while True:
                self.receive()
        refusal = None if self.call.code() is grpc.StatusCode.OK else from_rpc(self.call)
        return Answer(
            code=self.call.code(),
            details=self.call.details() or "",
            messages=tuple(self._seen),
            refusal=refusal if isinstance(refusal, WorkerRefused) else None,
        )


class RawWorker:
    """A channel to a worker's door under any certificate. Use as a context manager. `metadata` goes with each Run."""

    def __init__(
        self,
        target: str,
        *,
        ca: bytes,
        certificate: bytes | None = None,
        private_key: bytes | None = None,
        metadata: Metadata = (),
    ) -> None:
        self._metadata = metadata
        credentials = grpc.ssl_channel_credentials(ca, private_key, certificate)
        options = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
        ]
        self.channel = grpc.secure_channel(target, credentials, options=options)
        self.stub = CjiWorkerStub(self.channel)
        self.admitter = Admitter(self.stub)

    @classmethod
    def of(cls, site: Site, *, metadata: Metadata = ()) -> Self:
        """Under the site's own certificate."""
        tls, target = site.profile.tls(), site.profile.target
        return cls(target, ca=tls.ca_pem, certificate=tls.cert_pem, private_key=tls.key_pem, metadata=metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def stream(self, *, timeout: float | None = 30) -> RawStream:
        """A Run call to be filled by hand; `timeout=None` sets no deadline."""
        return RawStream(self.stub, self.admitter, timeout, self._metadata)

    def run(self, messages: Iterable[pb.RunRequest], *, timeout: float | None = 30) -> Answer:
        """Send all of these, half-close, and read to the end; calls again while the worker is OVERLOADED."""
        messages, patience = list(messages), Patience()
        header = messages[0].open.header if messages else b""
        while True:
            answer = self.run_once(messages, timeout=timeout)
            if not (self.admitter.corrects(header, answer.refusal) or patience.waits(answer.refusal)):
                return answer

    def run_once(self, messages: Iterable[pb.RunRequest], *, timeout: float | None = 30) -> Answer:
        """Send all of these, half-close, and read to the end, whatever the answer is."""
        with self.stream(timeout=timeout) as stream:
            stream.send(*messages)
            stream.half_close()
            return stream.answer()


def events(site: Site) -> list[Event]:
    """Every event of the site's audit trail, with its receipts as they were signed."""
    whole, _, _ = site.files.audit.read_bytes().rpartition(b"\n")  # the last line may be on its way
    return list(with_whole_receipts(read(line + b"\n").event for line in whole.split(b"\n")))


def cells(site: Site) -> frozenset[int]:
    """Process ids of the cells, warm or running a job."""
    return frozenset(children(site.worker.pids["zygote"]))


def settled(site: Site) -> frozenset[int]:
    """The cells of a worker once all of them are warm, by the keyholder's own log, and none that ends is left."""
    count = load(site.files.config).worker.cells

    def all_warm() -> frozenset[int]:
        warm = len(_warm(site))  # before they are listed: none of them ends without a job
        there = cells(site)
        return there if warm == len(there) == count else frozenset()

    return until(all_warm)


def _warm(site: Site) -> set[int]:
    """Numbers of the cells that the keyholder has ready and no job has taken."""
    warm = set[int]()
    for line in logged(site.worker.log):
        match line:
            case {"event": "started", "what": "zygote"}:
                warm.clear()
            case {"event": "cell ready", "cell": int(number)}:
                warm.add(number)
            case {"event": "admitted" | "cell gone", "cell": int(number)}:
                warm.discard(number)
    return warm


def logged(log: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a worker's log so far; those of other programs, such as gRPC's, are passed over."""
    whole, _, _ = log.read_bytes().rpartition(b"\n")  # the last line may be on its way
    for line in whole.splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def until(look: Callable[[], T | None], *, seconds: float = 60) -> T:
    """The result of `look` once it is true; AssertionError if it does not become true in time."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError("it did not come about")
        time.sleep(0.02)
    return found

"""One job driven by hand: what is sent and what is read, message by message, so that a test can stop anywhere.

    with Stepwise(site, job, segments) as run:
        run.send(3)                       # three segments more
        run.read_until("accepted")
        run.finish()
        run.read_all()

The call starts once a cell is free: OVERLOADED is waited out with its retry hint, as a client does. The worker's first
answer is read then, and returned by the first `read`. Nothing else is read unless asked for, so a worker can send ahead
as much as gRPC's own window. `taken` counts the bytes of segments that gRPC took from here, which is what the worker
accepted but for that window.
"""

import contextlib
import queue
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

import grpc

from cji_client.errors import WorkerRefused, from_rpc
from cji_client.seal import SealedJob
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.admissions import Admitter, remember
from cji_simulator.patience import Patience
from cji_simulator.site import Site

__all__ = ["Stepwise", "channel"]

_MESSAGE_BYTES: Final = (1 << 20) + (64 << 10)


def channel(site: Site, *, target: str | None = None) -> grpc.Channel:
    """A new mTLS connection of the site's submitter, to another address if given."""
    tls = site.profile.tls()
    options = [
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.secure_channel(
        target or site.profile.target,
        grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.cert_pem),
        options=options,
    )


class Stepwise:
    """A Run call under full control. `segments` are the sealed data of part 0; `received` is what was read."""

    def __init__(
        self,
        site: Site,
        job: SealedJob,
        segments: Sequence[bytes],
        *,
        deadline: float = 300,
        target: str | None = None,
        hold: bool = False,
        patient: bool = True,
    ) -> None:
        """Sends `open` at once; with `hold` it only connects, until `open` is called.

        Without patience the first call counts, and nothing is read.
        """
        self._job, self._deadline, self._patient = job, deadline, patient
        self._segments = segments
        self._next = 0
        self._orders = queue.SimpleQueue[pb.RunRequest | None]()
        self._ahead: list[pb.RunResponse] = []
        self.taken = 0
        self.received: list[pb.RunResponse] = []
        self._channel = channel(site, target=target)
        self._admitter = Admitter(CjiWorkerStub(self._channel))
        remember(job.header.data, job.send_key, job.header.suite)
        if hold:
            grpc.channel_ready_future(self._channel).result(10)
        else:
            self.open()

    def open(self) -> None:
        """Start the call, again while the worker is OVERLOADED."""
        patience = Patience()
        while True:
            orders = self._orders = queue.SimpleQueue[pb.RunRequest | None]()
            header = self._job.header
            opening = pb.RunRequest(open=pb.Open(header=header.data, signature=self._job.signature))
            orders.put(self._admitter.admitted(opening))
            self.call = CjiWorkerStub(self._channel).Run(self._requests(orders), timeout=self._deadline)
            if not self._patient:
                return
            try:
                self._ahead = [next(self.call)]
                self._admitter.began(header.data)
                return
            except grpc.RpcError as error:
                orders.put(None)
                refused = from_rpc(error)
                if not (self._admitter.corrects(header.data, refused) or patience.waits(refused)):
                    return  # every read raises it again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "call" in vars(self):  # one that holds may never have been opened
            self.call.cancel()
        self._orders.put(None)
        self._channel.close()

    def _requests(self, orders: "queue.SimpleQueue[pb.RunRequest | None]") -> Iterator[pb.RunRequest]:
        while (order := orders.get()) is not None:
            yield order
            # gRPC asks for the next one when this one is on its way
            self.taken += len(order.segment.data)

    def send(self, count: int | None = None) -> None:
        """Offer `count` more segments, or all that are left. Does not wait."""
        until = len(self._segments) if count is None else min(self._next + count, len(self._segments))
        for index in range(self._next, until):
            segment = pb.Segment(part=0, index=index, data=self._segments[index])
            self._orders.put(pb.RunRequest(segment=segment))
        self._next = until

    def finish(self) -> None:
        """Say that the input is complete, and half-close."""
        self._orders.put(pb.RunRequest(finish=pb.Finish()))
        self._orders.put(None)

    def read(self) -> pb.RunResponse:
        """The next response; StopIteration at the end, grpc.RpcError for a refusal."""
        message: pb.RunResponse = self._ahead.pop() if self._ahead else next(self.call)
        self.received.append(message)
        return message

    def read_until(self, kind: str) -> pb.RunResponse:
        """Read on up to a message of this kind (accepted, progress, segment, done)."""
        while (message := self.read()).WhichOneof("message") != kind:
            pass
        return message

    def read_all(self) -> None:
        """Read to the end."""
        with contextlib.suppress(StopIteration):
            while True:
                self.read()

    @property
    def result_header(self) -> bytes | None:
        """The result header, if it came: with the receipt."""
        return next((m.done.result_header for m in self.received if m.WhichOneof("message") == "done"), None)

    @property
    def receipt(self) -> str | None:
        """The receipt, if it came."""
        return next((m.done.receipt for m in self.received if m.WhichOneof("message") == "done"), None)

    def output(self, part: int) -> list[bytes]:
        """The sealed segments of one output that were read so far, in order."""
        found = [m.segment for m in self.received if m.WhichOneof("message") == "segment" and m.segment.part == part]
        return [segment.data for segment in found]

    def refusal(self) -> WorkerRefused:
        """Read on; the call must end with a refusal that has a Reason."""
        try:
            self.read_all()
        except grpc.RpcError as error:
            refused = from_rpc(error)
            if isinstance(refused, WorkerRefused):
                return refused
            raise
        raise AssertionError("the call ended well")

    def error_texts(self) -> list[bytes]:
        """Everything that a failed call discloses to its caller."""
        details = self.call.details() or ""
        metadata: list[Any] = [*(self.call.initial_metadata() or ()), *(self.call.trailing_metadata() or ())]
        texts = [details.encode()]
        for key, value in metadata:
            raw = value if isinstance(value, bytes) else value.encode()
            texts += [key.encode(), raw]
        return texts

"""The client: one mTLS channel to a worker, and the four calls of the contract over it.

    describe -> attest -> run -> (open_result)        get_receipt for a job whose answer was lost

* `run` sends and receives at the same time. Parts are sealed segment by segment as gRPC takes them, so memory use is
  a few segments.
* A refusal that the table of reasons calls temporary is retried with jitter, within the deadline and the RetryPolicy.
  Every attempt sends the same header bytes and a signature of its own, over the nonce that came with the evidence; a
  worker that does not accept the nonce is attested again. An input that can be read only once is kept back until the
  job is accepted, and is an obstacle once it was begun.
* `Standing` is moved forward as a job is sent and its receipt verified, and whatever ends the job has its sentence.
  After an end without a receipt GetReceipt is called, so that the sentence states whether anything was released:
  released, not released, or unknown (`release`); after a cancellation, for some seconds, until the job has ended there.
* A result is returned only after its receipt has been verified against the attested receipt key and against the bytes
  sent and received. Nothing of it opens before: the wrapped result key comes with the receipt.

`asynchronous.Client` uses the blocking gRPC API too: when the server ends a call while the client is still writing,
grpc.aio replaces the status (grpc/grpc#36066) and with it the reason of every early refusal.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import grpc

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker, verify_attestation
from cji_attestation.evidence import NONCE_BYTES
from cji_client.admissions import Bid, admission
from cji_client.bounds import most_result_bytes
from cji_client.cancellation import Cancellation
from cji_client.description import Description
from cji_client.errors import JobCancelled, SpecError, Unreachable, Unverified, WorkerRefused, from_rpc
from cji_client.job_folder import JobFolder
from cji_client.profile import ClientTls
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.received import Collector
from cji_client.release import JobRelease
from cji_client.result import Result
from cji_client.retry import RetryPolicy
from cji_client.seal import SealedJob
from cji_client.sending import Parts, Sender, check_parts, parts_of, saved_parts
from cji_client.sources import Source
from cji_client.spans import Span, span
from cji_client.standing import Standing
from cji_client.submitted_types import Numbers
from cji_client.tokens import TokenSource, authorization
from cji_client.verify import verify_result
from cji_core.errors import Stage
from cji_core.format.job import LIMITS, Header
from cji_core.jose import SigningKey
from cji_core.pool.documents import evidence_nonce
from cji_core.trail import PartDigest, VerifiedReceipt
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub

if TYPE_CHECKING:
    from cji_client.kept import Store

_CALL_SECONDS: Final = 30.0
"""Deadline of every call except Run."""
_MESSAGE_BYTES: Final = LIMITS.segment_bytes + LIMITS.message_overhead_bytes
_BEFORE: Final = {Stage.OPEN, Stage.ADMIT}
"""Stages of a job that has not begun."""

T = TypeVar("T")


class SyncClient:
    """A submitter's connection to one worker, for programs without an event loop. Use as a context manager.

    `trust` holds the roots and hosts that the worker's evidence must chain to, `reference` the caller's own reference
    values, `maa_url` the attestation provider whose tokens are accepted. `server_name` replaces the host of `target`
    when the server's certificate is checked. `token` returns an access token for each call about a job, `retry`
    bounds the attempts for one job.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: ClientTls,
        trust: Trust,
        reference: ReferenceValues,
        maa_url: str,
        server_name: str | None = None,
        token: TokenSource | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        options: list[tuple[str, str | int]] = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.enable_retries", 0),
        ]
        if server_name is not None:
            options.append(("grpc.ssl_target_name_override", server_name))
        credentials = grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.cert_pem)
        self._channel = grpc.secure_channel(target, credentials, options=options)
        self._stub: CjiWorkerStub | None = CjiWorkerStub(self._channel)
        self._trust = trust
        self._reference = reference
        self._maa_url = maa_url
        self._token, self._process = token, os.getpid()
        self._retry = retry or RetryPolicy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._stub = None
        self._channel.close()

    @property
    def _calls(self) -> CjiWorkerStub:
        if self._stub is None:
            raise SpecError("the connection is closed", remedy="Make another one, and close it after its last call.")
        if os.getpid() != self._process:
            raise SpecError(
                "the connection was made before this process was forked, and gRPC does not survive that",
                remedy="Connect in the process that sends: in a web server, after its workers have started.",
            )
        return self._stub

    def describe(self) -> Description:
        """The worker's audience, operations, schemas, limits and public keys to seal to."""
        return Description.of(_ask(self._calls.Describe, pb.DescribeRequest()))

    def attest(self) -> AttestedWorker:
        """Request evidence for a fresh nonce and appraise it; Unverified names the failed check."""
        nonce = os.urandom(NONCE_BYTES)
        with span("cji.attest"):
            return verify_attestation(
                _ask(self._calls.Attest, pb.AttestRequest(nonce=nonce)),
                nonce=nonce,
                trust=self._trust,
                reference=self._reference,
                maa_url=self._maa_url,
            )

    def get_receipt(self, job_id: bytes) -> str:
        """The stored receipt of a finished job of this submitter; not verified here. NoReceipt if there is none."""
        return self.release(job_id).require_receipt()

    def release(self, job_id: bytes) -> JobRelease:
        """Whether anything of this submitter's job was released, by the worker that answers; its word, no proof."""
        request, metadata = pb.GetReceiptRequest(job_id=job_id), authorization(self._token)
        return JobRelease.of(job_id, _ask(self._calls.GetReceipt, request, metadata))

    def run(
        self,
        job: SealedJob,
        inputs: Mapping[str, Source],
        *,
        attested: AttestedWorker,
        deadline: float,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        cancellation: Cancellation | None = None,
        standing: Standing | None = None,
        store: "Store | None" = None,
    ) -> Result:
        """Run a sealed job within `deadline` seconds and return its result: receipt verified, outputs still sealed.

        `inputs` has the records of each input part, which are read to their end before anything is sent. `progress` is
        called from several threads. More sealed bytes of a result than `max_result_bytes`, or than the job can make
        (`bounds`), are refused. `standing` goes forward with the job; `store` keeps what comes, by default memory.
        """
        names, until = [part.name for part in job.header.inputs], time.monotonic() + deadline
        stop, known = cancellation or Cancellation(), Standing.of(job.header.job_id, standing)

        def in_time(_rows: int, _bytes: int) -> None:
            if stop.asked:
                raise JobCancelled
            if time.monotonic() >= until:
                raise SpecError("the input was not read within the deadline")

        with known.explaining():
            if set(inputs) != set(names):
                raise SpecError(f"the job's inputs are {', '.join(names)}")
            check_parts(job.header)
            sources = [job.fit(number, inputs[name], watch=in_time) for number, name in enumerate(names)]
        call = _Call(
            header=job.header,
            signature=job.signature,
            send_key=job.send_key,
            parts=parts_of(job, sources),
            columns={name: tuple(source.schema.names) for name, source in zip(names, sources, strict=True)},
            numbers={name: source.numbers for name, source in zip(names, sources, strict=True) if source.numbers},
            max_result_bytes=max_result_bytes,
            whole=lambda: all(source.can_open for source in sources),
            fresh=True,
            until=until,
            progress=progress,
            stop=stop,
            standing=known,
            store=store,
        )
        return self._answered(call, attested)

    def send(
        self,
        job: JobFolder,
        *,
        attested: AttestedWorker,
        deadline: float,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        cancellation: Cancellation | None = None,
        standing: Standing | None = None,
        store: "Store | None" = None,
    ) -> Result:
        """As `run`, for a job that was sealed into a folder, perhaps on another machine."""
        known = Standing.of(job.header.job_id, standing)
        with known.explaining():
            job.check_parts()
            check_parts(job.header)
        call = _Call(
            header=job.header,
            signature=job.signature,
            send_key=job.send_key,
            parts=saved_parts(job),
            columns=job.columns,
            numbers=job.numbers,
            max_result_bytes=max_result_bytes,
            whole=lambda: True,
            fresh=False,
            until=time.monotonic() + deadline,
            progress=progress,
            stop=cancellation or Cancellation(),
            standing=known,
            store=store,
        )
        return self._answered(call, attested)

    def _answered(self, job: "_Call", attested: AttestedWorker) -> Result:
        """The result of the job; an error has its standing."""
        job_id = job.header.job_id
        with job.standing.explaining(lambda: self.release(job_id)), span("cji.wait", job_id) as waiting:
            result = self._until_answered(job, attested)
            waiting.end(bytes=sum(output.length for output in result.outputs))
            return result

    def _until_answered(self, job: "_Call", attested: AttestedWorker) -> Result:
        """The result of the first attempt that is not refused for a while, as long as the inputs are whole."""
        bid, began = Bid(attested), False
        calls = self._retry.calls(deadline=job.until - time.monotonic())
        while True:
            if job.stop.asked:
                raise JobCancelled
            if not bid.attested.admission_nonce:
                bid = bid.at(self.attest())
            try:
                with span("cji.send", job.header.job_id) as sending:
                    return self._attempt(job, bid, sending)
            except WorkerRefused as refused:
                began = began or bid.began
                job.standing.refused = job.fresh and not began and refused.stage in _BEFORE
                pause, following = calls.pause_after(refused), bid.after(refused)
                if pause is None or following is None or not job.whole() or job.stop.asked:
                    raise
                bid = following
            except Unreachable as lost:
                if job.stop.asked:
                    raise JobCancelled from lost
                raise
            job.note(Progress(phase=Phase.WAITING))
            job.stop.wait(pause)

    def _attempt(self, job: "_Call", bid: Bid, sending: Span) -> Result:
        metadata = authorization(self._token)
        proof = admission(job.header, job.send_key, bid.attested, attempt=bid.attempt)
        opening = pb.Open(header=job.header.data, signature=job.signature, admission=proof)
        job.standing.refused = False
        job.note(Progress(phase=Phase.SENDING))
        sender = Sender(opening, job.parts, begin=job.standing.begin, progress=job.progress, sending=sending)
        collector = Collector(
            job.header,
            bound=lambda: job.most_result_bytes(sender.total),
            file=None if job.store is None else job.store.part,
            progress=job.progress,
        )
        call = self._calls.Run(sender, timeout=max(job.until - time.monotonic(), 0.0), metadata=metadata)
        sender.call = call
        job.stop.watch(call)
        try:
            try:
                for message in call:
                    collector.take(message)
                    bid.began = True
                    sender.gate.open()
            except grpc.RpcError as error:
                # an input error ends the call from our side, so it is the cause
                raise sender.fault or from_rpc(error) from None
            with contextlib.nullcontext() if job.store is None else job.store.settling():
                result = self._verified(job, collector, sender.sent, bid.attested)
                job.standing.received()
                if job.store is not None:
                    job.store.keep(result)
        except BaseException:
            collector.discard()
            raise
        finally:
            call.cancel()
            sender.gate.end()
        return result

    def _verified(
        self, job: "_Call", collector: Collector, sent: Sequence[PartDigest], attested: AttestedWorker
    ) -> Result:
        header, outputs = collector.finish()
        receipt = verify_result(
            collector.done.receipt, job=job.header, attested=attested, sent=sent, header=header, outputs=outputs
        )
        return Result(
            job=job.header,
            header=header,
            outputs=outputs,
            receipt=receipt,
            attested=self._shown(job.header, collector.done, receipt, attested),
            sent=tuple(sent),
            columns=job.columns,
            numbers=job.numbers,
        )

    def _shown(self, job: Header, done: pb.Done, verified: VerifiedReceipt, attested: AttestedWorker) -> AttestedWorker:
        """The attestation to keep with the receipt: the one that it names, if that came with it.

        The receipt is released under the attested `kid` in any case: a worker renews its token while it runs, and may
        be gone when its evidence could be asked for.
        """
        if verified.claims.maa_token_sha384 == attested.maa_token_sha384 or not done.HasField("evidence"):
            return attested
        try:
            renewed = verify_attestation(
                done.evidence,
                nonce=evidence_nonce(job.sha384),
                trust=self._trust,
                reference=self._reference,
                maa_url=self._maa_url,
            )
        except Unreachable:  # the issuer's keys
            return attested
        if renewed.receipt_jwk != attested.receipt_jwk:
            raise Unverified("kid", "the evidence beside the receipt is of another key")
        return renewed if renewed.maa_token_sha384 == verified.claims.maa_token_sha384 else attested


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """All that is sent of one job, and how. `whole`: its inputs can still be read. `fresh`: it was not sent before."""

    header: Header
    signature: bytes
    send_key: SigningKey
    parts: Parts
    columns: Mapping[str, tuple[str, ...]]
    numbers: Numbers
    max_result_bytes: int | None
    whole: Callable[[], bool]
    fresh: bool
    until: float
    progress: ProgressCallback | None
    stop: Cancellation
    standing: Standing
    store: "Store | None"

    def note(self, event: Progress) -> None:
        """Report it, if that is wanted."""
        if self.progress is not None:
            self.progress(event)

    def most_result_bytes(self, sent: int) -> int:
        """The most bytes that may have come, after so many were sent."""
        return most_result_bytes(self.header, sent) if self.max_result_bytes is None else self.max_result_bytes


def _ask(method: Callable[..., T], request: object, metadata: tuple[tuple[str, str], ...] = ()) -> T:
    try:
        return method(request, timeout=_CALL_SECONDS, metadata=metadata)
    except grpc.RpcError as error:
        raise from_rpc(error) from None

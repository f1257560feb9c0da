"""The clients of `load`, each in a process of its own: submitters with many streams, and a prober of health.

A stream is a loop: seal a job, send it until the worker admits it, verify its result, seal the next one. Like the SDK,
a stream waits after OVERLOADED for as long as the worker suggests, at least for a random time that doubles with every
refusal; but at most for a second, so that every submitter always wants more than its share.

Unlike the SDK, a stream seals its first segment when the worker has accepted the job: refusals cost clients little, and
grpc.aio, which needs no threads, loses the reason of a refusal that arrives while a client writes.
"""

import asyncio
import hashlib
import itertools
import json
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

import grpc
import pyarrow as pa
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.corpus import people
from cji_attestation import Trust
from cji_attestation.attested import AttestedWorker
from cji_client.admissions import admission
from cji_client.errors import ClientError, WorkerRefused, from_rpc
from cji_client.profile import ClientProfile, ClientTls
from cji_client.received import Collector
from cji_client.seal import INPUT_NAME, SealedJob, seal
from cji_client.spec import JobSpec
from cji_client.transport import SyncClient
from cji_client.verify import verify_result
from cji_core.errors import Reason
from cji_core.format.keys import PinnedKey, load_signing_key
from cji_core.trail import PartDigest
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerStub
from cji_simulator.simulation import Cmk
from cji_worker.front.server import OPTIONS, SERVICE

__all__ = ["Probe", "Submission", "Submitted", "probe_health", "start_together", "submit"]

_JOB_S: Final = 60.0
_HEALTH_S: Final = 10.0
_START_S: Final = 120.0
_OPTIONS: Final = [
    *(option for option in OPTIONS if "message_length" in option[0]),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else channels to one worker share a connection
]
_EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs forgot it
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The work of one submitter: `streams` at once, whose jobs have these numbers of rows in turns.

    They share its `connections`.
    """

    profile: ClientProfile
    trust: Trust
    cmk: Cmk
    spec: JobSpec
    streams: int
    connections: int = 1
    rows: tuple[int, ...]
    seconds: float


@dataclass(slots=True, kw_only=True)
class Submitted:
    """Results of one submitter: jobs with a verified receipt, their sealed MB, refusals, failures by cause.

    `refused_unread` are calls that the worker ended before it read their first message, whose reason grpc.aio lost.
    `flow` has the sealed bytes that passed in each second of the machine's monotonic clock, in either direction.
    """

    jobs: int = 0
    megabytes: float = 0.0
    overloaded: int = 0
    refused_unread: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    flow: Counter[int] = field(default_factory=Counter)
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Health checks at a fixed rate, in ms from the time at which each was due; `failures` were not SERVING."""

    milliseconds: list[float]
    failures: int


_together: Barrier | None = None


def start_together(barrier: Barrier) -> None:
    """Initialise a client's process: its clock starts when all clients are imported, connected and attested."""
    global _together  # noqa: PLW0603 - a barrier is inherited and cannot be an argument of a task
    _together = barrier


def _wait_for_all() -> None:
    if _together is not None:
        _together.wait(_START_S)


def submit(submission: Submission) -> Submitted:
    """Keep all streams busy for the given time, then let the running jobs finish."""
    submitter = _Submitter(submission)
    _wait_for_all()
    return asyncio.run(submitter.run())


class _Submitter:
    def __init__(self, submission: Submission) -> None:
        self._submission, self._found = submission, Submitted()
        profile, cmk = submission.profile, submission.cmk
        self._tls = profile.tls()
        self._signing = load_signing_key(Path(profile.signing_key))
        self._kek = PinnedKey.check(cmk.kek_id, json.dumps(cmk.public_jwk), expected=cmk.public_thumbprint)
        self._tables = {rows: people(rows) for rows in set(submission.rows)}
        with SyncClient(
            profile.target, tls=self._tls, trust=submission.trust, reference=profile.reference, maa_url=profile.maa_url
        ) as client:
            self._attested = client.attest()

    async def run(self) -> Submitted:
        until, spent = time.monotonic() + self._submission.seconds, time.process_time()
        profile = self._submission.profile
        async with AsyncExitStack() as held:
            stubs = [
                CjiWorkerStub(
                    await held.enter_async_context(
                        grpc.aio.secure_channel(profile.target, _credentials(self._tls), options=_OPTIONS)
                    )
                )
                for _ in range(self._submission.connections)
            ]
            streams = (self._stream(stubs[n % len(stubs)], n, until) for n in range(self._submission.streams))
            await asyncio.gather(*streams)
        self._found.cpu_s = time.process_time() - spent
        return self._found

    async def _stream(self, stub: Any, number: int, until: float) -> None:
        sizes = self._submission.rows
        for turn in itertools.count(number):
            if time.monotonic() >= until:
                return
            await self._job(stub, self._tables[sizes[turn % len(sizes)]], until)

    async def _job(self, stub: Any, table: pa.Table, until: float) -> None:
        """One job, sent until the worker admits it."""
        job = seal(self._submission.spec, kek=self._kek, signing_key=self._signing, rows=table.num_rows)
        wait, found = _FIRST_WAIT_S, self._found
        while time.monotonic() < until:
            try:
                found.megabytes += await _attempt(stub, job, table, self._attested, found.flow) / 1e6
                found.jobs += 1
                return
            except _RefusedUnread:
                found.refused_unread += 1
                after = 0.0
            except WorkerRefused as refused:
                if refused.reason is not Reason.OVERLOADED:
                    found.failures[str(refused)] += 1
                    return
                found.overloaded += 1
                after = refused.retry_after or 0.0
            except ClientError as failure:
                found.failures[str(failure)] += 1
                return
            pause = max(after, random.uniform(wait / 2, wait))  # noqa: S311 - jitter
            await asyncio.sleep(min(pause, _LONGEST_WAIT_S))
            wait = min(2 * wait, _LONGEST_WAIT_S)


class _RefusedUnread(Exception):  # noqa: N818 - a refusal
    """The worker ended the call while its first message was written: grpc.aio has lost the reason (grpc/grpc#36066)."""


async def _attempt(stub: Any, job: SealedJob, table: pa.Table, attested: AttestedWorker, flow: Counter[int]) -> int:
    """Run the job once; returns the bytes sent. Its receipt vouches for every byte sent and received."""
    collector, call = Collector(job.header), stub.Run(timeout=_JOB_S)
    sending: asyncio.Task[PartDigest] | None = None
    try:
        await _open(call, job, attested)
        while (message := await call.read()) is not _EOF:
            collector.take(message)
            flow[int(time.monotonic())] += len(message.segment.data)
            sending = sending or asyncio.create_task(_send(call, job, table, flow))
        header, outputs = collector.finish()
        assert sending is not None
        sent = await sending
        verify_result(
            collector.done.receipt, job=job.header, attested=attested, sent=[sent], header=header, outputs=outputs
        )
    except grpc.RpcError as error:
        raise from_rpc(error) from None
    finally:
        call.cancel()
        collector.discard()
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return sent.bytes


async def _open(call: Any, job: SealedJob, attested: AttestedWorker) -> None:
    proof = admission(job.header, job.send_key, attested, attempt=1)
    try:
        await call.write(pb.RunRequest(open=pb.Open(header=job.header.data, signature=job.signature, admission=proof)))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata():
            raise _RefusedUnread from None
        raise


async def _send(call: Any, job: SealedJob, table: pa.Table, flow: Counter[int]) -> PartDigest:
    digest, length = hashlib.sha256(), 0
    for index, data in enumerate(job.seal_part(0, table)):
        digest.update(data)
        length += len(data)
        await call.write(pb.RunRequest(segment=pb.Segment(index=index, data=data)))
        flow[int(time.monotonic())] += len(data)
    await call.write(pb.RunRequest(finish=pb.Finish()))
    await call.done_writing()
    return PartDigest(name=INPUT_NAME, sha256=digest.hexdigest(), bytes=length)


def _credentials(tls: ClientTls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.cert_pem)


def probe_health(profile: ClientProfile, *, per_second: int, seconds: float) -> Probe:
    """Ask for the health of the worker's service at a fixed rate; a late answer delays no later question's clock."""
    found, failures = list[float](), 0
    with grpc.secure_channel(profile.target, _credentials(profile.tls())) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        grpc.channel_ready_future(channel).result(_HEALTH_S)
        _wait_for_all()
        began = time.monotonic()
        for due in (began + number / per_second for number in range(int(seconds * per_second))):
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                answer = check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=_HEALTH_S)
                failures += answer.status != health_pb2.HealthCheckResponse.SERVING
            except grpc.RpcError:
                failures += 1
            found.append((time.monotonic() - due) * 1000)
    return Probe(milliseconds=found, failures=failures)

"""Jobs in parts on a pool: submitted in shards, run by a conductor or without one, opened by their recipient."""

import asyncio
import io
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
from cji_engine.conductor import ClusterLostError, Conductor
from cji_engine.messages import Answer, Job, MessageError, Request, framed, read_answer
from cji_simulator.raw import until

from tests.support.fleet_bench import Pool
from worker.audit import claims_unverified
from worker.client import SealedJob
from worker.client.parts import open_part
from worker.client.result import parse_result_header
from worker.compute.parameters import Parameters
from worker.envelope import output_aad, unwrap_result_key
from worker.fleet import names
from worker.fleet.documents import RECEIPT_BYTES, Published, decode
from worker.fleet.tasks.published import SOURCES_BYTES, Sources

TASKS_SOCKET = "tasks.sock"
_MOST = 1 << 28


class SocketCluster:
    """The conductor's cluster without Dask: the sockets of nodes, in turn."""

    def __init__(self, sockets: Mapping[str, Path]) -> None:
        self._sockets = dict(sockets)
        self._next = 0
        self.answers: list[tuple[str, Request, Answer]] = []

    async def nodes(self) -> Mapping[str, int]:
        return dict.fromkeys(self._sockets, 1)

    async def run(self, request: Request, *, avoid: frozenset[str]) -> tuple[str, Answer]:
        names_of = [name for name in self._sockets if name not in avoid] or list(self._sockets)
        self._next += 1
        node = names_of[self._next % len(names_of)]
        try:
            answer = await asyncio.to_thread(ask, self._sockets[node], request)
        except (OSError, MessageError) as error:
            raise ClusterLostError from error
        self.answers.append((node, request, answer))
        return node, answer


def ask(path: Path, request: Request) -> Answer:
    """One request on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        connection.sendall(framed(request))
        return read_answer(connection.recv)


def start(pool: Pool) -> None:
    """Start the fleet processes, and wait until they serve the engine."""
    for member in pool.members:
        member.start_fleet()
    for member in pool.members:
        until(lambda: b"fleet serves" in member.fleet_log.read_bytes(), seconds=60)  # noqa: B023 - called at once


def sockets(pool: Pool) -> dict[str, Path]:
    """The engine's socket of each member."""
    return {f"n{member.number}": member.files.folder / TASKS_SOCKET for member in pool.members}


def submit(
    pool: Pool,
    records: pa.Table,
    *operations: Parameters,
    shards: int,
    sides: Mapping[str, pa.Table] | None = None,
    **spec: object,
) -> SealedJob:
    """Seal records in shards, and put the job into Blob Storage; there is no ticket."""
    site = pool.site
    sealed = site.seal(site.spec(*operations, **{"shards": shards, **spec}), rows=records.num_rows)
    job, blobs = sealed.header.job_id.hex(), pool.storage.blobs("jobs")
    for number, source in enumerate([*(sides or {}).values(), records]):
        for part, segments in sealed.seal_parts(number, source):
            blobs.write(names.part(job, part), b"".join(segments))
    pool.put_header(job, sealed.header.data, sealed.signature)
    return sealed


def names_of(sealed: SealedJob) -> Job:
    """The names that a conductor is given."""
    return Job(job=sealed.header.job_id.hex(), header_sha384=sealed.header.sha384.hex())


def conduct(pool: Pool, sealed: SealedJob) -> tuple[Conductor, SocketCluster]:
    """Run a job in parts without Dask."""
    cluster = SocketCluster(sockets(pool))
    conductor = Conductor(job=names_of(sealed), cluster=cluster, tries=3)
    asyncio.run(conductor.run())
    return conductor, cluster


def opened(pool: Pool, sealed: SealedJob) -> dict[str, pa.Table]:
    """The outputs of a job in parts, as its recipient reads them from Blob Storage."""
    job, results = sealed.header.job_id.hex(), pool.storage.blobs("results")
    found = decode(results.read(names.receipt(job), most=RECEIPT_BYTES), Published)
    claims = claims_unverified(found.receipt)
    sources = msgspec.json.decode(results.read(names.sources(job, found.attempt), most=SOURCES_BYTES), type=Sources)
    header = parse_result_header(results.read(names.result_header(job, found.attempt), most=_MOST), sealed.header)
    assert header.sha384.hex() == claims.result_header_sha384
    key = unwrap_result_key(pool.site.recipient, next(iter(header.wrapped.values())), sealed.header.sha384)
    tables: dict[str, pa.Table] = {}
    part = 0
    for output in header.outputs:
        batches = []
        for _ in range(output.shards):
            data = results.read(names.output(job, sources.attempts[part], part), most=_MOST)
            shard = open_part(key, output_aad(header.sha384, part), io.BytesIO(data), name=output.name)
            batches += list(shard)
            part += 1
        tables[output.name] = pa.Table.from_batches(batches)
    assert part == len(sources.attempts)
    return tables

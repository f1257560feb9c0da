"""Jobs in parts on a pool of tests: submitted in shards, and run by a conductor without Dask."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from cji_client.seal import SealedJob
from cji_core.operations.parameters import Parameters
from cji_engine.conductor import ClusterLostError, Conductor
from cji_engine.messages import Answer, Job, MessageError, Request, framed, read_answer
from cji_simulator.cluster_demo import open_parts, submit_parts
from cji_simulator.raw import until
from tests.support.fleet_bench import Pool

TASKS_SOCKET = "tasks.sock"


class SocketCluster:
    """The conductor's cluster without Dask: the sockets of nodes, in turn."""

    def __init__(self, sockets: Mapping[str, Path]) -> None:
        self._sockets = dict(sockets)
        self._next = 0
        self.answers: list[tuple[str, Request, Answer]] = []

    async def nodes(self) -> Mapping[str, int]:
        """One task at a time each."""
        return dict.fromkeys(self._sockets, 1)

    async def run(self, request: Request, *, avoid: frozenset[str]) -> tuple[str, Answer]:
        """As `Cluster.run`."""
        free = [name for name in self._sockets if name not in avoid] or list(self._sockets)
        self._next += 1
        node = free[self._next % len(free)]
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
    until(lambda: all(b"fleet serves" in member.fleet_log.read_bytes() for member in pool.members))


def sockets(pool: Pool) -> dict[str, Path]:
    """The engine's socket of each member."""
    return {f"n{member.number}": member.files.folder / TASKS_SOCKET for member in pool.members}


def submit(pool: Pool, records: pa.Table, *operations: Parameters, shards: int, **options: Any) -> SealedJob:
    """Seal records in shards, and put the job into Blob Storage; there is no ticket."""
    return submit_parts(pool.site, pool.storage.blobs, records, *operations, shards=shards, **options)


def names_of(sealed: SealedJob) -> Job:
    """The names that a conductor is given."""
    return Job(job=sealed.header.job_id.hex(), header_sha384=sealed.header.sha384.hex())


def conduct(pool: Pool, sealed: SealedJob, **options: Any) -> tuple[Conductor, SocketCluster]:
    """Run a job in parts without Dask."""
    cluster = SocketCluster(sockets(pool))
    conductor = Conductor(job=names_of(sealed), cluster=cluster, tries=4, **options)
    asyncio.run(conductor.run())
    return conductor, cluster


def opened(pool: Pool, sealed: SealedJob) -> dict[str, pa.Table]:
    """The outputs of a job in parts, as its recipient reads them."""
    return open_parts(pool.site, pool.storage.blobs, sealed)[1]

"""Dask as a conductor uses it: tasks by name, and a new connection whenever the scheduler was away."""

import asyncio
import concurrent.futures
import contextlib
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from distributed import Client, get_worker
from distributed.scheduler import KilledWorker

from cji_engine.conductor import ClusterLostError
from cji_engine.messages import Answer, MessageError, Refused, Request, framed, read_answer
from cji_engine.node import LocalNode, Node
from cji_engine.tls import MutualTls

__all__ = ["DaskCluster"]

_RETRY_MS: Final = 1000

_CONNECT_SECONDS = 10.0
_NODES_SECONDS = 1.0
"""The list of nodes is not older than this."""


class DaskCluster:
    """The nodes behind one scheduler; see `conductor.Cluster`."""

    def __init__(self, scheduler: str, tls: MutualTls) -> None:
        self._scheduler = scheduler
        self._tls = tls
        self._client: Any = None
        self._connecting = asyncio.Lock()
        self._nodes: dict[str, int] = {}
        self._nodes_until = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def run(self, request: Request, *, avoid: frozenset[str]) -> tuple[str, Answer]:
        """(node, answer); a node that dies leaves the task to others. Raises ClusterLostError."""
        client = await self._connected()
        allowed = [name for name in await self.nodes() if name not in avoid] if avoid else []
        # a key of its own: Dask would take a task of the same key for the same answer
        key = f"{request.stage}-{request.task:05d}-{secrets.token_hex(8)}"
        future = client.submit(_on_node, request, key=key, pure=False, workers=allowed or None)
        try:
            node, answer = await future
        except KilledWorker as error:
            raise ClusterLostError("the node died") from error
        except (OSError, TimeoutError, concurrent.futures.CancelledError) as error:
            raise ClusterLostError("the scheduler is away") from error
        finally:
            # Dask forgets a task when its future is released
            future.release()
        return node, answer

    async def nodes(self) -> Mapping[str, int]:
        """Threads of each node by name. Raises ClusterLostError."""
        client, now = await self._connected(), asyncio.get_running_loop().time()
        if now >= self._nodes_until:
            try:
                found = await client.scheduler.identity()
            except OSError as error:
                raise ClusterLostError("the scheduler is away") from error
            self._nodes = {str(one["name"]): int(one["nthreads"]) for one in found["workers"].values()}
            self._nodes_until = now + _NODES_SECONDS
        return self._nodes

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._client is None or self._client.status != "running":
                await self._disconnect()
                try:
                    self._client = await Client(
                        self._scheduler,
                        security=self._tls,
                        asynchronous=True,
                        direct_to_workers=False,
                        set_as_default=False,
                        timeout=_CONNECT_SECONDS,
                    )
                except (OSError, TimeoutError, ValueError) as error:  # ValueError: it closed before TLS began
                    raise ClusterLostError("the scheduler does not answer") from error
            return self._client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(client.close(), _CONNECT_SECONDS)


def _on_node(request: Request) -> tuple[str, Answer]:
    worker = get_worker()
    return str(worker.name), run_task(request, worker.node)


def run_task(request: Request, node: Node = LocalNode()) -> Answer:  # noqa: B008 - has no state
    """The answer of a node's fleet process. One that does not answer is a refusal: another node may run the task.

    There is no timeout: a task takes as long as its cell, and the fleet process ends what takes too long.
    """
    try:
        with node.connect() as connection:
            connection.sendall(framed(request))
            return read_answer(connection.recv)
    except (OSError, MessageError):
        return Refused(reason="NODE_UNAVAILABLE", stage=request.stage, retry_after_ms=_RETRY_MS)

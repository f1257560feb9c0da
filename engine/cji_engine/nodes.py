"""Dask's scheduler and worker without dashboards, HTTP, spilling, nannies, preloads, and callers of other roles."""

import logging
import os
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import dask
from distributed import Scheduler, Worker
from distributed.http.routing import RoutingApplication
from distributed.stealing import WorkStealing
from distributed.utils import get_ip

from cji_engine.node import LocalNode, Node
from cji_engine.roles import Role, role_of
from cji_engine.tls import MutualTls

__all__ = ["FROM_WORKERS", "EngineScheduler", "EngineWorker", "harden"]

_log = logging.getLogger("distributed.cji_engine")

FROM_WORKERS: Final = frozenset(
    (
        # on connections of their own
        *("register-worker", "heartbeat_worker", "unregister", "identity", "ping", "versions", "close"),
        # on the stream that register-worker opens
        *("task-finished", "task-erred", "release-worker-data", "add-keys", "long-running", "reschedule"),
        *("keep-alive", "log-event", "worker-status-change", "request-refresh-who-has", "steal-response"),
        *("close-stream", "stream-closed"),
    )
)
"""The operations that the scheduler takes from a certificate of a worker. Everything else needs a conductor's."""

_SETTINGS: Final = {
    "distributed.comm.require-encryption": True,
    "distributed.comm.default-scheme": "tls",
    "distributed.comm.compression": False,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.worker-ttl": "30s",
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


def harden() -> None:
    """Set Dask's configuration: that of the engine, and nothing of files or of the environment."""
    dask.config.refresh(paths=[], env={})
    dask.config.set(_SETTINGS)


class _NoHttp:
    """Dask's nodes without an HTTP server, which would answer without TLS."""

    http_application: Any

    def start_http_server(self, *_arguments: Any, **_options: Any) -> None:
        """Start none."""
        self.http_application = RoutingApplication([])


class EngineScheduler(_NoHttp, Scheduler):
    """Dask's scheduler, for conductors; of workers it takes what workers send."""

    def __init__(self, *, host: str, port: int, tls: MutualTls) -> None:
        super().__init__(
            host=host,
            port=port,
            protocol="tls",
            security=tls,
            dashboard=False,
            extensions={"stealing": WorkStealing},
        )

    def handle_comm(self, comm: Any) -> Any:
        """Answer a caller by the role of its certificate."""
        match role_of(comm.extra_info.get("peercert")):
            case Role.CONDUCTOR:
                pass
            case Role.WORKER:
                comm.read = _only(FROM_WORKERS, comm)
            case _:
                return _refuse(comm)
        return super().handle_comm(comm)


class EngineWorker(_NoHttp, Worker):
    """Dask's worker of one node; it answers the scheduler alone, and exchanges nothing with other workers."""

    def __init__(
        self,
        scheduler: str,
        *,
        name: str,
        tasks: int,
        host: str | None,
        port: int,
        tls: MutualTls,
        node: Node = LocalNode(),  # noqa: B008 - has no state
    ) -> None:
        self.node = node
        super().__init__(
            scheduler,
            name=name,
            nthreads=tasks,
            host=host or get_ip(urlsplit(scheduler).hostname or ""),
            port=port,
            security=tls,
            memory_limit=0,
            dashboard=False,
            extensions={},
        )

    def handle_comm(self, comm: Any) -> Any:
        """Answer the scheduler."""
        if role_of(comm.extra_info.get("peercert")) is not Role.SCHEDULER:
            return _refuse(comm)
        return super().handle_comm(comm)


def _refuse(comm: Any) -> Any:
    _log.warning("connection of another role from %s refused", comm.peer_address)
    comm.abort()
    return _Nothing()


class _Nothing:
    def __await__(self) -> Any:
        return iter(())


def _only(operations: frozenset[str], comm: Any) -> Callable[..., Any]:
    """`comm.read`, of a caller that may send these operations only; others end its connection."""
    read = comm.read

    async def checked(*arguments: Any, **named: Any) -> Any:
        message = await read(*arguments, **named)
        for one in message if isinstance(message, (list, tuple)) else (message,):
            if not (isinstance(one, dict) and one.get("op") in operations):
                _log.warning("operation of another role from %s refused", comm.peer_address)
                comm.abort()
                raise OSError("an operation that this certificate may not use")
        return message

    return checked


def node_name() -> str:
    """The name of this node among the engine's workers: that of the machine."""
    return os.uname().nodename

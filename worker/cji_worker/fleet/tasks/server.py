"""The socket of the engine: one request a connection, a thread each, at most MAX_CONNECTIONS.

The engine's user may connect, by the group of the socket's folder. It is hostile: it names tasks, and may send
anything, nothing, or many requests. A connection that ends ends its task.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cji_core.errors import Reason, Refusal, RetryLater, StartupError
from cji_core.errors import Stage as Where
from cji_core.log import log
from cji_worker.fleet.tasks.messages import (
    RETRY_MS,
    Answer,
    Refused,
    Request,
    RequestError,
    answer_bytes,
    progress_bytes,
    read_request,
)

MAX_CONNECTIONS: Final = 64
_REQUEST_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 30.0
_BACKLOG: Final = 64

Progressed = Callable[[str, int], None]
Cancellation = threading.Event
Handler = Callable[[Request, Progressed, Cancellation], Answer]
"""Runs one request. The event is set when the caller is gone. Raises Refusal."""


class TaskServer:
    """Listens until `close`. `handler` is called by many threads."""

    def __init__(self, listener: socket.socket, handler: Handler, *, connections: int = MAX_CONNECTIONS) -> None:
        self._handler, self._connections = handler, connections
        self._free = threading.BoundedSemaphore(connections)
        self._ended = threading.Event()
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, name="tasks", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def close(self) -> None:
        """Accept no more; connections that are open end with their tasks, for which `join` waits."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def join(self, seconds: float) -> bool:
        """After `close`, wait for all tasks, `seconds` at most; whether they have ended."""
        until = time.monotonic() + seconds
        return all(self._free.acquire(timeout=max(0.0, until - time.monotonic())) for _ in range(self._connections))

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._ended.wait(0.05):
                    return
                continue
            if not self._free.acquire(blocking=False):
                with connection:
                    connection.settimeout(_REQUEST_SECONDS)
                    _send(connection, _busy())
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        gone = threading.Event()
        try:
            with connection:
                connection.settimeout(_REQUEST_SECONDS)
                request = read_request(connection.recv)
                connection.settimeout(_ANSWER_SECONDS)
                watcher = threading.Thread(target=_watch, args=(connection.dup(), gone), daemon=True)
                watcher.start()
                answer = self._answer(request, connection, gone)
                _send(connection, answer_bytes(answer))
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                watcher.join()
        except (OSError, RequestError):
            pass
        finally:
            self._free.release()

    def _answer(self, request: Request, connection: socket.socket, gone: threading.Event) -> Answer:
        def progress(step: str, per_cent: int) -> None:
            _send(connection, progress_bytes(step, per_cent))

        try:
            return self._handler(request, progress, gone)
        except Refusal as refusal:
            return Refused.of(refusal)
        except Exception as fault:  # noqa: BLE001 - its text may have anything, and its caller waits
            log("fault", error=type(fault).__name__)
            return Refused.of(Refusal(Reason.INTERNAL, stage=Where.COMPUTE))


def _watch(connection: socket.socket, gone: threading.Event) -> None:
    """Set `gone` at the end of the connection, or at a byte after the request."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(None)
        connection.recv(1)
    gone.set()


def _send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the watcher ends the task
        connection.sendall(data)


def _busy() -> bytes:
    return answer_bytes(Refused.of(RetryLater(Reason.OVERLOADED, stage=Where.ADMIT, after_ms=RETRY_MS)))


def listen(path: Path) -> socket.socket:
    """The listening socket, for the group of its folder. Raises StartupError for a path that cannot be used."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartupError(
            "The engine's socket cannot be made", "Make the folder of tasks_socket; see deploy/systemd."
        ) from error
    finally:
        os.umask(before)
    return listener

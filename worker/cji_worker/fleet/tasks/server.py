"""The socket of the engine: one request a connection, a thread each, at most MAX_CONNECTIONS.

The engine's user may connect, by the group of the socket's folder. It is hostile: it names tasks, and may send
anything, nothing, or many requests. A connection that ends ends its task.

* A process has at most WAITING connections whose request has not come. Of all such connections, the oldest is closed
  when there would be more than half of MAX_CONNECTIONS: silence holds up nobody.
* A task of a job runs once at a time, and at most `runs` tasks do; what exceeds that is refused, and may come again.
"""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
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
WAITING: Final = 8
_REQUEST_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 30.0
_BACKLOG: Final = 64
_CREDENTIALS: Final = struct.Struct("3i")

Progressed = Callable[[str, int], None]
Cancellation = threading.Event
Handler = Callable[[Request, Progressed, Cancellation], Answer]
"""Runs one request. The event is set when the caller is gone. Raises Refusal."""


class TaskServer:
    """Listens until `close`. `handler` is called by many threads, for at most `runs` requests at once.

    `cell_memory_mib` is what a refusal for it names.
    """

    def __init__(
        self,
        listener: socket.socket,
        handler: Handler,
        *,
        connections: int = MAX_CONNECTIONS,
        runs: int = MAX_CONNECTIONS,
        cell_memory_mib: int | None = None,
    ) -> None:
        self._handler, self._connections, self._runs = handler, connections, runs
        self._cell_memory_mib = cell_memory_mib
        self._free = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, int] = {}
        """The process of each connection whose request has not come, the oldest first."""
        self._running: set[tuple[str, str, int]] = set()
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
            if not self._enter(connection):
                with connection:
                    connection.settimeout(0)
                    _send(connection, answer_bytes(_busy()))
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _enter(self, connection: socket.socket) -> bool:
        """Take one of the connections, if there is one and its process has a share left."""
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process = _CREDENTIALS.unpack(raw)[0]
        with self._lock:
            if list(self._waiting.values()).count(process) >= WAITING or not self._free.acquire(blocking=False):
                return False
            if len(self._waiting) >= max(1, self._connections // 2):
                with contextlib.suppress(OSError):
                    next(iter(self._waiting)).shutdown(socket.SHUT_RDWR)  # its thread ends
            self._waiting[connection] = process
        return True

    def _has_come(self, connection: socket.socket) -> None:
        with self._lock:
            self._waiting.pop(connection, None)

    @contextlib.contextmanager
    def _run(self, request: Request) -> Iterator[None]:
        """The run of a task, the only one. Raises RetryLater."""
        task = request.job, request.stage, request.task
        with self._lock:
            if task in self._running or len(self._running) >= self._runs:
                raise RetryLater(Reason.OVERLOADED, stage=Where.ADMIT, after_ms=RETRY_MS)
            self._running.add(task)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(task)

    def _serve(self, connection: socket.socket) -> None:
        gone = threading.Event()
        try:
            with connection:
                connection.settimeout(_REQUEST_SECONDS)
                request = read_request(connection.recv)
                self._has_come(connection)
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
            self._has_come(connection)
            self._free.release()

    def _answer(self, request: Request, connection: socket.socket, gone: threading.Event) -> Answer:
        def progress(step: str, per_cent: int) -> None:
            _send(connection, progress_bytes(step, per_cent))

        try:
            with self._run(request):
                return self._handler(request, progress, gone)
        except Refusal as refusal:
            return Refused.of(refusal, cell_memory_mib=self._cell_memory_mib)
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


def _busy() -> Refused:
    return Refused.of(RetryLater(Reason.OVERLOADED, stage=Where.ADMIT, after_ms=RETRY_MS))


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

"""A connection that goes silent: nothing passes any more, and neither end is told. For half-open streams.

with SilentLink(worker) as link:      connect to link.target
    link.cut()                        no byte, no end, no reset from here on
    link.shut()                       every connection ends, and so does every new one
    link.open()                       new connections pass again
"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

__all__ = ["SilentLink"]

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 64 << 10


class SilentLink:
    """A proxy on loopback in front of a worker's address."""

    def __init__(self, worker: str) -> None:
        host, _, port = worker.rpartition(":")
        self._worker = (host, int(port))
        self._listener = socket.create_server((_HOST, 0))
        self._sockets: list[socket.socket] = []
        self._silent, self._shut = threading.Event(), threading.Event()
        self.target = f"{_HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on both sides."""
        self._end(self._listener, *self._sockets)

    def cut(self) -> None:
        """Pass nothing on, and take nothing."""
        self._silent.set()

    def shut(self) -> None:
        """Be away, as a service whose port nobody serves."""
        self._shut.set()
        self._end(*self._sockets)

    def open(self) -> None:
        """Be back."""
        self._shut.clear()

    def _end(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._shut.is_set():
                    client.close()
                    continue
                server = socket.create_connection(self._worker)
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if self._silent.is_set():
                    return
                sink.sendall(data)
            if not self._silent.is_set():
                sink.shutdown(socket.SHUT_WR)

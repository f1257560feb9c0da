"""A recording proxy on loopback: every byte that crosses the wire between a client and a worker, both ways."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from cji_simulator.roots import HOST

__all__ = ["Tap"]

_CHUNK: Final = 256 << 10


class Tap:
    """A context manager. Connect to `target` instead of the worker; `sent` and `answered` are what passed."""

    def __init__(self, worker: str) -> None:
        host, _, port = worker.rpartition(":")
        self._worker = (host, int(port))
        self._listener = socket.create_server((HOST, 0))
        self._sockets: list[socket.socket] = []
        self.sent, self.answered = bytearray(), bytearray()
        self.target = f"{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._worker)
                self._sockets += [client, server]
                for source, sink, record in ((client, server, self.sent), (server, client, self.answered)):
                    threading.Thread(target=_copy, args=(source, sink, record), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            record += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

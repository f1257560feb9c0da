"""A server of one answer: 200 at `GET /ready` while the worker is ready, 503 otherwise, 404 for anything else.

The body of 503 is one word, why the worker is not ready, of a closed set.

At most `MAX_CLIENTS` connections, a new one takes the place of the oldest; each is over after `CLIENT_S`, whether or
not it reads, and has one answer. Nothing of a request is kept, and nothing in an answer depends on it but its status.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

MAX_CLIENTS: Final = 16
MAX_HEAD_BYTES: Final = 4 << 10
CLIENT_S: Final = 5.0
_REQUEST: Final = re.compile(rb"GET (/[!-~]{0,255}) HTTP/1\.[01]\r\n")
_END: Final = b"\r\n\r\n"


class Server:
    """Answers on a socket that its owner opened. For one event loop."""

    def __init__(self, unready: Callable[[], str | None]) -> None:
        """`unready` is the reason, None while the worker is ready."""
        self._unready = unready
        self._clients: dict[asyncio.Task[None], None] = {}

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Callback of `asyncio.start_server`; its `limit` is `MAX_HEAD_BYTES`."""
        if len(self._clients) >= MAX_CLIENTS:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients[task] = None
        task.add_done_callback(lambda done: self._clients.pop(done, None))

    async def close(self) -> None:
        """Hang up on everybody."""
        clients = [*self._clients]
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CLIENT_S):
                writer.write(self.answer(await reader.readuntil(_END)))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    def answer(self, head: bytes) -> bytes:
        """The response to a request's head."""
        request, body = _REQUEST.match(head), ""
        if request is None:
            status = HTTPStatus.BAD_REQUEST
        elif request[1] != b"/ready":
            status = HTTPStatus.NOT_FOUND
        else:
            reason = self._unready()
            status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
            body = "" if reason is None else f"{reason}\n"
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: text/plain",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
        )
        return ("\r\n".join((*lines, "", body))).encode("ascii")

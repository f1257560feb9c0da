"""A small HTTP server for a few documents: strict in what it reads, bounded in what a client can make it hold.

Contract and invariants
* A request is `GET PATH HTTP/1.0` or `/1.1` with header fields, at most `MAX_HEAD_BYTES`, without a body. Anything else
  is refused; nothing in it names a file. Each connection has one answer.
* `Host` must be a name of this machine's loopback, whatever the port: a page of another site whose name leads here (DNS
  rebinding) gets nothing. What a browser requests for another site is refused, but for a page of its own.
* At most `MAX_CLIENTS` connections, the oldest gives way; each is over after `CLIENT_S`, whether or not it reads.

Sources: RFC 9112 §2 and §3, RFC 9110 §5 and §7.2; W3C Fetch Metadata.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from cji_core.log import log
from cji_worker.errors import WorkerError

MAX_CLIENTS: Final = 32
MAX_HEAD_BYTES: Final = 8 << 10
MAX_FIELDS: Final = 64
CLIENT_S: Final = 10.0

_REQUEST: Final = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,1024}) HTTP/1\.[01]")
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*?)[ \t]*")
_HOST: Final = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_HEADERS: Final = (
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: frame-ancestors 'none'\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Connection: close\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The answer of one path."""

    content_type: str
    body: bytes


class RequestRefused(WorkerError):  # noqa: N818 - the protocol's word
    """A request that is answered with a status and no document."""

    code = "request-refused"
    remedy = "Send the request as docs/console.md describes."

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class Server:
    """Answers on sockets that its owner opened. For one event loop."""

    def __init__(self, documents: Mapping[str, Callable[[], Document]]) -> None:
        """`documents` are made by path, at each request, without waiting."""
        self._documents = documents
        self._clients: dict[asyncio.Task[None], None] = {}

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Callback of `asyncio.start_server` and `start_unix_server`; their `limit` is `MAX_HEAD_BYTES`."""
        if len(self._clients) >= MAX_CLIENTS:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients[task] = None
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Hang up on everybody."""
        clients = [*self._clients]
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._clients.pop(task, None)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log("fault", error=type(fault).__name__)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CLIENT_S):
                head = await reader.readuntil(_END)
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except asyncio.LimitOverrunError:
            writer.write(_response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        try:
            path = request_path(head)
            document = self._documents.get(path)
            if document is None:
                raise RequestRefused(HTTPStatus.NOT_FOUND)
            return _response(HTTPStatus.OK, document())
        except RequestRefused as refused:
            return _response(refused.status)


def request_path(head: bytes) -> str:
    """The path of a request that is to be answered. Raises RequestRefused."""
    try:
        line, *lines = head.removesuffix(_END).decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise RequestRefused(HTTPStatus.BAD_REQUEST) from None
    request = _REQUEST.fullmatch(line)
    found = [_FIELD.fullmatch(each) for each in lines]
    if request is None or None in found or len(found) > MAX_FIELDS:
        raise RequestRefused(HTTPStatus.BAD_REQUEST)
    method, path = request.groups()
    if method != "GET":
        raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED)
    fields: dict[str, list[str]] = {}
    for each in found:
        if each is not None:
            fields.setdefault(each[1].lower(), []).append(each[2])
    _check_fields(fields)
    return path


def _check_fields(fields: Mapping[str, list[str]]) -> None:
    if "transfer-encoding" in fields or fields.get("content-length", ["0"]) != ["0"]:
        raise RequestRefused(HTTPStatus.BAD_REQUEST)
    match fields.get("host", []):
        case [host]:
            if not _HOST.fullmatch(host):
                raise RequestRefused(HTTPStatus.MISDIRECTED_REQUEST)
        case _:
            raise RequestRefused(HTTPStatus.BAD_REQUEST)
    site, destination = fields.get("sec-fetch-site", ["none"]), fields.get("sec-fetch-dest", [""])
    if site not in (["none"], ["same-origin"]) and destination != ["document"]:
        raise RequestRefused(HTTPStatus.FORBIDDEN)


def _response(status: HTTPStatus, document: Document | None = None) -> bytes:
    if document is None:
        document = Document(content_type="text/plain; charset=utf-8", body=f"{status.phrase}\n".encode())
    allow = "Allow: GET\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {document.content_type}\r\n"
        f"Content-Length: {len(document.body)}\r\n{allow}{_HEADERS}\r\n"
    )
    return head.encode("ascii") + document.body

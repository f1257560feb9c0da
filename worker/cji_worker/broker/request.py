"""One HTTP request of a peer, as far as the broker reads one: a line, headers that it skips, a small body. RFC 9112."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cji_worker.errors import WorkerError

MAX_HEAD_BYTES: Final = 8 << 10
MAX_BODY_BYTES: Final = 4 << 10
"""A TD report, 1024 bytes, is 1.4 KiB as JSON."""
_END: Final = b"\r\n\r\n"
_VERSION: Final = b"HTTP/1.1"


class MalformedError(WorkerError):
    """Not a request, or not all of one in time."""

    code = "broker-request"
    remedy = "Send one HTTP/1.1 request."


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`line` is method and target, separated by a space."""

    line: str
    body: bytes


def receiver(sock: socket.socket, *, until: float) -> Callable[[], bytes]:
    """The reader for `read_request`, until a time of time.monotonic(). It raises OSError."""

    def received() -> bytes:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        return sock.recv(MAX_HEAD_BYTES)

    return received


def read_request(read: Callable[[], bytes]) -> Request:
    """One request, whole. `read` returns the bytes that come next, none at the end. Raises MalformedError."""
    data = b""
    while _END not in data:
        if len(data) > MAX_HEAD_BYTES:
            raise MalformedError("the head is too long")
        data += _more(read)
    head, _, body = data.partition(_END)
    if len(head) > MAX_HEAD_BYTES:
        raise MalformedError("the head is too long")
    first, *lines = head.split(b"\r\n")
    if first.count(b" ") != 2 or not first.isascii():
        raise MalformedError("the first line is not one of a request")
    line, _, version = first.rpartition(b" ")
    if version != _VERSION:
        raise MalformedError("not HTTP/1.1")
    length = _length(lines)
    while len(body) < length:
        body += _more(read)
    if len(body) != length:
        raise MalformedError("there is more than one request")
    return Request(line=line.decode("ascii"), body=body)


def _length(lines: list[bytes]) -> int:
    headers = [line.partition(b":") for line in lines]
    named = [(name.strip().lower(), value.strip()) for name, _, value in headers]
    lengths = [value for name, value in named if name == b"content-length"]
    if any(name == b"transfer-encoding" for name, _ in named) or len(lengths) > 1:
        raise MalformedError("the body has no one length")
    if not lengths:
        return 0
    if not lengths[0].isdigit() or len(lengths[0]) > len(str(MAX_BODY_BYTES)) or int(lengths[0]) > MAX_BODY_BYTES:
        raise MalformedError("the body is too long")
    return int(lengths[0])


def _more(read: Callable[[], bytes]) -> bytes:
    data = read()
    if not data:
        raise MalformedError("the request is cut off")
    return data

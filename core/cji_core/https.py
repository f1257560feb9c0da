"""HTTPS for services outside: a deadline for each exchange, bounded answers; no proxy, redirect, cookie or environment.

The deadline covers sending and every read, so a peer that sends a byte at a time gets no more time than a silent one;
connecting has limits of its own. Name resolution has the resolver's own time-out. An answer that is larger than the
limit, compressed or cut off is a `requests.ConnectionError`. TLS is 1.2 or later.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

CONNECT_SECONDS: Final = 10.0
EXCHANGE_SECONDS: Final = 60.0
MAX_ANSWER_BYTES: Final = 1 << 20
SYSTEM_ROOTS: Final = "/etc/ssl/certs/ca-certificates.crt"
_CHUNK: Final = 64 * 1024


class _TimedReader(io.RawIOBase):
    """Reads of a connection until its deadline."""

    def __init__(self, sock: Any, remaining: Callable[[], float]) -> None:
        super().__init__()
        self._sock, self._remaining = sock, remaining
        self._inner = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._remaining())
        found: int | None = self._inner.readinto(buffer)
        return found

    def close(self) -> None:
        self._inner.close()
        super().close()


class _TimedSocket:
    """A connected socket whose sends and reads share a deadline."""

    def __init__(self, sock: Any, remaining: Callable[[], float]) -> None:
        self._sock, self._remaining = sock, remaining

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(self._remaining())
        self._sock.sendall(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._remaining))


class _Connection(HTTPSConnection):
    seconds = EXCHANGE_SECONDS
    _until = 0.0

    def connect(self) -> None:
        super().connect()
        self.sock = cast("Any", _TimedSocket(self.sock, self._remaining))

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._until = time.monotonic() + self.seconds
        super().request(*args, **kwargs)

    def _remaining(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Adapter(HTTPAdapter):
    def __init__(self, *, seconds: float, limit: int) -> None:
        self._seconds, self._limit = seconds, limit
        super().__init__(max_retries=urllib3.Retry(total=False, redirect=False, raise_on_status=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        connection = type("_Connection", (_Connection,), {"seconds": self._seconds})
        pool = type("_Pool", (HTTPSConnectionPool,), {"ConnectionCls": connection})
        self.poolmanager.pool_classes_by_scheme = {"https": pool}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **{**kwargs, "stream": True})
        raw = cast("urllib3.HTTPResponse", response.raw)
        try:
            body = self._body(raw, response.headers.get("Content-Encoding"))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error, request=request) from error
        finally:
            raw.close()
        response.raw = urllib3.HTTPResponse(
            body=io.BytesIO(body),
            headers=raw.headers,
            status=raw.status,
            reason=raw.reason,
            preload_content=False,
            request_method=request.method,
        )
        return response

    def _body(self, raw: urllib3.HTTPResponse, encoding: str | None) -> bytes:
        if encoding not in {None, "", "identity"}:
            raise OSError("a compressed answer")
        body = bytearray()
        while chunk := raw.read(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > self._limit:
                raise OSError("an answer that is too large")
        return bytes(body)


class _NoCookies(RequestsCookieJar):
    def set_cookie(self, *_: Any, **__: Any) -> None:
        """A destination keeps no state in this process."""


def bounded_session(
    ca_file: str, *, seconds: float = EXCHANGE_SECONDS, limit: int = MAX_ANSWER_BYTES
) -> requests.Session:
    """A session for `https` alone, which trusts the authorities in this PEM file.

    Each exchange takes at most `seconds` after its connection stands, each body at most `limit` bytes. Raises OSError
    if there is no such file.
    """
    if not Path(ca_file).is_file():
        raise FileNotFoundError(ca_file)
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file
    session.cookies = _NoCookies()
    session.headers["Accept-Encoding"] = "identity"
    session.adapters.clear()
    session.mount("https://", _Adapter(seconds=seconds, limit=limit))
    return session

"""Requests of the machine's users to the metadata service, each compared with the grants of the user that sent it.

Contract and invariants
* A peer is its user id, as the kernel reports it (SO_PEERCRED); it states nothing about itself.
* A request is passed on if its method and target are one of the peer's, byte by byte; never another address or header,
  and no body but that of a TD quote or of the approval of one scheduled event. So identity and audience of a token are
  those of the configuration. An approval is passed on only once `approval` finds it due.
* One request per connection. Each peer has its own share of connections, time and exchanges with the service, so none
  holds up another; users without grants get no thread.
* A refusal has a reason of a closed set, is logged at most once a minute for each user and reason, and no log has a
  target, a reply or a token.
"""

import enum
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cji_core.https import Client, ExchangeError, Response
from cji_core.log import log
from cji_core.metadata import EVENTS, HEADERS, SERVICE, TOKEN, started_event, token_target
from cji_worker.broker.approval import Approvals
from cji_worker.broker.grants import Grants, get
from cji_worker.broker.request import MalformedError, Request, read_request, receiver
from cji_worker.broker.tokens import RENEW_SECONDS, Tokens
from cji_worker.errors import WorkerError
from cji_worker.probe.notice import DRAIN, NoticeError

REQUEST_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 4.0
"""For all exchanges with the service that one request takes; shorter than any caller waits."""
SEND_SECONDS: Final = 2.0
MAX_REPLY_BYTES: Final = 256 << 10
CONNECTIONS: Final = 8
"""Of one user at once."""
BURST: Final = 16
PER_SECOND: Final = 2.0
"""Exchanges of one user with the service: a few at once, then two in a second. A token that is kept costs none."""
_LOG_SECONDS: Final = 60.0
_CREDENTIALS: Final = struct.Struct("3i")
_ID_LENGTH: Final = 36
_CLIENT_ID: Final = re.compile(r"[0-9a-fA-F-]{36}", re.ASCII)
_ACCEPT_PAUSE: Final = 0.1
_UNREAD_BYTES: Final = 64 << 10


class Reason(enum.StrEnum):
    """Why a request was not passed on, with its HTTP status and the remedy."""

    UNKNOWN_PEER = "unknown-peer"
    NOT_GRANTED = "not-granted"
    NOT_DRAINED = "not-drained"
    MALFORMED = "malformed"
    TOO_MANY = "too-many"
    TOO_FAST = "too-fast"
    AWAY = "away"


_REFUSALS: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.UNKNOWN_PEER: (403, "Ask as a user of the worker: cji-worker.sysusers.conf has them."),
    Reason.NOT_GRANTED: (403, "Configure identity and audience, then restart cji-broker.service."),
    Reason.NOT_DRAINED: (403, "Wait until cji-drain.service is done; an event that names others too is not approved."),
    Reason.MALFORMED: (400, "Send one HTTP/1.1 request of the metadata service, at once."),
    Reason.TOO_MANY: (429, "Close other connections first."),
    Reason.TOO_FAST: (429, "Ask again later."),
    Reason.AWAY: (504, "Wait until the metadata service answers, then ask again."),
}


class RefusedError(WorkerError):
    """A request that is not passed on."""

    code = "broker-refused"

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason, remedy=_REFUSALS[reason][1])
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each user. Others than these in tests only, and in the simulator."""

    connections: int = CONNECTIONS
    burst: int = BURST
    per_second: float = PER_SECOND
    request_seconds: float = REQUEST_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    renew_seconds: float = RENEW_SECONDS


@dataclass(slots=True)
class _Peer:
    """One user's share."""

    uid: int
    grants: Grants
    limits: Limits
    open: int = 0
    allowance: float = 0.0
    counted: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.allowance, self.counted = float(self.limits.burst), time.monotonic()

    def enter(self) -> bool:
        """Take a connection, if there is one left."""
        with self.lock:
            self.open += (free := self.open < self.limits.connections)
        return free

    def leave(self) -> None:
        """Give it back."""
        with self.lock:
            self.open -= 1

    def spend(self) -> None:
        """Take one exchange. Raises RefusedError."""
        with self.lock:
            now = time.monotonic()
            gained = (now - self.counted) * self.limits.per_second
            self.allowance, self.counted = min(self.limits.burst, self.allowance + gained), now
            if self.allowance < 1:
                raise RefusedError(Reason.TOO_FAST)
            self.allowance -= 1

    def may(self, line: str) -> bool:
        """Whether the request is one of this user's."""
        client_id = line[-_ID_LENGTH:] if _CLIENT_ID.fullmatch(line[-_ID_LENGTH:]) else None
        return line in self.grants.requests or any(
            line == get(token_target(audience, client_id)) for audience in self.grants.any_identity
        )


class Broker:
    """Passes requests on, until its listener is closed."""

    def __init__(
        self,
        grants: Mapping[int, Grants],
        *,
        address: str = SERVICE,
        limits: Limits | None = None,
        drain: Path = DRAIN,
    ) -> None:
        """`grants` by user id. `address` and `drain` are others in tests and in the simulator only."""
        self._limits = limits or Limits()
        self._peers = {uid: _Peer(uid=uid, grants=one, limits=self._limits) for uid, one in grants.items()}
        self._address = address
        self._client = Client(None, limit=MAX_REPLY_BYTES, plain=True)
        self._approvals = Approvals(self._asked, drain)
        self._tokens = Tokens(self._asked, renew_seconds=self._limits.renew_seconds)
        self._logged: dict[tuple[int, Reason], float] = {}
        self._serving = threading.local()

    def serve(self, listener: socket.socket) -> None:
        """Accept connections of `listener` until it is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                if listener.fileno() < 0:
                    return
                time.sleep(_ACCEPT_PAUSE)  # no descriptor is left for a moment
                continue
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        uid = _user(connection)
        peer = self._peers.get(uid)
        if peer is None or not peer.grants.requests:
            self._turned_away(connection, uid, Reason.UNKNOWN_PEER)
        elif not peer.enter():
            self._turned_away(connection, uid, Reason.TOO_MANY)
        else:
            try:
                threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()
            except RuntimeError:  # no thread is left
                peer.leave()
                self._turned_away(connection, uid, Reason.TOO_MANY)

    def _turned_away(self, connection: socket.socket, uid: int, reason: Reason) -> None:
        """Without waiting: what was sent is not read."""
        self._note(uid, reason)
        with connection:
            _finish(connection, _refusal(reason), seconds=0)

    def _serve(self, connection: socket.socket, peer: _Peer) -> None:
        try:
            with connection:
                try:
                    request = read_request(receiver(connection, until=time.monotonic() + self._limits.request_seconds))
                    answer = _reply(self._passed_on(request, peer))
                except (MalformedError, OSError):
                    answer = self._refused(peer, Reason.MALFORMED)
                except RefusedError as error:
                    answer = self._refused(peer, error.reason)
                _finish(connection, answer, seconds=SEND_SECONDS)
        finally:
            peer.leave()

    def _passed_on(self, request: Request, peer: _Peer) -> Response:
        if not peer.may(request.line):
            raise RefusedError(Reason.NOT_GRANTED)
        method, _, target = request.line.partition(" ")
        if request.body and method != "POST":
            raise RefusedError(Reason.MALFORMED)
        self._serving.peer, self._serving.until = peer, time.monotonic() + self._limits.answer_seconds
        try:
            if target == EVENTS and method == "POST":
                self._require_due(request.body)
            if target.startswith(f"{TOKEN}?"):
                return self._tokens.reply(target, seconds=self._limits.answer_seconds)
            peer.spend()
            return self._exchange(method, target, request.body)
        except (ExchangeError, NoticeError, TimeoutError) as error:
            raise RefusedError(Reason.AWAY) from error

    def _require_due(self, body: bytes) -> None:
        event = started_event(body)
        if event is None:
            raise RefusedError(Reason.MALFORMED)
        if not self._approvals.due(event):
            raise RefusedError(Reason.NOT_DRAINED)

    def _asked(self, target: str) -> Response:
        """A question of the broker's own, such as for a token, at the cost of the peer that this thread serves."""
        self._serving.peer.spend()
        return self._exchange("GET", target, b"")

    def _exchange(self, method: str, target: str, body: bytes) -> Response:
        headers = {**HEADERS, "Content-Type": "application/json"} if body else HEADERS
        left = self._serving.until - time.monotonic()
        return self._client.exchange(method, self._address + target, headers=headers, body=body or None, seconds=left)

    def _refused(self, peer: _Peer, reason: Reason) -> bytes:
        self._note(peer.uid, reason)
        return _refusal(reason)

    def _note(self, uid: int, reason: Reason) -> None:
        key, now = (uid if uid in self._peers else -1, reason), time.monotonic()
        if now - self._logged.get(key, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged[key] = now
            log("request refused", what=f"user {uid}", reason=str(reason), remedy=_REFUSALS[reason][1])


def _user(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid


def _refusal(reason: Reason) -> bytes:
    status, remedy = _REFUSALS[reason]
    body = json.dumps({"error": str(reason), "error_description": remedy}).encode()
    return _head(status, body, retry_after=1 if status == 429 else None) + body


def _reply(found: Response) -> bytes:
    after = found.retry_after
    return _head(found.status, found.body, retry_after=None if after is None else int(after)) + found.body


def _head(status: int, body: bytes, *, retry_after: int | None) -> bytes:
    lines = [f"HTTP/1.1 {status} ", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [] if retry_after is None else [f"Retry-After: {retry_after}"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def _finish(connection: socket.socket, data: bytes, *, seconds: float) -> None:
    """Send an answer and take no more. A socket that is closed with unread bytes in it would take the answer back."""
    with suppress(OSError):  # the peer has left, or does not read
        connection.shutdown(socket.SHUT_RD)
        connection.settimeout(0)
        with suppress(BlockingIOError):
            while connection.recv(_UNREAD_BYTES):
                pass
        connection.settimeout(seconds)
        connection.sendall(data)

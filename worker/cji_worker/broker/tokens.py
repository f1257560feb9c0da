"""Tokens that the broker keeps: the service is asked again in the last part of a token's life, and never twice at once.

The service limits how often it answers, and keeps tokens itself; the broker keeps them so that a peer that asks without
pause costs the others nothing. Nothing is kept that the service did not answer as a token for this very request.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from cji_core.https import Response
from cji_core.metadata import TokenError, read_token

MAX_TOKENS: Final = 64
"""More than a machine has identities and audiences."""
RENEW_SECONDS: Final = 600.0
"""A token is asked for again when it lasts no longer than this; clients take it for used up at 300 s."""


@dataclass(slots=True)
class _Kept:
    reply: Response
    until: float


class Tokens:
    """Replies to requests for tokens, by target. Serves all threads."""

    def __init__(
        self,
        ask: Callable[[str], Response],
        *,
        renew_seconds: float = RENEW_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`ask` sends one request to the service. Raises what it raises, from `reply`."""
        self._ask, self._clock, self._renew_seconds = ask, clock, renew_seconds
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def reply(self, target: str, *, seconds: float) -> Response:
        """The reply to this target, kept or new. Raises TimeoutError if another asks for it longer than `seconds`."""
        if (kept := self._fresh(target)) is not None:
            return kept
        with self._lock:
            if len(self._asking) >= MAX_TOKENS and target not in self._asking:
                self._asking.clear()
            asking = self._asking.setdefault(target, threading.Lock())
        if not asking.acquire(timeout=seconds):
            raise TimeoutError
        try:
            if (kept := self._fresh(target)) is not None:
                return kept
            reply = self._ask(target)
            self._keep(target, reply)
            return reply
        finally:
            asking.release()

    def _fresh(self, target: str) -> Response | None:
        with self._lock:
            kept = self._kept.get(target)
        return kept.reply if kept is not None and self._clock() < kept.until else None

    def _keep(self, target: str, reply: Response) -> None:
        (audience,) = parse_qs(urlsplit(target).query)["resource"]
        try:
            until = read_token(reply, audience).expires - self._renew_seconds
        except TokenError:
            return
        with self._lock:
            if len(self._kept) >= MAX_TOKENS:
                self._kept.clear()
            self._kept[target] = _Kept(reply, until)

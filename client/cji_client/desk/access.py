"""Access to the desk, for the one browser that showed the token. No I/O; the caller has the clock and the words.

A request is served if
1. its Host is this server's address and port, so that no name of an attacker resolves to the desk (DNS rebinding);
2. its path begins with the random folder of this start, to which the cookie is bound: a cookie does not know ports, and
   another server of this machine must not be sent it;
3. no other site caused it: a POST has this server's Origin, and Sec-Fetch-Site, where the browser sends it, is
   `same-origin`, or `none` for an address that the user typed;
4. it has the cookie, and the last one that had it was less than `idle_seconds` ago.

The token is exchanged for the cookie by one POST, once, in the first `TOKEN_SECONDS`. It comes from a file of the user
(`opening`), whose Origin is `null`, and is never in an address or a command line.
"""

import enum
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

TOKEN_SECONDS: Final = 120.0
IDLE_SECONDS: Final = 30 * 60.0
COOKIE: Final = "cji_desk"
_FILE: Final = "null"
"""The Origin of a page that is a file."""


class Denied(enum.Enum):
    """The status of HTTP of a request that is not served, and words for people."""

    HOST = 421, "This address is not the desk's."
    PATH = 404, "There is no such page."
    SITE = 403, "Another site sent this request, so the desk did nothing."
    COOKIE = 403, "This browser has not opened the desk, or the desk was idle for too long."
    TOKEN = 403, "This way into the desk was used before, or is too old."

    @property
    def status(self) -> int:
        """The status."""
        return self.value[0]

    @property
    def words(self) -> str:
        """The words."""
        return self.value[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The words of a request that decide; a header that was not sent is empty."""

    method: str
    path: str
    host: str
    origin: str = ""
    site: str = ""
    cookie: str = ""


class Access:
    """The token, the cookie and the idle time of one start. Times are those of one clock, in seconds."""

    def __init__(self, *, host: str, now: float, idle_seconds: float = IDLE_SECONDS) -> None:
        """`host` is address and port, as a browser writes them."""
        self.host, self.origin = host, f"http://{host}"
        self.folder = f"/{secrets.token_hex(16)}"
        self.token: str | None = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._idle_seconds, self._began, self._last = idle_seconds, now, now

    @property
    def door(self) -> str:
        """The path to which the token is sent."""
        return f"{self.folder}/open"

    def denied(self, asked: Asked, *, now: float) -> Denied | None:
        """Why a request is not served, None if it is; then the desk is not idle."""
        if asked.host != self.host:
            return Denied.HOST
        if not asked.path.startswith(f"{self.folder}/"):
            return Denied.PATH
        if self._is_of_another_site(asked):
            return Denied.SITE
        if asked.path == self.door and asked.method == "POST":
            return None
        if self.token is not None or not _equal(asked.cookie, self._cookie) or self.is_over(now):
            return Denied.COOKIE
        self._last = now
        return None

    def _is_of_another_site(self, asked: Asked) -> bool:
        if asked.path == self.door and asked.method == "POST":
            return asked.origin != _FILE
        if asked.method not in ("GET", "HEAD") and asked.origin != self.origin:
            return True
        return asked.site not in ("", "same-origin", "none")

    def redeem(self, token: str, *, now: float) -> str | None:
        """The cookie for this token, once; None for another, a used or an old one."""
        if self.token is None or now - self._began > TOKEN_SECONDS:
            return None
        if not _equal(token, self.token):
            return None
        self.token, self._last = None, now
        return self._cookie

    def is_over(self, now: float) -> bool:
        """Whether nobody used the desk for the idle time, or nobody came in."""
        if self.token is not None:
            return now - self._began > TOKEN_SECONDS
        return now - self._last > self._idle_seconds

    def keep(self, now: float) -> None:
        """A job is running: the desk is not idle."""
        self._last = now


def _equal(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())

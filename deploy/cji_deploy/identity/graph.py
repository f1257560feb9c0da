"""A client of Microsoft Graph: JSON over HTTPS with a token of the signed-in operator.

Redirects are not followed, a page leads only to the same service, and a throttled request is repeated as often and as
late as the service asks, within bounds.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from cji_core.https import Client, ExchangeError, Response, retry_after, tls_context
from cji_core.strict import StrictError, parse_object
from cji_deploy.identity.files import IdentityError

CLOUDS: Final[Mapping[str, tuple[str, str]]] = {
    # Graph, authority
    "commercial": ("https://graph.microsoft.com", "login.microsoftonline.com"),
    "us-government": ("https://graph.microsoft.us", "login.microsoftonline.us"),
    "us-government-dod": ("https://dod-graph.microsoft.us", "login.microsoftonline.us"),
}
_EXCHANGE_S: Final = 60.0
_MOST: Final = 32 << 20
_RESERVED: Final = ":/?#[]@!$&'()*+,;=%"  # RFC 3986 §2.2, and the sign of what is quoted already
_TRIES: Final = 5
_MAX_WAIT_S: Final = 120
_MAX_PAGES: Final = 1000


class Token(Protocol):
    """The answer of a credential."""

    @property
    def token(self) -> str:
        """The text of the token."""


class Credential(Protocol):
    """A credential of azure-identity."""

    def get_token(self, *scopes: str) -> Token:
        """A token for these scopes."""


class Graph:
    """Graph at one address; a path begins with its version."""

    def __init__(self, base: str, credential: Credential, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._base, self._credential, self._sleep = base, credential, sleep
        plain = base.startswith("http://")
        self._client = Client(
            None if plain else tls_context(), seconds=_EXCHANGE_S, limit=_MOST, plain=plain, keep=True
        )

    def one(self, path: str) -> dict[str, Any] | None:
        """The object at a path; None if there is none."""
        return self._send("GET", f"{self._base}{path}", None, missing_ok=True)

    def all(self, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a collection, over all pages."""
        url: str | None = f"{self._base}{path}"
        for _ in range(_MAX_PAGES):
            page = self._send("GET", url, None) if url else None
            if page is None:
                return
            yield from page["value"]
            url = page.get("@odata.nextLink")
            if url is not None and not url.startswith(f"{self._base}/"):
                raise IdentityError("a page leads to another service")
        raise IdentityError(f"{path} has too many pages")

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object, or call an action."""
        return self._send("POST", f"{self._base}{path}", body) or {}

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change properties of an object."""
        self._send("PATCH", f"{self._base}{path}", body)

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """Put a whole object in the place of another."""
        self._send("PUT", f"{self._base}{path}", body)

    def delete(self, path: str) -> None:
        """Delete an object; it may be gone."""
        self._send("DELETE", f"{self._base}{path}", None, missing_ok=True)

    def _send(self, method: str, url: str, body: Any, *, missing_ok: bool = False) -> dict[str, Any] | None:
        for attempt in range(_TRIES):
            token = self._credential.get_token(f"{self._base}/.default").token
            try:
                answer = self._client.exchange(
                    method,
                    quote(url, safe=_RESERVED),  # a filter has spaces
                    body=None if body is None else json.dumps(body).encode(),
                    headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                )
            except ExchangeError as error:
                raise IdentityError(f"{method} {url}: {error}") from error
            if answer.status not in (429, 503) or attempt == _TRIES - 1:
                break
            asked = retry_after(answer.headers.get("retry-after"), most=_MAX_WAIT_S)
            self._sleep(2.0**attempt if asked is None else asked)
        if answer.status == 404 and missing_ok:
            return None
        if not 200 <= answer.status < 300:
            raise IdentityError(f"{method} {url}: {answer.status} {_message(answer)}")
        if not answer.body:
            return {}
        try:
            return parse_object(answer.body, limit=_MOST)
        except StrictError as error:
            raise IdentityError(f"{method} {url}: the answer is {error}") from error


def _message(answer: Response) -> str:
    try:
        return str(parse_object(answer.body, limit=_MOST)["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return ""

"""A client of Microsoft Graph: JSON over HTTPS with a token of the signed-in operator.

Redirects are not followed, a page leads only to the same service, and a throttled request is repeated as often and as
late as the service asks, within bounds.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import requests

from cji_deploy.identity.files import IdentityError

CLOUDS: Final[Mapping[str, tuple[str, str]]] = {
    # Graph, authority
    "commercial": ("https://graph.microsoft.com", "login.microsoftonline.com"),
    "us-government": ("https://graph.microsoft.us", "login.microsoftonline.us"),
    "us-government-dod": ("https://dod-graph.microsoft.us", "login.microsoftonline.us"),
}
_TIMEOUT_S: Final = 60
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
    """Graph v1.0 at one address."""

    def __init__(self, base: str, credential: Credential, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._base, self._credential, self._sleep = base, credential, sleep
        self._session = requests.Session()
        self._session.trust_env = False

    def one(self, path: str) -> dict[str, Any] | None:
        """The object at a path; None if there is none."""
        return self._send("GET", f"{self._base}/v1.0{path}", None, missing_ok=True)

    def all(self, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a collection, over all pages."""
        url: str | None = f"{self._base}/v1.0{path}"
        for _ in range(_MAX_PAGES):
            page = self._send("GET", url, None) if url else None
            if page is None:
                return
            yield from page["value"]
            url = page.get("@odata.nextLink")
            if url is not None and not url.startswith(f"{self._base}/v1.0/"):
                raise IdentityError("a page leads to another service")
        raise IdentityError(f"{path} has too many pages")

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object, or call an action."""
        return self._send("POST", f"{self._base}/v1.0{path}", body) or {}

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change properties of an object."""
        self._send("PATCH", f"{self._base}/v1.0{path}", body)

    def delete(self, path: str) -> None:
        """Delete an object; it may be gone."""
        self._send("DELETE", f"{self._base}/v1.0{path}", None, missing_ok=True)

    def _send(self, method: str, url: str, body: Any, *, missing_ok: bool = False) -> dict[str, Any] | None:
        for attempt in range(_TRIES):
            token = self._credential.get_token(f"{self._base}/.default").token
            try:
                answer = self._session.request(
                    method,
                    url,
                    json=body,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise IdentityError(f"{method} {url}: {type(error).__name__}") from error
            if answer.status_code not in (429, 503) or attempt == _TRIES - 1:
                break
            asked = answer.headers.get("Retry-After", "")
            self._sleep(min(int(asked), _MAX_WAIT_S) if asked.isdigit() else 2.0**attempt)
        if answer.status_code == 404 and missing_ok:
            return None
        if not 200 <= answer.status_code < 300:
            raise IdentityError(f"{method} {url}: {answer.status_code} {_message(answer)}")
        if not answer.content:
            return {}
        found: dict[str, Any] = answer.json()
        return found


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return ""

"""A `requests.Session` whose exchanges are those of `cji_core.https`, for libraries that want one.

Microsoft's clients and OpenTelemetry's exporters bring no HTTP of their own. A time-out that they pass with a request
can only shorten the client's; their roots and proxies are not used. Without a whole reply there is a RequestException.
A redirect has no address in it that anybody could follow.
"""

import io
import math
import ssl
from typing import Any, Final

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from cji_core.https import CONNECT_SECONDS, Client, ExchangeError, Response

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class _Adapter(BaseAdapter):
    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def send(self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **__: Any) -> requests.Response:
        """One exchange."""
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        try:
            found = self._client.exchange(
                str(request.method),
                str(request.url),
                headers={name: str(value) for name, value in request.headers.items()},
                body=request.body,
                seconds=read or math.inf,
                connect_seconds=connect or CONNECT_SECONDS,
            )
        except ExchangeError as error:
            raise _failure(error)(error, request=request) from error
        return _response(request, found)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()


def _failure(error: ExchangeError) -> type[requests.RequestException]:
    """The kind that a library expects: no service was reached, or no answer came."""
    if isinstance(error.__cause__, ssl.SSLError) and not error.sent:
        return requests.exceptions.SSLError
    return requests.exceptions.ReadTimeout if error.sent else requests.exceptions.ConnectionError


def _response(request: requests.PreparedRequest, found: Response) -> requests.Response:
    redirects = found.status in _REDIRECTS
    headers = {name: value for name, value in found.headers.items() if not (redirects and name == "location")}
    response = requests.Response()
    response.status_code, response.reason = found.status, found.reason
    response.headers = CaseInsensitiveDict(headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.url, response.request = str(request.url), request
    response.raw = urllib3.HTTPResponse(
        body=io.BytesIO(found.body),
        headers=headers,
        status=found.status,
        reason=found.reason,
        preload_content=False,
        request_method=request.method,
    )
    return response


def session(client: Client) -> requests.Session:
    """A session over this client, for https alone; over a plain one also for http, as far as the client permits it."""
    made = requests.Session()
    made.trust_env = False
    made.headers["Accept-Encoding"] = "identity"
    made.adapters.clear()
    for scheme in ("https://", "http://") if client.plain else ("https://",):
        made.mount(scheme, _Adapter(client))
    return made

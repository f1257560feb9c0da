"""HTTPS to Azure's services for sinks: Microsoft's clients, within bounds.

No proxy, no environment, no redirect, no retries of the client's own, TLS against the system's roots. Only the status
of an answer counts: its body is not read. A token goes to hosts of the configured cloud and to no other.
"""

import io
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ManagedIdentityCredential
from requests.adapters import HTTPAdapter

from cji_core.errors import StartupError
from cji_core.trail.delivery import DeliveryError
from cji_worker.deliverer.sinks.sink import TooLargeError

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
MAX_AFTER_SECONDS: Final = 300.0
# Variables that make ManagedIdentityCredential call another service than the instance metadata service.
_ELSEWHERE: Final = (
    *("AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """The services of one cloud: the ends of their host names, and the audiences of their tokens."""

    monitor_host: str
    monitor_scope: str
    event_hubs_host: str
    event_hubs_scope: str


CLOUDS: Final[Mapping[str, Cloud]] = {
    "azure-us": Cloud(
        monitor_host=".ingest.monitor.azure.com",
        monitor_scope="https://monitor.azure.com//.default",
        event_hubs_host=".servicebus.windows.net",
        event_hubs_scope="https://eventhubs.azure.net//.default",
    ),
    "azure-usgov": Cloud(
        monitor_host=".ingest.monitor.azure.us",
        monitor_scope="https://monitor.azure.us//.default",
        event_hubs_host=".servicebus.usgovcloudapi.net",
        event_hubs_scope="https://eventhubs.azure.net//.default",  # one audience in all clouds
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Azure:
    """The clouds that a configuration may name, the file of roots to trust, and an identity by its client id."""

    clouds: Mapping[str, Cloud]
    roots: str
    credential: Callable[[str | None], TokenCredential]
    read_seconds: float = READ_SECONDS

    def cloud(self, name: str) -> Cloud:
        """Raises StartupError for a cloud that is not built in."""
        if name not in self.clouds:
            raise StartupError(f'cloud = "{name}" is unknown', f"Use one of {', '.join(self.clouds)}.")
        return self.clouds[name]

    def transport(self) -> RequestsTransport:
        """A transport of its own, for one thread."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", _StatusOnly(max_retries=urllib3.Retry(total=False, redirect=False)))
        return RequestsTransport(
            session=session,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=self.read_seconds,
            connection_verify=self.roots,
            use_env_settings=False,
        )


class _StatusOnly(HTTPAdapter):
    """Leaves the body of every answer unread."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send, and return status and headers."""
        response = super().send(request, *args, **{**options, "stream": True})
        if response.status_code == requests.codes.no_content or response.headers.get("Content-Length") == "0":
            _ = response.content  # there is none, and the connection can be used again
        else:
            response.close()
        response.raw = urllib3.HTTPResponse(
            body=io.BytesIO(), status=response.status_code, reason=response.reason, preload_content=False
        )
        response.headers.pop("Content-Encoding", None)
        response.headers.pop("Content-Length", None)
        return response


def managed_identity(roots: str) -> Callable[[str | None], TokenCredential]:
    """Identities of this machine, with tokens from its metadata service. Raises StartupError if they might not be."""
    if any(os.environ.get(name) for name in _ELSEWHERE):
        raise StartupError(
            "The environment names another source of tokens than this machine's metadata service",
            f"Remove {', '.join(_ELSEWHERE)} from it.",
        )
    transport = {
        "connection_timeout": 5.0,
        "read_timeout": 5.0,
        "connection_verify": roots,
        "use_env_settings": False,
    }

    def identity(client_id: str | None) -> TokenCredential:
        return ManagedIdentityCredential(client_id=client_id, transport=RequestsTransport(**transport), retry_total=0)

    return identity


def base_url(url: str, *, host_ends: str, key: str) -> str:
    """The URL of a service without its trailing slash. Raises StartupError unless it is https and of the cloud."""
    remedy = f"Write https://NAME{host_ends} into {key}."
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.path in {"", "/"} and not (parts.query or parts.fragment)
        host, user, _ = parts.hostname or "", parts.username, parts.port
    except ValueError as error:
        raise StartupError(f"{key} is not a URL", remedy) from error
    if not plain or user is not None or not host.endswith(host_ends):
        raise StartupError(f"{key} is not an https host that ends in {host_ends}", remedy)
    return f"https://{parts.netloc}"


class answered(AbstractContextManager[None]):  # noqa: N801 - a `with` block reads as a sentence
    """Turn the errors of Microsoft's clients into DeliveryErrors without any text of a peer."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case HttpResponseError(response=response, status_code=int(status)) if response is not None:
                kind = TooLargeError if status == requests.codes.request_entity_too_large else DeliveryError
                headers: Mapping[str, str] = getattr(response, "headers", {})
                raise kind(f"HTTP {status}", after=_after(headers.get("Retry-After"))) from error
            case ClientAuthenticationError():
                raise DeliveryError("no token for this identity") from error
            case ServiceResponseError():
                raise DeliveryError("no answer") from error
            case AzureError():
                raise DeliveryError("no connection") from error
            case requests.RequestException() | OSError():
                raise DeliveryError("no connection") from error


def _after(value: str | None) -> float:
    """The seconds of a Retry-After header (RFC 9110 §10.2.3), bounded; a date is ignored."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return 0.0
    return min(float(value), MAX_AFTER_SECONDS)

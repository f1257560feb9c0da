"""HTTPS to Azure's services for what leaves the machine: Microsoft's clients, within bounds.

Bounded exchanges (`cji_core.https`), no retries of the client's own, TLS against the system's roots. Of an answer
only the status counts, once it is whole. A token goes to hosts of the configured cloud and to no other.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport

from cji_core.audiences import EVENT_HUBS, MONITOR
from cji_core.azure_client import bounded_transport
from cji_core.errors import StartupError
from cji_core.https import retry_after
from cji_core.trail.delivery import DeliveryError

EXCHANGE_SECONDS: Final = 30.0
_TOO_LARGE: Final = 413


class TooLargeError(DeliveryError):
    """The service does not take a request of this size; a smaller one may do."""


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
        monitor_scope=f"{MONITOR['azure-us']}/.default",
        event_hubs_host=".servicebus.windows.net",
        event_hubs_scope=f"{EVENT_HUBS}/.default",
    ),
    "azure-usgov": Cloud(
        monitor_host=".ingest.monitor.azure.us",
        monitor_scope=f"{MONITOR['azure-usgov']}/.default",
        event_hubs_host=".servicebus.usgovcloudapi.net",
        event_hubs_scope=f"{EVENT_HUBS}/.default",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Azure:
    """The clouds that a configuration may name, the file of roots to trust, and an identity by its client id."""

    clouds: Mapping[str, Cloud]
    roots: str
    credential: Callable[[str | None], TokenCredential]
    seconds: float = EXCHANGE_SECONDS

    def cloud(self, name: str) -> Cloud:
        """Raises StartupError for a cloud that is not built in."""
        if name not in self.clouds:
            raise StartupError(f'cloud = "{name}" is unknown', f"Use one of {', '.join(self.clouds)}.")
        return self.clouds[name]

    def transport(self) -> RequestsTransport:
        """A transport of its own, for one thread. Raises StartupError."""
        try:
            return bounded_transport(self.roots, seconds=self.seconds)
        except OSError as error:
            raise StartupError(f"The authorities in {self.roots} cannot be read", "Install ca-certificates.") from error


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


@contextmanager
def answered() -> Iterator[None]:
    """Turn the errors of Microsoft's clients into DeliveryErrors without any text of a peer."""
    try:
        yield
    except (AzureError, OSError) as error:
        match error:
            case HttpResponseError(response=response, status_code=int(status)) if response is not None:
                kind = TooLargeError if status == _TOO_LARGE else DeliveryError
                headers: Mapping[str, str] = getattr(response, "headers", {})
                raise kind(f"HTTP {status}", after=retry_after(headers.get("Retry-After")) or 0.0) from error
            case ClientAuthenticationError():
                raise DeliveryError("no token for this identity") from error
            case ServiceResponseError():
                raise DeliveryError("no answer") from error
            case _:
                raise DeliveryError("no connection") from error

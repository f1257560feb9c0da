"""Requests to Azure's instance metadata service, each as its one target: what a caller sends, the broker compares.

The service gives every process that reaches it a token of any identity of the machine. So on a worker's machine only
the broker may reach it (`cji_worker.broker`), by a user of its own; every other process sends the same requests to the
broker's Unix socket, which passes on those that this process needs. An address is `unix:PATH` of that socket, or an
`http` URL: of the service itself, for a program on a machine without a broker.

Documented at learn.microsoft.com, "Azure Instance Metadata Service" and "How managed identities for Azure resources
work with Azure virtual machines".
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from cji_core.errors import CoreError
from cji_core.hosts import IMDS
from cji_core.https import Client, ExchangeError, Response
from cji_core.strict import parse_object

SERVICE: Final = f"http://{IMDS}"
BROKER: Final = "unix:/run/cji-broker/socket"
HEADERS: Final = {"Metadata": "true"}

AMD_CERTIFICATES: Final = "/metadata/THIM/amd/certification"
TD_QUOTE: Final = "/acc/tdquote"
"""A request by POST."""
LOCATION: Final = "/metadata/instance/compute/location?api-version=2021-01-01&format=text"
USER_DATA: Final = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"
INSTANCE: Final = "/metadata/instance/compute?api-version=2021-02-01"
EVENTS: Final = "/metadata/scheduledevents?api-version=2020-07-01"
"""The list by GET; by POST, `start_request`."""
TOKEN: Final = "/metadata/identity/oauth2/token"  # noqa: S105 - a path, not a password

IDENTITY_SECONDS: Final = 10.0
MAX_TOKEN_BYTES: Final = 64 << 10
_SCHEME: Final = "unix:"
_EVENT_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
_START: Final = re.compile(rb'\{"StartRequests":\[\{"EventId":"([0-9A-Za-z-]{1,64})"\}\]\}')


class TokenError(CoreError):
    """There is no token. The text is of ours: a status, or what the connection came to."""

    code = "no-token"
    remedy = (
        "Assign the identity to the machine, and configure its client id if it has several. Check that "
        "cji-broker.socket is active; a new identity or audience needs a restart of cji-broker.service."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token, and when it ends, in Unix seconds."""

    value: str
    expires: int

    def __repr__(self) -> str:
        """Without the token."""
        return f"Token(expires={self.expires})"


def start_request(event_id: str) -> bytes:
    """The body that lets one scheduled event start now. Raises ValueError for an id of another form."""
    if not _EVENT_ID.fullmatch(event_id):
        raise ValueError(event_id)
    return b'{"StartRequests":[{"EventId":"%b"}]}' % event_id.encode("ascii")


def started_event(body: bytes) -> str | None:
    """The id in the bytes of a `start_request`, for one event; None for other bytes."""
    return found[1].decode("ascii") if (found := _START.fullmatch(body)) else None


def token_target(audience: str, client_id: str | None) -> str:
    """The request for a token of the identity with this client id, or of the machine's only one for None."""
    members = {"api-version": "2018-02-01", "resource": audience}
    if client_id is not None:
        members["client_id"] = client_id
    return f"{TOKEN}?{urlencode(members)}"


def read_token(reply: Response, audience: str) -> Token:
    """The token in a reply to `token_target`. Raises TokenError for any other reply."""
    if reply.status != 200:
        raise TokenError(f"status {reply.status}")
    try:
        found = parse_object(reply.body, limit=MAX_TOKEN_BYTES)
        value, ends, kind, resource = (found[name] for name in ("access_token", "expires_on", "token_type", "resource"))
        expires = int(ends) if isinstance(ends, str | int) else 0
    except (ValueError, KeyError) as error:
        raise TokenError("the reply is not a token") from error
    plain = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if not plain or not value or kind != "Bearer" or resource != audience or expires <= 0:
        raise TokenError("the reply is not the token that was asked for")
    return Token(value=value, expires=expires)


def socket_of(address: str) -> str | None:
    """The path of a broker's socket; None for the address of the service itself."""
    return address.removeprefix(_SCHEME) if address.startswith(_SCHEME) else None


def base_of(address: str) -> str:
    """The base URL of requests to this address: through a socket, always the service's own."""
    return SERVICE if socket_of(address) is not None else address


def client(address: str, *, seconds: float, limit: int) -> Client:
    """A client for `base_of(address)`."""
    return Client(None, seconds=seconds, limit=limit, plain=True, path=socket_of(address))


def token(address: str, audience: str, client_id: str | None, *, seconds: float = IDENTITY_SECONDS) -> Token:
    """A token for one audience. Raises TokenError."""
    with client(address, seconds=seconds, limit=MAX_TOKEN_BYTES) as asked:
        try:
            reply = asked.exchange("GET", base_of(address) + token_target(audience, client_id), headers=HEADERS)
        except ExchangeError as error:
            raise TokenError(str(error)) from error
    return read_token(reply, audience)

"""The transport of Microsoft's clients with its limits, and an identity for one audience only."""

from collections.abc import Callable
from typing import Any, Final

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport

from cji_core.errors import StartupError
from cji_core.https import EXCHANGE_SECONDS, MAX_ANSWER_BYTES, Client, tls_context
from cji_core.metadata import BROKER, IDENTITY_SECONDS, SERVICE, TokenError, token
from cji_core.sessions import session

Identity = Callable[[str | None], TokenCredential]
"""The credential of the managed identity with this client id, or of the machine's own for None."""
_SCOPE: Final = "/.default"


class AudienceCredential:
    """A credential that obtains tokens for one audience: no challenge can make it send one for another."""

    def __init__(self, inner: TokenCredential, audience: str) -> None:
        self._inner, self._scope = inner, f"{audience}/.default"

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the audience. Raises ClientAuthenticationError for any other scope."""
        if scopes != (self._scope,):
            raise ClientAuthenticationError("another audience")
        return self._inner.get_token(self._scope)


class ManagedIdentity:
    """A managed identity of this machine, as Microsoft's clients take one. The environment is not read.

    `address` is where the metadata service is reached (`cji_core.metadata`). The broker keeps tokens, this object none.
    """

    def __init__(self, client_id: str | None, *, address: str, seconds: float = IDENTITY_SECONDS) -> None:
        self._client_id, self._address, self._seconds = client_id, address, seconds

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """As `get_token_info`, for clients of the older protocol."""
        found = self.get_token_info(*scopes)
        return AccessToken(found.token, found.expires_on)

    def get_token_info(self, *scopes: str, **_: Any) -> AccessTokenInfo:
        """A token for the audience of the only scope. Raises ClientAuthenticationError."""
        if len(scopes) != 1 or not scopes[0].endswith(_SCOPE):
            raise ClientAuthenticationError("not the scope of one audience")
        audience = scopes[0].removesuffix(_SCOPE)
        try:
            found = token(self._address, audience, self._client_id, seconds=self._seconds)
        except TokenError as error:
            raise ClientAuthenticationError(str(error)) from error
        return AccessTokenInfo(found.value, found.expires)


def brokered_identity(client_id: str | None) -> TokenCredential:
    """An identity by the broker of a worker's machine: for the processes of a worker."""
    return ManagedIdentity(client_id, address=BROKER)


def managed_identity(client_id: str | None) -> TokenCredential:
    """An identity by the metadata service itself: for commands on machines that are not a worker's."""
    return ManagedIdentity(client_id, address=SERVICE)


def identity_token(client_id: str | None, audience: str) -> str:
    """A token of an identity by the broker, for one audience. Raises StartupError."""
    try:
        return token(BROKER, audience, client_id).value
    except TokenError as error:
        raise StartupError(f"There is no token of this machine's identity: {error}", TokenError.remedy) from error


def client_options(
    ca_file: str | None, *, seconds: float = EXCHANGE_SECONDS, limit: int = MAX_ANSWER_BYTES
) -> dict[str, Any]:
    """Keyword arguments for a client: bounded exchanges, no retry, no redirect, no log. Raises OSError."""
    transport = bounded_transport(ca_file, seconds=seconds, limit=limit)
    return {"transport": transport, "retry_total": 0, "permit_redirects": False, "logging_enable": False}


def bounded_transport(
    ca_file: str | None, *, seconds: float, limit: int = MAX_ANSWER_BYTES, plain: bool = False
) -> RequestsTransport:
    """A transport of bounded exchanges under the authorities in this PEM file, or the system's. Raises OSError.

    `plain` is for identities, whose tokens may come from the metadata service of this machine.
    """
    return transport_of(Client(tls_context(ca_file=ca_file), seconds=seconds, limit=limit, plain=plain, keep=True))


def transport_of(client: Client) -> RequestsTransport:
    """A transport of Microsoft's clients whose exchanges are those of this client. The environment is not read."""
    return RequestsTransport(session=session(client), use_env_settings=False)

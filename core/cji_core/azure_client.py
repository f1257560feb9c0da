"""The transport of Microsoft's clients with its limits, and an identity for one audience only."""

import os
from collections.abc import Callable
from typing import Any, Final

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ManagedIdentityCredential

from cji_core.errors import StartupError
from cji_core.https import EXCHANGE_SECONDS, MAX_ANSWER_BYTES, Client, tls_context
from cji_core.sessions import session

IDENTITY_SECONDS: Final = 10.0
Identity = Callable[[str | None], TokenCredential]
"""The credential of the managed identity with this client id, or of the machine's own for None."""

# Variables that make the client ask another service than the instance metadata service for tokens.
_ELSEWHERE: Final = (
    "AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE",
)  # fmt: skip


class AudienceCredential:
    """A credential that obtains tokens for one audience: no challenge can make it send one for another."""

    def __init__(self, inner: TokenCredential, audience: str) -> None:
        self._inner, self._scope = inner, f"{audience}/.default"

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the audience. Raises ClientAuthenticationError for any other scope."""
        if scopes != (self._scope,):
            raise ClientAuthenticationError("another audience")
        return self._inner.get_token(self._scope)


def managed_identity(client_id: str | None) -> TokenCredential:
    """The machine's managed identity. Raises StartupError if the environment names another source of tokens."""
    if any(os.environ.get(name) for name in _ELSEWHERE):
        raise StartupError(
            "The environment names another source of tokens than the instance metadata service",
            f"Remove {', '.join(_ELSEWHERE)} from the unit.",
        )
    return ManagedIdentityCredential(
        client_id=client_id,
        transport=_transport(Client(None, seconds=IDENTITY_SECONDS, plain=True)),
        retry_total=0,
        retry_status=0,
    )


def identity_token(client_id: str | None, audience: str) -> str:
    """A token of the machine's managed identity for one audience. Raises StartupError."""
    try:
        return managed_identity(client_id).get_token(f"{audience}/.default").token
    except AzureError as error:
        raise StartupError(
            "The metadata service gave no token of this machine's identity",
            "Assign the identity to the machine, and configure its client id if it has several.",
        ) from error


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
    return _transport(Client(tls_context(ca_file=ca_file), seconds=seconds, limit=limit, plain=plain, keep=True))


def _transport(client: Client) -> RequestsTransport:
    return RequestsTransport(session=session(client), use_env_settings=False)

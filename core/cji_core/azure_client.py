"""The transport of Microsoft's clients with its limits, and an identity for one audience only."""

import os
from collections.abc import Callable
from typing import Any, Final

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ManagedIdentityCredential

from cji_core.errors import StartupError
from cji_core.https import CONNECT_SECONDS, EXCHANGE_SECONDS, MAX_ANSWER_BYTES, bounded_session

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
        client_id=client_id, retry_total=0, retry_status=0, use_env_settings=False,
        connection_timeout=CONNECT_SECONDS, read_timeout=CONNECT_SECONDS,
    )  # fmt: skip


def identity_token(client_id: str | None, audience: str) -> str:
    """A token of the machine's managed identity for one audience. Raises StartupError."""
    try:
        return managed_identity(client_id).get_token(f"{audience}/.default").token
    except AzureError as error:
        raise StartupError(
            "The metadata service gave no token of this machine's identity",
            "Assign the identity to the machine, and configure its client id if it has several.",
        ) from error


def client_options(ca_file: str, *, seconds: float = EXCHANGE_SECONDS, limit: int = MAX_ANSWER_BYTES) -> dict[str, Any]:
    """Keyword arguments for a client: bounded exchanges, no retry, no redirect, no log. Raises OSError."""
    transport = RequestsTransport(
        session=bounded_session(ca_file, seconds=seconds, limit=limit),
        use_env_settings=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=seconds,
        connection_verify=ca_file,
    )
    return {"transport": transport, "retry_total": 0, "permit_redirects": False, "logging_enable": False}

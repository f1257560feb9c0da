"""Ask a Premium vault or a Managed HSM for a release, with Microsoft's clients and within bounds.

No proxy, no environment, no endless retries.

The vault's challenge names the audience of the token that the identity sends. Two things check it: the client (the
host must lie in the resource's domain) and `_PinnedCredential` (the resource must be the one that the trust pins), so
a wrong answer from a wrong host never gets a token.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.imds import imds_endpoint
from cji_attestation.fetch import tls_context
from cji_attestation.release.keyspec import VaultKey
from cji_attestation.release.statement import WRAP
from cji_attestation.trust import AZURE_US, Trust
from cji_core.https import Client, retry_after
from cji_core.sessions import session

IDENTITY_SECONDS: Final = 5.0
EXCHANGE_SECONDS: Final = 25.0
IDENTITY_ATTEMPTS: Final = 3
IDENTITY_PAUSE: Final = 0.5  # seconds, doubled
_ENVIRONMENT: Final = threading.Lock()
_AUTHORITY: Final = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
# Variables that make ManagedIdentityCredential call another service than the instance metadata service; others, such as
# IMDS_ENDPOINT, only beside one of these.
_ELSEWHERE: Final = (_AUTHORITY, "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE")
_INNER_CODES: Final = frozenset(
    {"AccessDenied", "ForbiddenByRbac", "ForbiddenByPolicy", "ForbiddenByConnection", "KeyDisabled"}
)
# Both come with AccessDenied. A vault that did not reach the token's issuer reports the first one too: attest again.
_REFUSALS: Final = {
    "Target environment attestation statement cannot be verified": "unverified",
    "Target environment attestation does not meet key release policy": "policy",
}


class _PinnedCredential:
    """A managed identity that makes tokens for one resource only."""

    def __init__(self, inner: ManagedIdentityCredential, resource: str, *, authority: str | None) -> None:
        """`authority` is the metadata service's address if it is not the client's own default."""
        self._inner = inner
        self._scope = f"{resource}/.default"
        self._authority = authority

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """As `get_token_info`, for clients of the older protocol."""
        info = self.get_token_info(*scopes)
        return AccessToken(info.token, info.expires_on)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """Return a token for the pinned scope; IDENTITY_UNAVAILABLE for any other."""
        if scopes != (self._scope,):
            raise AttestationError(Fault.IDENTITY_UNAVAILABLE, check="resource")
        attempt, pause = 1, IDENTITY_PAUSE
        while True:
            try:
                with _asking(self._authority):
                    info: AccessTokenInfo = self._inner.get_token_info(self._scope, options=options)
                return info
            except AzureError as error:
                if attempt == IDENTITY_ATTEMPTS:
                    raise AttestationError(Fault.IDENTITY_UNAVAILABLE, check="imds-identity") from error
            time.sleep(pause)
            attempt, pause = attempt + 1, 2 * pause


class Vault:
    """The vaults of one trust, through one managed identity."""

    def __init__(self, *, trust: Trust, client_id: str | None) -> None:
        self._trust = trust
        self._client_id = client_id
        self._credential: ManagedIdentityCredential | None = None

    def release(self, key: VaultKey, *, token: str, nonce: str) -> str:
        """The release statement for one key version, not verified. Faults: IDENTITY_UNAVAILABLE, RELEASE_*."""
        credential: Any = self.credential(key.vault.resource)
        client = KeyClient(
            key.vault.base,
            credential,
            transport=sdk_transport(self._trust, seconds=EXCHANGE_SECONDS),
            verify_challenge_resource=_fits(key),
            retry_total=0,
            logging_enable=False,
        )
        try:
            with client:
                answer = client.release_key(key.name, token, version=key.version, algorithm=WRAP, nonce=nonce)
            value: object = answer.value
        except HttpResponseError as error:
            _refused(error)
        except ValueError as error:  # how the client refuses a challenge for another domain
            raise AttestationError(Fault.RELEASE_UNAVAILABLE, check="vault-challenge") from error
        except (AzureError, OSError) as error:
            raise AttestationError(Fault.RELEASE_UNAVAILABLE, check="vault") from error
        if not isinstance(value, str):
            raise AttestationError(Fault.RELEASE_INVALID, check="S01")
        return value

    def credential(self, resource: str) -> _PinnedCredential:
        """The identity for this resource alone. Faults: CONFIG_INVALID, and IDENTITY_UNAVAILABLE at its use."""
        authority = None if self._trust.imds == AZURE_US.imds else imds_endpoint(self._trust).base
        return _PinnedCredential(self._identity(), resource, authority=authority)

    def _identity(self) -> ManagedIdentityCredential:
        """The identity, made at first use; its token stays in its own cache."""
        if any(os.environ.get(name) for name in _ELSEWHERE):
            raise AttestationError(Fault.CONFIG_INVALID, check="identity-environment")
        if self._credential is None:
            self._credential = ManagedIdentityCredential(
                client_id=self._client_id,
                transport=_transport(Client(None, seconds=IDENTITY_SECONDS, plain=True)),
                retry_total=0,
                retry_status=0,
            )
        return self._credential


@contextmanager
def _asking(authority: str | None) -> Iterator[None]:
    """While a token is asked for, the environment names this address: the only way to tell the client another one."""
    if authority is None:
        yield
        return
    with _ENVIRONMENT:
        os.environ[_AUTHORITY] = authority
        try:
            yield
        finally:
            del os.environ[_AUTHORITY]


def sdk_transport(trust: Trust, *, seconds: float) -> RequestsTransport:
    """A transport of bounded exchanges under the trust's TLS roots, for Microsoft's clients. CONFIG_INVALID."""
    return _transport(Client(tls_context(trust.tls_roots, check="tls-roots"), seconds=seconds, plain=True))


def _transport(client: Client) -> RequestsTransport:
    return RequestsTransport(session=session(client), use_env_settings=False)


def _fits(key: VaultKey) -> bool:
    """Whether the vault's host lies in the domain of its resource, as it does for every pattern with a leading dot.

    A vault that is pinned by its exact host may live elsewhere, as behind a private name; then the pinned
    credential alone decides about the audience.
    """
    port = "" if key.vault.port == 443 else f":{key.vault.port}"
    return f"{key.vault.host}{port}".endswith(f".{key.vault.resource.removeprefix('https://')}")


def _refused(error: HttpResponseError) -> NoReturn:
    """Map an HTTP answer. Only codes from closed sets are kept, never the service's text."""
    status = error.status_code or 0
    wish = retry_after(getattr(error.response, "headers", {}).get("Retry-After"))
    if status == 429:
        raise AttestationError(Fault.RELEASE_THROTTLED, check="vault-429", retry_after=wish or 10.0) from error
    if status in {400, 401, 403, 404}:
        inner = getattr(error.error, "innererror", None)
        code = str(inner.get("code")) if isinstance(inner, dict) else ""
        told = next((kind for text, kind in _REFUSALS.items() if text in str(error.message)), None)
        detail = told or (code if code in _INNER_CODES else None)
        check = f"vault-{status}-{detail}" if detail else f"vault-{status}"
        raise AttestationError(Fault.RELEASE_DENIED, check=check) from error
    raise AttestationError(Fault.RELEASE_UNAVAILABLE, check=f"vault-{status}", retry_after=wish) from error

"""Ask a Premium vault or a Managed HSM for a release, with Microsoft's clients and within bounds.

No proxy, no environment, no endless retries.

The vault's challenge names the audience of the token that the identity sends. Two things check it: the client (the
host must lie in the resource's domain) and `_PinnedCredential` (the resource must be the one that the trust pins), so
a wrong answer from a wrong host never gets a token.
"""

import time
from typing import Any, Final, NoReturn

from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.keys import KeyClient

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.fetch import tls_context
from cji_attestation.release.keyspec import VaultKey
from cji_attestation.release.statement import WRAP
from cji_attestation.trust import Trust
from cji_core.azure_client import ManagedIdentity, transport_of
from cji_core.https import Client, retry_after

IDENTITY_SECONDS: Final = 5.0
EXCHANGE_SECONDS: Final = 25.0
IDENTITY_ATTEMPTS: Final = 3
IDENTITY_PAUSE: Final = 0.5  # seconds, doubled
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

    def __init__(self, inner: ManagedIdentity, resource: str) -> None:
        self._inner = inner
        self._scope = f"{resource}/.default"

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """As `get_token_info`, for clients of the older protocol."""
        info = self.get_token_info(*scopes)
        return AccessToken(info.token, info.expires_on)

    def get_token_info(self, *scopes: str, **_: Any) -> AccessTokenInfo:
        """Return a token for the pinned scope; IDENTITY_UNAVAILABLE for any other."""
        if scopes != (self._scope,):
            raise AttestationError(Fault.IDENTITY_UNAVAILABLE, check="resource")
        attempt, pause = 1, IDENTITY_PAUSE
        while True:
            try:
                return self._inner.get_token_info(self._scope)
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

    def release(self, key: VaultKey, *, token: str, nonce: str, request_id: str) -> str:
        """The release statement for one key version, not verified. Faults: IDENTITY_UNAVAILABLE, RELEASE_*.

        `request_id` is a UUID, sent as `x-ms-client-request-id`: the vault's log has it as `correlationId` (Microsoft,
        "Azure Key Vault logging").
        """
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
                answer = client.release_key(
                    key.name, token, version=key.version, algorithm=WRAP, nonce=nonce, request_id=request_id
                )
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
        """The identity for this resource alone. Fault: IDENTITY_UNAVAILABLE, at its use."""
        inner = ManagedIdentity(self._client_id, address=self._trust.imds, seconds=IDENTITY_SECONDS)
        return _PinnedCredential(inner, resource)


def sdk_transport(trust: Trust, *, seconds: float) -> RequestsTransport:
    """A transport of bounded exchanges under the trust's TLS roots, for Microsoft's clients. CONFIG_INVALID."""
    return transport_of(Client(tls_context(trust.tls_roots, check="tls-roots"), seconds=seconds, plain=True))


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

"""What an attestation provider says of itself, through Microsoft's own SDK. For operators, never for tokens.

`azure-security-attestation` serves here for what it does soundly: provider metadata and signing certificates. Its
token validation accepts `alg: none` and is used nowhere. Both documents are public, so no credential is sent.
"""

from typing import Any, Final

import msgspec
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.security.attestation import AttestationClient

from attestation.errors import AttestationError, Fault
from attestation.system_roots import roots_file
from attestation.trust import Trust, endpoint

__all__ = ["ProviderDescription", "describe_provider"]

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 10


class ProviderDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The issuer as the provider spells it, and how many keys it signs tokens with."""

    issuer: str
    signing_keys: int


def describe_provider(*, trust: Trust, maa_url: str) -> ProviderDescription:
    """Ask the provider; it must name itself as the issuer that we pin.

    Faults: CONFIG_INVALID for a host that the trust does not have, MAA_UNAVAILABLE, TOKEN_INVALID for another issuer.
    """
    at = endpoint(maa_url, trust.maa_hosts, resource="", check="maa_url")
    anonymous: Any = object()
    with roots_file(trust.tls_roots) as verify:
        transport = RequestsTransport(
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            connection_verify=verify,
            use_env_settings=False,
        )
        try:
            with AttestationClient(
                at.base,
                anonymous,
                transport=transport,
                authentication_policy=SansIOHTTPPolicy(),  # in place of the bearer token
                retry_total=0,
            ) as client:
                metadata = client.get_open_id_metadata()
                keys = client.get_signing_certificates()
        except (AzureError, ValueError, OSError) as error:
            raise AttestationError(Fault.MAA_UNAVAILABLE, check="provider") from error
    if not isinstance(metadata, dict) or metadata.get("issuer") != at.base:
        raise AttestationError(Fault.TOKEN_INVALID, check="T05")
    return ProviderDescription(issuer=at.base, signing_keys=len(keys))

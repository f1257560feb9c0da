"""An attestation provider's own description, through Microsoft's SDK. For operators, never for tokens.

`azure-security-attestation` serves here for what it does soundly: provider metadata and signing certificates. Its
token validation accepts `alg: none` and is used nowhere. Both documents are public, so no credential is sent.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from azure.core.exceptions import AzureError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.security.attestation import AttestationClient

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.release.vault import sdk_transport
from cji_attestation.strict import load_pem_chain
from cji_attestation.trust import Trust, provider_endpoint
from cji_core.certs import self_issued, spki_sha256

EXCHANGE_SECONDS: Final = 15.0


class ProviderKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing certificate: its key's name and pin, its subject and end, and whether it signed itself."""

    kid: str
    spki_sha256: str  # for `maa_keys`
    subject: str
    self_signed: bool
    until: datetime


class ProviderDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The issuer as the provider spells it, and the keys that it signs tokens with."""

    issuer: str
    keys: tuple[ProviderKey, ...]

    @property
    def signing_keys(self) -> int:
        """How many keys there are."""
        return len(self.keys)


def describe_provider(*, trust: Trust, maa_url: str) -> ProviderDescription:
    """Ask the provider; it must name itself as the issuer that we pin.

    Faults: CONFIG_INVALID for a host that the trust does not have, MAA_UNAVAILABLE, TOKEN_INVALID for another issuer
    ("T05") and for certificates that cannot be read ("T03").
    """
    at = provider_endpoint(trust, maa_url)
    anonymous: Any = object()
    transport = sdk_transport(trust, seconds=EXCHANGE_SECONDS)
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
    return ProviderDescription(issuer=at.base, keys=tuple(map(_key, keys)))


def _key(signer: Any) -> ProviderKey:
    pem = "".join(map(str, signer.certificates[:1])).encode("utf-8", "replace")
    certificate = load_pem_chain(pem, fault=Fault.TOKEN_INVALID, check="T03")[0]
    return ProviderKey(
        kid=str(signer.key_id),
        spki_sha256=spki_sha256(certificate.public_key()),
        subject=certificate.subject.rfc4514_string(),
        self_signed=self_issued(certificate),
        until=certificate.not_valid_after_utc,
    )

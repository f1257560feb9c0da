"""Which key, exactly: the full id with version, the thumbprint of its public part, the digest of its release policy.

Keys of Premium vaults and of Managed HSMs have ids of one form; the trust's host patterns tell them apart.
"""

import re
from typing import Final

import msgspec

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.release.policy import ACCEPTABLE
from cji_attestation.trust import Endpoint, Trust, endpoint
from cji_core.strict import b64url_decode

_PATH: Final = re.compile(r"/keys/([0-9A-Za-z-]{1,127})/([0-9a-f]{32})", re.ASCII)
_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class KeySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pinned key. Comes from configuration, never from a job."""

    kek_id: str  # https://{vault or HSM}/keys/{name}/{version}
    public_thumbprint: str  # RFC 7638, SHA-256, base64url without padding
    policy_sha256: str | None  # hex SHA-256 of the release policy's bytes as the vault keeps them; None = not pinned
    accept_findings: tuple[str, ...] = ()  # errors of `cji policy lint` that are accepted, of ACCEPTABLE


class VaultKey(msgspec.Struct, frozen=True, kw_only=True):
    """A KeySpec's parts, after its host was found in the trust."""

    vault: Endpoint
    name: str
    version: str
    thumbprint: bytes
    accept: frozenset[str]


def locate(key: KeySpec, *, trust: Trust) -> VaultKey:
    """Take a KeySpec apart; CONFIG_INVALID for another host, no version, or a malformed pin. Nothing is dialled."""
    vault = endpoint(key.kek_id, trust.vault_hosts, resource=trust.vault_resource, check="kek-host")
    match = _PATH.fullmatch(vault.path)
    if vault.scheme != "https" or match is None or key.kek_id != f"{vault.base}{vault.path}":
        raise AttestationError(Fault.CONFIG_INVALID, check="kek-id")
    if key.policy_sha256 is not None and not _SHA256_HEX.fullmatch(key.policy_sha256):
        raise AttestationError(Fault.CONFIG_INVALID, check="kek-policy")
    accept = frozenset(key.accept_findings)
    if not accept <= ACCEPTABLE or len(accept) != len(key.accept_findings):
        raise AttestationError(Fault.CONFIG_INVALID, check="kek-findings")
    try:
        thumbprint = b64url_decode(key.public_thumbprint)
    except ValueError as error:
        raise AttestationError(Fault.CONFIG_INVALID, check="kek-thumbprint") from error
    if len(thumbprint) != 32:
        raise AttestationError(Fault.CONFIG_INVALID, check="kek-thumbprint")
    return VaultKey(vault=vault, name=match[1], version=match[2], thumbprint=thumbprint, accept=accept)

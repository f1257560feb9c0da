"""Access tokens as opaque strings: the metadata service gives them out, the vault looks them up."""

import enum
import json
import os
import time
from dataclasses import dataclass
from typing import Final

from cji_simulator.encoding import b64url

__all__ = ["CLIENT_ID", "LIFETIME", "Identities", "Identity", "Role"]

CLIENT_ID: Final = "22222222-2222-4222-8222-222222222222"  # of the VM's own identity
LIFETIME: Final = 86400  # seconds


STORAGE: Final = "https://storage.azure.com"
_ISSUER: Final = "https://sts.windows.net/11111111-1111-4111-8111-111111111111/"


def _jwt(unique: str) -> str:
    """A token in Microsoft Entra's form, for emulators of storage, which read its claims and verify no signature."""
    now = int(time.time())
    claims = {"aud": STORAGE, "iss": _ISSUER, "iat": now, "nbf": now - 60, "exp": now + LIFETIME, "uti": unique}
    header = {"alg": "RS256", "typ": "JWT"}
    return ".".join(b64url(json.dumps(part).encode()) for part in (header, claims, "unsigned"))


class Role(enum.StrEnum):
    """The rights of an identity in the vault."""

    WORKER = "worker"  # get and release
    OPERATOR = "operator"  # create, update, disable


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A token's holder, resource and expiry (Unix seconds)."""

    role: Role
    resource: str
    expires: float


class Identities:
    """Every token that was given out."""

    def __init__(self) -> None:
        self._tokens: dict[str, Identity] = {}

    def issue(self, role: Role, resource: str) -> str:
        """Return a new token for one resource."""
        token = b64url(os.urandom(48))
        if resource == STORAGE:
            token = _jwt(token)
        self._tokens[token] = Identity(role=role, resource=resource, expires=time.time() + LIFETIME)
        return token

    def find(self, token: str, resource: str) -> Identity | None:
        """Return whose live token for `resource` this is, if anybody's."""
        identity = self._tokens.get(token)
        if identity is None or identity.resource != resource or identity.expires < time.time():
            return None
        return identity

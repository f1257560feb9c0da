"""The identity that deletes: that of the token with which the storage is asked, as Azure's own log names it.

The token comes from Microsoft's library and goes to the storage, which verifies it; here its claims are only read.
"""

import uuid
from dataclasses import dataclass
from typing import Final

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError

from cji_audit.errors import AuditError
from cji_core.audiences import STORAGE
from cji_core.strict import StrictError, b64url_decode, parse_object

_MAX_BYTES: Final = 64 * 1024


class PrincipalError(AuditError):
    """There is no token, or it names nobody."""

    code = "principal-unknown"
    remedy = "Sign in, or run this with a managed identity or a service principal of Microsoft Entra."


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Object id and tenant of an identity."""

    object_id: str
    tenant: str


def principal_of(credential: TokenCredential) -> Principal:
    """The identity of the credential's token for Azure Storage. Raises PrincipalError."""
    try:
        token = credential.get_token(f"{STORAGE}/.default").token
    except AzureError as error:
        raise PrincipalError("there is no token for Azure Storage") from error
    return principal_in(token)


def principal_in(token: str) -> Principal:
    """The identity that a token names. Raises PrincipalError."""
    try:
        _, payload, _ = token.split(".")
        claims = parse_object(b64url_decode(payload), limit=_MAX_BYTES)
        return Principal(object_id=_uuid(claims["oid"]), tenant=_uuid(claims["tid"]))
    except (ValueError, KeyError, StrictError) as error:
        raise PrincipalError("the token for Azure Storage names no object id and tenant") from error


def _uuid(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError("no text")
    return str(uuid.UUID(text))

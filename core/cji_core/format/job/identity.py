"""The two identities of a submitter: the URI of its client certificate, and its application of Microsoft Entra."""

import hashlib
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Meta

from cji_core.format.job.limits import LIMITS

_Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]
_Role = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}\Z")]
MAX_TENANTS: Final = 64
"""Of one policy: the keys of each are fetched."""
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""The errors that `cryptography` raises for certificates and lists, some only when a part is looked at."""


class EntraRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The application of Microsoft Entra that a submitter must be as well: any of `roles` is enough."""

    tenant: _Uuid
    client: _Uuid
    roles: Annotated[tuple[_Role, ...], Meta(min_length=1, max_length=16)]


def identity_sha256(san: str) -> bytes:
    """SHA-256 of a certificate's URI SAN: enough to recognise a submitter, not enough to list the agencies."""
    return hashlib.sha256(san.encode()).digest()


def certificate_uri(certificate: x509.Certificate) -> str:
    """The only subject alternative name of the certificate, a URI. Raises one of UNREADABLE if there is none."""
    names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    # a DNS name or an e-mail address may look like a URI; the certificate declares its type
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise ValueError("not one URI")
    uri = names[0].value
    if not uri or not uri.isascii() or len(uri) > LIMITS.url_bytes:
        raise ValueError("URI")
    return uri

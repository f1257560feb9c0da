"""ENCRYPTED_VALUE: a column encryption key as SQL Server stores it, under a master key that its writer signed with.

`0x01 ‖ length of the key path (2, LE) ‖ length of the ciphertext (2, LE) ‖ key path ‖ ciphertext ‖ signature`

The ciphertext is RSA-OAEP with SHA-1, which the format prescribes; the signature RSA PKCS #1 v1.5 with SHA-256 over all
that is before it, of the CNG and CSP providers over the SHA-256 of it. Source: Microsoft Learn, "Always Encrypted
cryptography", and what the drivers write. The path is UTF-16LE in Microsoft's drivers and UTF-8 in tedious, in lower
case in some: it is compared with the one of columns.toml, and never used as an address.

Cosmos DB stores the ciphertext alone, in base64. Nobody signs it.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Final, Self

from cji_client.columns.errors import ColumnKeyRefused

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BHH")
RSA_BYTES: Final = frozenset((256, 384, 512))
"""Sizes of a ciphertext: master keys of 2048, 3072 and 4096 bits."""
DOUBLE_HASH: Final = frozenset(("cng", "csp"))
"""Providers that sign the hash of the hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedValue:
    """The fields of one value; only their sizes were checked."""

    path: bytes
    ciphertext: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The fields of these bytes. Raises ColumnKeyRefused for anything else."""
        if len(data) < _HEAD.size:
            raise ColumnKeyRefused("encrypted_value is cut short", remedy=_COPY)
        version, path_size, size = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ColumnKeyRefused(f"encrypted_value has version {version}, and only version 1 is known", remedy=_COPY)
        end = _HEAD.size + path_size
        if not path_size or size not in RSA_BYTES or len(data) != end + 2 * size:
            raise ColumnKeyRefused("the sizes in encrypted_value are not those of its parts", remedy=_COPY)
        return cls(
            path=data[_HEAD.size : end],
            ciphertext=data[end : end + size],
            signature=data[end + size :],
            signed=data[: end + size],
        )

    def has_path(self, path: str) -> bool:
        """Whether the path inside is this one, without case."""
        return path.lower() in {found.lower() for found in self.paths()}

    def paths(self) -> tuple[str, ...]:
        """The path inside, read as UTF-16LE and as UTF-8 where it is such text."""
        found = list[str]()
        for encoding in ("utf-16-le", "utf-8"):
            try:
                found.append(self.path.decode(encoding))
            except UnicodeDecodeError:
                continue
        return tuple(found)

    def digest(self, provider: str) -> bytes:
        """The SHA-256 that the signature of this provider is over."""
        found = hashlib.sha256(self.signed).digest()
        return hashlib.sha256(found).digest() if provider in DOUBLE_HASH else found


_COPY: Final = "Export the catalogue again, and copy the value whole."

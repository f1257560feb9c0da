"""Column encryption keys opened with the agency's master keys, after every check that can be made before.

1. `encrypted_value` is one value of its format.
2. SQL Server: the key path inside is that of columns.toml, without case. It is never used as an address.
3. A master key fits: of the size of the value, in a vault with the id that columns.toml names.
4. SQL Server: the provider's signature is that master key's. Cosmos DB has none.
5. The master key opens it, and it has 32 bytes.

Whose key it is, none of these shows: a database can offer one that its administrator knows. `digests` shows it.
"""

import re
from collections.abc import Sequence
from typing import Final

from cji_client.columns.digests import digest_of
from cji_client.columns.encrypted_value import EncryptedValue
from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.file import ColumnsFile, Key
from cji_client.columns.master_keys import MasterKey
from cji_core.errors import SpecError
from cji_core.strict import StrictError, b64_decode, hex_decode

CEK_BYTES: Final = 32
_HEX: Final = re.compile(r"(?:0x)?((?:[0-9A-Fa-f]{2})+)")


def open_key(file: ColumnsFile, key: Key, masters: Sequence[MasterKey]) -> bytes:
    """The column encryption key; ColumnKeyRefused names the check that failed, SpecError a master key that is missing.

    The caller drops it as soon as it is sealed or its digest is taken.
    """
    try:
        return _sql_server(key, masters) if file.format == "sql_server" else _cosmos(key, masters)
    except ColumnKeyRefused as refused:
        raise ColumnKeyRefused(f"{key.name}: {refused}", remedy=refused.remedy) from None


def require_listed(key: Key, cek: bytes, digests: frozenset[str]) -> None:
    """Return if this key is in the agency's list; else ColumnKeyRefused."""
    if digest_of(cek) not in digests:
        raise ColumnKeyRefused(
            f"{key.name}: the database offers a key that is not in the list of digests",
            remedy="Where the agency made it, add it with `cji columns digest`; else ask who replaced it.",
        )


def _sql_server(key: Key, masters: Sequence[MasterKey]) -> bytes:
    matched = _HEX.fullmatch(key.encrypted_value)
    if matched is None:
        raise ColumnKeyRefused("encrypted_value is not hexadecimal", remedy="Copy it from the catalogue whole.")
    value = EncryptedValue.parse(hex_decode(matched[1].lower()))
    if not value.has_path(key.master_key):
        raise ColumnKeyRefused(
            "the key path inside encrypted_value is not master_key",
            remedy="Correct master_key if it is wrong; else the value is of another key: ask who replaced it.",
        )
    digest = value.digest(key.provider)
    fitting = _fitting(key, masters, len(value.ciphertext))
    signer = next((each for each in fitting if each.verify(digest, value.signature)), None)
    if signer is None:
        raise ColumnKeyRefused(
            f"the provider's signature is not of {_named(fitting)}, or the value was changed",
            remedy="Name the master key that made it, and compare `provider`; else ask who changed the value.",
        )
    return _whole(signer.unwrap(value.ciphertext), signer)


def _cosmos(key: Key, masters: Sequence[MasterKey]) -> bytes:
    try:
        ciphertext = b64_decode(key.encrypted_value)
    except StrictError:
        remedy = "Copy wrappedDataEncryptionKey whole."
        raise ColumnKeyRefused("encrypted_value is not base64", remedy=remedy) from None
    fitting = _fitting(key, masters, len(ciphertext))
    opened = ((each.unwrap(ciphertext), each) for each in fitting)
    cek, opener = next((one for one in opened if one[0] is not None), (None, fitting[0]))
    return _whole(cek, opener)


def _fitting(key: Key, masters: Sequence[MasterKey], size: int) -> list[MasterKey]:
    """The master keys that may have made a value of this size, at least one."""
    named = [each for each in masters if each.url is None or _same_key(each.url, key.master_key)]
    if not named:
        where = _named(masters)
        remedy = "Name it with --master-key, or correct master_key."
        raise SpecError(f"{key.name} is under {key.master_key}, and {where} is another key", remedy=remedy)
    fitting = [each for each in named if each.size == size]
    if not fitting:
        what = f"the value is of a master key of {8 * size} bits, and {_named(named)} is not"
        raise ColumnKeyRefused(what, remedy="Name the master key that made it.")
    return fitting


def _same_key(url: str, path: str) -> bool:
    """Whether a vault's key is the one at this path, which may leave the version out."""
    given, stated = url.lower(), path.lower().rstrip("/")
    return given == stated or given.rpartition("/")[0] == stated


def _named(masters: Sequence[MasterKey]) -> str:
    return " or ".join(each.where for each in masters)


def _whole(cek: bytes | None, opener: MasterKey) -> bytes:
    if cek is None:
        remedy = "Name the master key that made it; else ask who replaced the value."
        raise ColumnKeyRefused(f"it is not under {opener.where}", remedy=remedy)
    if len(cek) != CEK_BYTES:
        raise ColumnKeyRefused(f"it has {len(cek)} bytes, not {CEK_BYTES}", remedy="Ask who made it.")
    return cek

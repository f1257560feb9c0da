"""Columns and keys of an agency for tests: columns.toml, and ENCRYPTED_VALUE by the published form.

Nothing here is made by the product's own writers.
"""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cji_client.columns.file import ColumnsFile, decode_columns
from tests.support.private_files import put_private

__all__ = ["CEK", "COLUMNS_TOML", "OAEP", "PATH", "columns_file", "encrypted_value", "pem", "private_file"]

OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
PATH: Final = "https://contoso.vault.azure.net/keys/CMK/0123456789abcdef0123456789abcdef"
CEK: Final = bytes(range(32))
COLUMNS_TOML: Final = """\
format = "sql_server"
table = "cjis.dbo.Persons"
schema = "person/1"
keys_file = "persons.keys.json"

[[keys]]
name = "CEK_Identity"
master_key = "https://contoso.vault.azure.net/keys/CMK/0123456789abcdef0123456789abcdef"
provider = "azure_key_vault"
encrypted_value = "016e00"

[[columns]]
name = "LastName"
record = "last"
type = "nvarchar(60)"
encryption = "deterministic"
key = "CEK_Identity"
rights = ["open", "compare"]

[[columns]]
name = "Token"
record = "person_token"
type = "varchar(64) utf-8"
encryption = "randomized"
key = "CEK_Identity"
rights = ["seal"]
data_class = "control number"

[[results]]
output = "result"
column = "token"
as = "person_token"
"""
"""With a value that is too short to be one."""


def columns_file(
    value: str, path: str = PATH, provider: str = "azure_key_vault", kind: str = "sql_server"
) -> ColumnsFile:
    """A description with this value of its key."""
    text = (
        COLUMNS_TOML.replace("016e00", value).replace("azure_key_vault", provider).replace('"sql_server"', f'"{kind}"')
    )
    if kind == "cosmos_db":
        text = text.replace('"LastName"', '"/last"').replace('"Token"', '"/token"')
        text = text.replace("varchar(64) utf-8", "string").replace("nvarchar(60)", "string")
    start, _, rest = text.partition('master_key = "')
    return decode_columns(f'{start}master_key = "{path}{rest[rest.index(chr(34)) :]}'.encode())


def pem(key: rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    """PKCS#8."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def private_file(path: Path, data: bytes) -> Path:
    """A new file for its owner alone."""
    put_private(path, data)
    return path


def encrypted_value(
    key: rsa.RSAPrivateKey, *, cek: bytes = CEK, path: str = PATH, encoding: str = "utf-16-le", version: int = 1
) -> bytes:
    """By the published form, with no code of the product."""
    inside, ciphertext = path.lower().encode(encoding), key.public_key().encrypt(cek, OAEP)
    head = bytes((version,)) + len(inside).to_bytes(2, "little") + len(ciphertext).to_bytes(2, "little")
    signed = head + inside + ciphertext
    return signed + key.sign(signed, padding.PKCS1v15(), hashes.SHA256())

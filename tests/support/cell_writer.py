"""Cells of sealed columns by another writer: the published format with `cryptography`, one value at a time.

It shares no code with the product, so that a mistake in a kernel is not repeated here. A value is a Python object:
`Cells.cell` takes what `plaintext` knows for the SQL type.
"""

import hmac
import os
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

_TEXT = "Microsoft SQL Server cell {} key with encryption algorithm:AEAD_AES_256_CBC_HMAC_SHA256 and key length:256"
_MARKERS = {"bool": 2, "double": 3, "long": 4, "string": 5}

Value = str | int | bool | bytes | date | Decimal | uuid.UUID | None


def derived_key(cek: bytes, which: str) -> bytes:
    """The `encryption`, `MAC` or `IV` key of a column encryption key."""
    return hmac.digest(cek, _TEXT.format(which).encode("utf-16-le"), "sha256")


def plaintext(value: Value, kind: str) -> bytes:
    """The bytes of a value of this SQL type, or of a Cosmos type."""
    name, _, page = kind.partition(" ")
    base = name.partition("(")[0]
    match base, value:
        case (("nvarchar" | "nchar"), str()):
            return value.encode("utf-16-le")
        case (("varchar" | "char"), str()):
            return value.encode(page)
        case "string", str():
            return value.encode()
        case (("varbinary" | "binary"), bytes()):
            return value
        case (("bit" | "tinyint" | "smallint" | "int" | "bigint" | "long" | "bool"), int()):
            return int(value).to_bytes(8, "little", signed=True)
        case "date", date():
            return (value.toordinal() - 1).to_bytes(3, "little")
        case (("decimal" | "numeric"), Decimal()):
            scale = int(name.rpartition(",")[2].rstrip(")"))
            return bytes([value >= 0]) + int(abs(value).scaleb(scale)).to_bytes(16, "little")
        case "uniqueidentifier", uuid.UUID():
            return value.bytes_le
    raise ValueError(f"no {kind}: {value!r}")


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A column encryption key, and how the cells of a column are made with it."""

    cek: bytes
    kind: str
    deterministic: bool = False

    def cell(self, value: Value) -> bytes | None:
        """The cell of a value."""
        return None if value is None else self.of_plaintext(plaintext(value, self.kind))

    def of_plaintext(self, plain: bytes, *, iv: bytes | None = None) -> bytes:
        """The cell of these bytes, whatever their meaning."""
        derived = hmac.digest(derived_key(self.cek, "IV"), plain, "sha256")[:16]
        iv = iv or (derived if self.deterministic else os.urandom(16))
        padder = PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES256(derived_key(self.cek, "encryption")), modes.CBC(iv)).encryptor()
        body = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
        mac = hmac.digest(derived_key(self.cek, "MAC"), b"\1" + iv + body + b"\1", "sha256")
        marker = bytes([_MARKERS[self.kind]]) if self.kind in _MARKERS else b""
        return marker + b"\1" + mac + iv + body

    def plain(self, cell: bytes | None) -> bytes | None:
        """The bytes in a cell. Raises ValueError for one that is not of this key, or not deterministic where it is."""
        if cell is None:
            return None
        if self.kind in _MARKERS:
            cell = cell[1:]
        mac, iv, body = cell[1:33], cell[33:49], cell[49:]
        if cell[0] != 1 or not hmac.compare_digest(
            mac, hmac.digest(derived_key(self.cek, "MAC"), b"\1" + iv + body + b"\1", "sha256")
        ):
            raise ValueError("the cell is of another key")
        decryptor = Cipher(algorithms.AES256(derived_key(self.cek, "encryption")), modes.CBC(iv)).decryptor()
        unpadder = PKCS7(128).unpadder()
        plain = unpadder.update(decryptor.update(body) + decryptor.finalize()) + unpadder.finalize()
        derived = iv == hmac.digest(derived_key(self.cek, "IV"), plain, "sha256")[:16]
        if derived is not self.deterministic:
            raise ValueError("the IV is not as it should be")
        return plain

    def column(self, values: "list[Value] | tuple[Value, ...]") -> pa.Array:
        """The cells of a column."""
        return pa.array([self.cell(value) for value in values], pa.binary())

    def plains(self, column: pa.ChunkedArray | pa.Array) -> list[bytes | None]:
        """The bytes in the cells of a column."""
        return [self.plain(cell) for cell in column.to_pylist()]

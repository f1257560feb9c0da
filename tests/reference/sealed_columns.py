"""Cells of AEAD_AES_256_CBC_HMAC_SHA256, one at a time, with the standard library and AES-CBC of `cryptography`.

A second reading of the published format, apart from the kernels: what a value of each SQL type is as bytes, and how a
reader shows it.
"""

import datetime
import hashlib
import hmac
import re
import struct
import uuid
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["UNFIT", "derived_iv", "mac_of", "open_cell", "seal_cell", "value_of"]

UNFIT = "unfit"
"""What `value_of` returns for bytes that are no value of the type."""

_RANGES = {
    "bit": (0, 1),
    "tinyint": (0, 255),
    "smallint": (-32768, 32767),
    "int": (-2147483648, 2147483647),
    "bigint": (-(2**63), 2**63 - 1),
    "bool": (0, 1),
    "long": (-(2**63), 2**63 - 1),
}
_FIRST = datetime.date(1, 1, 1).toordinal()
_OF_1900 = datetime.datetime(1900, 1, 1)
_DAY_TICKS = 864_000_000_000


def _key(cek: bytes, use: str) -> bytes:
    text = (
        f"Microsoft SQL Server cell {use} key with encryption algorithm:AEAD_AES_256_CBC_HMAC_SHA256 and key length:256"
    )
    return hmac.digest(cek, text.encode("utf-16-le"), hashlib.sha256)


def derived_iv(plain: bytes, cek: bytes) -> bytes:
    return hmac.digest(_key(cek, "IV"), plain, hashlib.sha256)[:16]


def mac_of(iv: bytes, ciphertext: bytes, cek: bytes) -> bytes:
    return hmac.digest(_key(cek, "MAC"), b"\1" + iv + ciphertext + b"\1", hashlib.sha256)


def seal_cell(plain: bytes, cek: bytes, iv: bytes | None = None, *, padded: bool = False) -> bytes:
    """A cell, deterministic without an IV; `padded` plaintext is encrypted as it is."""
    iv = derived_iv(plain, cek) if iv is None else iv
    if not padded:
        missing = 16 - len(plain) % 16
        plain += bytes((missing,)) * missing
    encryptor = Cipher(algorithms.AES(_key(cek, "encryption")), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(plain) + encryptor.finalize()
    return b"\1" + mac_of(iv, ciphertext, cek) + iv + ciphertext


def open_cell(cell: bytes, cek: bytes) -> bytes | str:
    """The plaintext, or the name of the fault."""
    if len(cell) < 65 or (len(cell) - 49) % 16:
        return "CELL_LENGTH"
    if cell[0] != 1:
        return "CELL_VERSION"
    mac, iv, ciphertext = cell[1:33], cell[33:49], cell[49:]
    if not hmac.compare_digest(mac, mac_of(iv, ciphertext, cek)):
        return "CELL_MAC"
    decryptor = Cipher(algorithms.AES(_key(cek, "encryption")), modes.CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    missing = padded[-1]
    if not 1 <= missing <= 16 or padded[-missing:] != bytes((missing,)) * missing:
        return "CELL_PADDING"
    return padded[:-missing]


def value_of(plain: bytes, text: str) -> Any:
    """What a reader shows of the bytes of a type with this text, or UNFIT."""
    name, numbers, page = re.fullmatch(r"(\w+)(?:\(([^)]*)\))?(?: (\S+))?", text).groups()  # type: ignore[union-attr]
    if name in ("char", "varchar", "nchar", "nvarchar", "string"):
        return _text(plain, name, numbers, page)
    if name in ("binary", "varbinary"):
        limit = None if numbers == "max" else int(numbers)
        if limit is not None and len(plain) > limit:
            return UNFIT
        return plain.ljust(limit, b"\0") if name == "binary" and limit else plain
    try:
        return _FIXED[name](plain, name, numbers)
    except (struct.error, ValueError, OverflowError):
        return UNFIT


def _text(plain: bytes, name: str, numbers: str | None, page: str | None) -> str:
    try:
        if name.startswith("n"):
            value = plain.decode("utf-16-le")
        elif name == "string" or page == "utf-8":
            value = plain.decode()
        else:
            value = "".join(_character(piece, page or "") for piece in _pieces(plain, page or ""))
    except UnicodeDecodeError:
        return UNFIT
    if numbers in (None, "max"):
        return value
    units = len(value.encode("utf-16-le", "surrogatepass")) // 2
    if units > int(numbers):
        return UNFIT
    return value + " " * (int(numbers) - units) if name in ("char", "nchar") else value


def _pieces(plain: bytes, page: str) -> list[bytes]:
    """The characters of a code page; a lead byte takes the byte behind it."""
    double = page in ("cp932", "cp936", "cp949", "cp950")
    pieces, at = list[bytes](), 0
    while at < len(plain):
        lead = double and _is_lead(plain[at], page)
        pieces.append(plain[at : at + 1 + lead])
        at += 1 + lead
    return pieces


def _is_lead(byte: int, page: str) -> bool:
    def known(last: int) -> bool:
        try:
            return len(bytes((byte, last)).decode(page)) == 1
        except UnicodeDecodeError:
            return False

    return any(known(last) for last in range(256))


def _character(piece: bytes, page: str) -> str:
    try:
        return piece.decode(page)
    except UnicodeDecodeError:
        if len(piece) == 1 and 0x80 <= piece[0] <= 0x9F and page not in ("cp932", "cp936", "cp949", "cp950"):
            return chr(piece[0])
        raise


def _integer(plain: bytes, name: str, _: str | None) -> str:
    (value,) = struct.unpack("<q", plain)
    low, high = _RANGES[name]
    if not low <= value <= high:
        raise ValueError(name)
    return {"bool": ("false", "true")}[name][value] if name == "bool" else str(value)


def _decimal(plain: bytes, _: str, numbers: str | None) -> str:
    precision, scale = map(int, (numbers or "").split(","))
    sign, low, high = struct.unpack("<BQQ", plain)
    magnitude = low + (high << 64)
    if sign > 1 or magnitude >= 10**precision:
        raise ValueError(magnitude)
    return _pointed(magnitude, scale, negative=sign == 0)


def _pointed(magnitude: int, scale: int, *, negative: bool) -> str:
    digits = str(magnitude).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if negative and magnitude else text


def _money(plain: bytes, name: str, _: str | None) -> str:
    high, low = struct.unpack("<iI", plain)
    value = (high << 32) + low
    if name == "smallmoney" and not -(2**31) <= value < 2**31:
        raise ValueError(value)
    return _pointed(abs(value), 4, negative=value < 0)


def _real(plain: bytes, name: str, _: str | None) -> float:
    (value,) = struct.unpack("<f" if name == "real" else "<d", plain)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(value)
    return float(value)


def _date(days: int) -> str:
    return datetime.date.fromordinal(_FIRST + days).isoformat()


def _time(ticks: int, scale: int) -> str:
    if ticks >= _DAY_TICKS or ticks % 10 ** (7 - scale):
        raise ValueError(ticks)
    seconds, fraction = divmod(ticks, 10_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:07d}"[: 9 + scale] if scale else text


def _moment(plain: bytes, name: str, numbers: str | None) -> str:
    scale = int(numbers or 0)
    sizes = {"date": 3, "time": 5, "datetime2": 8, "datetimeoffset": 10}
    if len(plain) != sizes[name]:
        raise ValueError(len(plain))
    if name == "date":
        return _date(int.from_bytes(plain, "little"))
    ticks = int.from_bytes(plain[:5], "little")
    if name == "time":
        return _time(ticks, scale)
    days = int.from_bytes(plain[5:8], "little")
    _time(ticks, scale), _date(days)
    if name == "datetime2":
        return f"{_date(days)}T{_time(ticks, scale)}"
    offset = int.from_bytes(plain[8:], "little", signed=True)
    if abs(offset) > 840:
        raise ValueError(offset)
    later, local = divmod(ticks + offset * 600_000_000, _DAY_TICKS)
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    return f"{_date(days + later)}T{_time(local, scale)}{zone}"


def _datetime(plain: bytes, _: str, __: str | None) -> str:
    days, units = struct.unpack("<iI", plain)
    if days < -53690 or units >= 25_920_000:
        raise ValueError(days)
    thousandths = int((Decimal(units) * 10 / 3).to_integral_value("ROUND_HALF_UP"))
    moment = _OF_1900 + datetime.timedelta(days=days, milliseconds=thousandths)
    return moment.isoformat(timespec="milliseconds")


def _smalldatetime(plain: bytes, _: str, __: str | None) -> str:
    days, minutes = struct.unpack("<HH", plain)
    if minutes >= 1440:
        raise ValueError(minutes)
    return (_OF_1900 + datetime.timedelta(days=days, minutes=minutes)).isoformat(timespec="minutes")


def _guid(plain: bytes, _: str, __: str | None) -> str:
    return str(uuid.UUID(bytes_le=plain))


_FIXED: dict[str, Any] = {
    **dict.fromkeys(_RANGES, _integer),
    **dict.fromkeys(("decimal", "numeric"), _decimal),
    **dict.fromkeys(("money", "smallmoney"), _money),
    **dict.fromkeys(("real", "float", "double"), _real),
    **dict.fromkeys(("date", "time", "datetime2", "datetimeoffset"), _moment),
    "datetime": _datetime,
    "smalldatetime": _smalldatetime,
    "uniqueidentifier": _guid,
}

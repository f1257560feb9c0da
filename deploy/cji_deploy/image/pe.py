"""PE files as firmware and systemd-stub see them: the sections, and the digest that Authenticode signs.

Layout: Microsoft, "PE Format". Digest: Microsoft, "Windows Authenticode Portable Executable Signature Format", section
"Calculating the PE Image Hash"; EDK2 measures the same digest into PCR 4 (SecurityPkg, DxeTpm2MeasureBootLib).
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from cji_deploy.errors import DeploymentError

__all__ = ["PeError", "PeImage", "Section"]

_OPTIONAL: Final = {0x10B: 96, 0x20B: 112}  # magic: bytes before the data directories
_CHECKSUM: Final = 64  # offset in the optional header
_CERTIFICATES: Final = 4  # index of the data directory
_MOST_SECTIONS: Final = 96  # the limit of Windows' loader


class PeError(DeploymentError, ValueError):
    """Firmware would not start these bytes: they are not a PE file, or not a whole one."""

    code = "pe-invalid"
    remedy = "Build the image again from its sources."


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section by name; `data` is its contents without the padding of the file."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeImage:
    """A parsed image. No signature was verified."""

    sections: tuple[Section, ...]
    digest: bytes  # SHA-256 by Authenticode
    certificates: bytes  # the certificate table, empty without one

    @property
    def signed(self) -> bool:
        """Whether it has a certificate table."""
        return bool(self.certificates)

    @classmethod
    def parse(cls, data: bytes) -> "PeImage":
        """Read an image; raises PeError."""
        try:
            return cls._parse(data)
        except (struct.error, UnicodeDecodeError) as error:
            raise PeError("a PE file that ends within a header") from error

    @classmethod
    def _parse(cls, data: bytes) -> "PeImage":
        if data[:2] != b"MZ":
            raise PeError("no PE file: it does not begin with MZ")
        (header,) = struct.unpack_from("<I", data, 0x3C)
        if data[header : header + 4] != b"PE\0\0":
            raise PeError("no PE file: it has no PE header")
        count, optional_size = struct.unpack_from("<2xH12xH", data, header + 4)
        optional = header + 24
        (magic,) = struct.unpack_from("<H", data, optional)
        if magic not in _OPTIONAL or count > _MOST_SECTIONS:
            raise PeError(f"a PE file with magic {magic:#x} and {count} sections")
        (headers_size,) = struct.unpack_from("<I", data, optional + 60)
        directories = optional + _OPTIONAL[magic]
        (directory_count,) = struct.unpack_from("<I", data, directories - 4)
        entry = directories + 8 * _CERTIFICATES
        start, size = struct.unpack_from("<II", data, entry) if directory_count > _CERTIFICATES else (0, 0)
        if size and (start + size != len(data) or start < headers_size):
            raise PeError("a PE file whose signatures are not at its end")
        tables = optional + optional_size
        found = [struct.unpack_from("<8sIIII", data, tables + 40 * number) for number in range(count)]
        skipped = [(optional + _CHECKSUM, 4)] + ([(entry, 8)] if directory_count > _CERTIFICATES else [])
        body = data[: len(data) - size] if size else data
        return cls(
            sections=tuple(_section(body, name, min(virtual, raw), at) for name, virtual, _, raw, at in found),
            digest=_digest(body, headers_size, skipped, [(pointer, raw) for _, _, _, raw, pointer in found]),
            certificates=data[len(body) :],
        )

    def section(self, name: str) -> bytes:
        """The contents of the one section of this name; raises PeError."""
        found = [one.data for one in self.sections if one.name == name]
        if len(found) != 1:
            raise PeError(f"{len(found)} sections {name}")
        return found[0]


def _section(data: bytes, name: bytes, size: int, pointer: int) -> Section:
    if pointer + size > len(data):
        raise PeError("a section that ends outside of the file")
    label = name.rstrip(b"\0").decode("ascii")
    return Section(name=label, data=data[pointer : pointer + size])


def _digest(data: bytes, headers: int, skipped: list[tuple[int, int]], sections: list[tuple[int, int]]) -> bytes:
    if headers > len(data):
        raise PeError("headers that end outside of the file")
    digest, at, hashed = hashlib.sha256(), 0, headers
    for start, size in skipped:
        digest.update(data[at:start])
        at = start + size
    digest.update(data[at:headers])
    for pointer, raw in sorted(sections):
        if raw:
            digest.update(data[pointer : pointer + raw])
            hashed += raw
    digest.update(data[hashed:])
    return digest.digest()

"""A raw disk as a fixed VHD for Azure: the disk, a whole number of MiB long, then a footer of 512 bytes.

Sources: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format" and the appendix on
CHS; learn.microsoft.com, "Prepare a Linux VHD for Azure": fixed size, 1 MiB alignment of the virtual size.
"""

import shutil
import struct
import uuid
from pathlib import Path
from typing import Final

__all__ = ["MIB", "footer", "write_vhd"]

MIB: Final = 1 << 20
_FOOTER: Final = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
_EPOCH: Final = 946684800  # 2000-01-01, from which the format counts seconds
_FIXED: Final = 2
_MOST_SECTORS: Final = 65535 * 16 * 255


def footer(size: int, identity: uuid.UUID, created: int) -> bytes:
    """The footer of a fixed disk of `size` bytes, made at `created` (seconds since 1970); ValueError off a MiB."""
    if size <= 0 or size % MIB:
        raise ValueError(f"{size} bytes are not a whole number of MiB")
    made = max(0, created - _EPOCH)
    cylinders, heads, sectors = _geometry(size // 512)
    fields = (b"conectix", 2, 0x00010000, (1 << 64) - 1, made, b"cji ", 0x00010000, b"Wi2k", size, size)
    head = (*fields, cylinders, heads, sectors, _FIXED)
    blank = _FOOTER.pack(*head, 0, identity.bytes, 0)
    return _FOOTER.pack(*head, ~sum(blank) & 0xFFFFFFFF, identity.bytes, 0)


def write_vhd(raw: Path, vhd: Path, identity: uuid.UUID, created: int) -> int:
    """Write the disk as VHD, sparse where the raw file is; returns the virtual size in bytes."""
    size = -(-raw.stat().st_size // MIB) * MIB
    with raw.open("rb") as source, vhd.open("wb") as target:
        while block := source.read(MIB):
            if block.strip(b"\0"):
                target.write(block)
            else:
                target.seek(len(block), 1)
        target.truncate(size)
        target.seek(size)
        target.write(footer(size, identity, created))
    shutil.copymode(raw, vhd)
    return size


def _geometry(total: int) -> tuple[int, int, int]:
    """(cylinders, heads, sectors per track), as the specification computes them."""
    total = min(total, _MOST_SECTORS)
    if total >= 65535 * 16 * 63:
        return total // 255 // 16, 16, 255
    sectors = 17
    tracks = total // sectors
    heads = max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        sectors, heads = 31, 16
        tracks = total // sectors
    if tracks >= heads * 1024:
        sectors, heads = 63, 16
        tracks = total // sectors
    return tracks // heads, heads, sectors

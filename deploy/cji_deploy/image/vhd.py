"""A raw disk as a fixed VHD for Azure: the disk, a whole number of MiB long, then a footer of 512 bytes.

Sources: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format" and the appendix on
CHS; learn.microsoft.com, "Prepare a Linux VHD for Azure": fixed size, 1 MiB alignment of the virtual size.
"""

import shutil
import struct
import uuid
from pathlib import Path
from typing import BinaryIO, Final

from cji_deploy.errors import DeploymentError

__all__ = ["MIB", "VhdError", "check_vhd", "footer", "write_vhd"]

MIB: Final = 1 << 20
_FOOTER: Final = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
_EPOCH: Final = 946684800  # 2000-01-01, from which the format counts seconds
_FIXED: Final = 2
_MOST_SECTORS: Final = 65535 * 16 * 255
_ENTRY: Final = struct.Struct("<16s16xQQ8x72x")
_MOST_ENTRIES: Final = 128
_ESP: Final = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")


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


class VhdError(DeploymentError, ValueError):
    """Azure would not take this disk, or no machine would start from it."""

    code = "vhd-invalid"
    remedy = "Build the image again; deploy/image/build writes the disk as Azure demands it."


def check_vhd(path: Path) -> int:
    """The virtual size in bytes of a disk that Azure takes for a confidential machine; raises VhdError.

    Fixed, a whole number of MiB long, a footer that fits, and a GPT whose EFI system partition is FAT and has the one
    program that firmware starts.
    """
    length = path.stat().st_size
    size = length - 512
    with path.open("rb") as file:
        file.seek(max(0, size))
        found = file.read(512)
        if len(found) != 512 or found[:8] != b"conectix":
            raise VhdError("no footer at the end of the file: it is not a fixed VHD")
        fields = _FOOTER.unpack(found)
        if fields[13] != _FIXED:
            raise VhdError("the VHD is dynamic or differencing, and must be fixed")
        if size % MIB or fields[8] != size or fields[9] != size:
            raise VhdError(
                f"the footer says {fields[9]} bytes, the file has {size}: both must be one number of whole MiB"
            )
        if footer(size, uuid.UUID(bytes=fields[15]), fields[4] + _EPOCH) != found:
            raise VhdError("the footer's geometry or checksum is not that of its size")
        _check_table(file, size)
    return size


def _check_table(file: BinaryIO, size: int) -> None:
    file.seek(512)
    header = file.read(92)
    if header[:8] != b"EFI PART":
        raise VhdError("there is no GPT: a generation 2 machine starts from nothing else")
    start, count, width = struct.unpack_from("<QII", header, 72)
    (last_usable,) = struct.unpack_from("<Q", header, 48)
    if (last_usable + 1) * 512 > size or not 0 < count <= _MOST_ENTRIES or width != _ENTRY.size:
        raise VhdError("the GPT does not fit this disk")
    file.seek(start * 512)
    table = file.read(count * width)
    systems = [(first, last) for kind, first, last in _ENTRY.iter_unpack(table) if uuid.UUID(bytes_le=kind) == _ESP]
    if len(systems) != 1 or systems[0][1] > last_usable:
        raise VhdError(f"the GPT has {len(systems)} EFI system partitions, and must have one that fits")
    file.seek(systems[0][0] * 512)
    if file.read(512)[510:] != b"\x55\xaa":
        raise VhdError("the EFI system partition is not FAT")

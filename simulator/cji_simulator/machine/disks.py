"""The disk of a build with another unified kernel image, and such an image with more in its initrd."""

import shutil
import struct
import subprocess
import uuid
from pathlib import Path
from typing import Final

from cji_deploy.image.pe import PeImage
from cji_simulator.machine.firmware import Key

__all__ = ["UKIFY", "partitions", "uki_with", "with_uki"]

UKIFY: Final = ("/usr/bin/python3", "/usr/bin/ukify")
"""With the Python that has its modules, whatever comes first on PATH."""
_STUB: Final = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")


def uki_with(archive: bytes, uki: Path, key: Key, out: Path) -> Path:
    """The same image with this archive at the end of its initrd, signed by another key.

    The kernel, the command line and with it the root are the same; PCR 4, 9 and 11 are others.
    """
    image, work = PeImage.parse(uki.read_bytes()), out.with_suffix(".parts")
    work.mkdir(exist_ok=True)
    initrd = image.section(".initrd")
    (work / "initrd").write_bytes(initrd + bytes(-len(initrd) % 4) + archive)
    for name in ("linux", "cmdline", "osrel", "uname"):
        (work / name).write_bytes(image.section(f".{name}"))
    command = [*UKIFY, "build", f"--linux={work / 'linux'}", f"--initrd={work / 'initrd'}"]
    command += [f"--cmdline=@{work / 'cmdline'}", f"--os-release=@{work / 'osrel'}", f"--stub={_STUB}"]
    command += [f"--uname={(work / 'uname').read_text()}", f"--output={work / 'unsigned.efi'}"]
    subprocess.run(command, check=True, capture_output=True)
    key.sign(work / "unsigned.efi", out)
    shutil.rmtree(work)
    return out


def partitions(raw: Path) -> dict[str, tuple[int, int]]:
    """{label: (offset, bytes)} of a disk (UEFI 2.10, chapter 5)."""
    with raw.open("rb") as disk:
        disk.seek(512)
        header = disk.read(92)
        start, count, size = struct.unpack_from("<QII", header, 72)
        disk.seek(start * 512)
        table = disk.read(count * size)
    found = {}
    for at in range(0, len(table), size):
        kind, first, last, name = struct.unpack_from("<16s16xQQ8x72s", table, at)
        if kind != bytes(16):
            label = name.decode("utf-16-le").rstrip("\0")
            found[label or str(uuid.UUID(bytes_le=kind))] = (first * 512, (last - first + 1) * 512)
    return found


def with_uki(raw: Path, uki: Path, out: Path) -> Path:
    """A copy of the disk that boots this unified kernel image."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", raw, out], check=True)
    offset, _ = partitions(out)["esp"]
    subprocess.run(["mcopy", "-o", "-i", f"{out}@@{offset}", uki, "::/EFI/BOOT/BOOTX64.EFI"], check=True)
    return out

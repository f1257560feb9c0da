"""The initrd that systemd-stub gives to the kernel: the image's own, then archives of what the stub passes on.

The stub puts the sections .pcrsig, .pcrpkey, .osrel and .profile as files into the folder /.extra of the initrd.
Source: systemd 257, src/boot/stub.c (generate_embedded_initrds, combine_initrds) and src/boot/cpio.c.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cji_deploy.image.pe import PeImage

__all__ = ["Entry", "newc", "passed_initrd"]

_TRAILER: Final = b"070701" + b"0" * 39 + b"1" + b"0" * 48 + b"0000000B00000000TRAILER!!!" + bytes(4)
_FILE_MODE: Final = 0o100000
_FOLDER_MODE: Final = 0o040000

_PASSED: Final = {
    ".pcrsig": "tpm2-pcr-signature.json",
    ".pcrpkey": "tpm2-pcr-public-key.pem",
    ".osrel": "os-release",
    ".profile": "profile",
}
_FOLDER: Final = ".extra"


def passed_initrd(image: PeImage) -> bytes:
    """The bytes that the kernel measures as initrd; each archive begins at a multiple of four bytes."""
    found = {one.name: one.data for one in image.sections}
    parts = [found[".initrd"]] if ".initrd" in found else []
    parts += [_archive(name, found[section]) for section, name in _PASSED.items() if section in found]
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def _archive(name: str, data: bytes) -> bytes:
    return newc(
        (
            Entry(path=_FOLDER, mode=0o555, inode=1),
            Entry(path=f"{_FOLDER}/{name}", mode=0o444, inode=2, data=data),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file with its contents, or a folder if it has none; `path` does not begin with a slash."""

    path: str
    mode: int
    data: bytes | None = None
    inode: int = 0


def newc(entries: Iterable[Entry]) -> bytes:
    """The archive, with its trailer, a multiple of four bytes long."""
    return b"".join(map(_record, entries)) + _TRAILER


def _record(entry: Entry) -> bytes:
    name, data = entry.path.encode() + b"\0", entry.data or b""
    mode = entry.mode | (_FOLDER_MODE if entry.data is None else _FILE_MODE)
    fields = (entry.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    return _padded(b"070701" + b"".join(b"%08x" % one for one in fields) + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

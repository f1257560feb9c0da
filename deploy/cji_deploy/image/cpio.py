"""Archives in cpio's "newc" format, which the kernel unpacks as an initrd, byte for byte as systemd-stub writes them.

Sources: Linux, Documentation/driver-api/early-userspace/buffer-format.rst; systemd, src/boot/cpio.c.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["Entry", "newc"]

_TRAILER: Final = b"070701" + b"0" * 39 + b"1" + b"0" * 48 + b"0000000B00000000TRAILER!!!" + bytes(4)
_FILE: Final = 0o100000
_FOLDER: Final = 0o040000


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
    mode = entry.mode | (_FOLDER if entry.data is None else _FILE)
    fields = (entry.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    return _padded(b"070701" + b"".join(b"%08x" % one for one in fields) + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

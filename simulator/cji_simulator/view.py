"""A view of the files in which every user can reach the worker's code, for a developer who works as root.

An image has the worker in /opt, for everybody to read. Root's own Python is often below root's home, which nobody else
may enter; a process of the worker that has become a user of its own could import nothing. In a mount namespace of the
simulated worker, each such folder is covered by one that may be passed through, with the same entries. Source:
mount_namespaces(7).
"""

import ctypes
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cji_core.manifest import import_folders

__all__ = ["let_others_reach_the_code"]

_NEW_MOUNTS: Final = 0x00020000
_BIND, _RECURSIVE, _SLAVE = 4096, 16384, 1 << 19
_PASS: Final = 0o001
_libc = ctypes.CDLL(None, use_errno=True)


def let_others_reach_the_code() -> None:
    """Cover the folders on the way to the worker's code that others may not enter. Raises OSError."""
    closed = list(_closed())
    if not closed:
        return
    _check(_libc.unshare(_NEW_MOUNTS))
    # what is mounted later elsewhere is seen here too, and nothing that is mounted here elsewhere
    _mount("none", Path("/"), "", _RECURSIVE | _SLAVE)
    while closed:
        _cover(closed[0])
        closed = list(_closed())


def _closed() -> Iterator[Path]:
    """The folders above the code that others may not enter, the outermost of each way first."""
    for code in (*import_folders(), Path(os.__file__).parent):
        for way in (code, Path(os.path.realpath(code))):
            yield from (folder for folder in reversed(way.parents) if not folder.stat().st_mode & _PASS)


def _cover(folder: Path) -> None:
    entries = {name: os.open(folder / name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC) for name in os.listdir(folder)}
    links = {name: os.readlink(folder / name) for name in entries if (folder / name).is_symlink()}
    _mount("tmpfs", folder, "tmpfs", 0, "mode=0711")
    for name, entry in entries.items():
        new = folder / name
        if name in links:
            new.symlink_to(links[name])
            continue
        if stat.S_ISDIR(os.fstat(entry).st_mode):
            new.mkdir()
        else:
            new.touch()
        _mount(f"/proc/self/fd/{entry}", new, "", _BIND | _RECURSIVE)
        os.close(entry)


def _mount(source: str, target: Path, kind: str, flags: int, data: str = "") -> None:
    words = (source, str(target), kind)
    _check(_libc.mount(*(word.encode() for word in words), ctypes.c_ulong(flags), data.encode()))


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

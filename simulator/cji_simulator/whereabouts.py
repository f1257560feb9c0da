"""The folder of the simulation that this user runs, so that commands find it from any other folder.

A symbolic link in a folder that nobody else may write: $XDG_RUNTIME_DIR, else one of this user's below /tmp. The
simulation that started last has it. A link that others could have made is not followed: it decides who is trusted.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["announced", "found_state"]

USUAL: Final = Path(".demo")
_LINK: Final = "cji-simulator"


def found_state() -> Path:
    """`.demo` here if a simulation was started in it, else the folder of the one that runs, else `.demo`."""
    if (USUAL / "trust.json").exists():
        return USUAL
    with contextlib.suppress(OSError):
        if _is_ours(link := _link()):
            return Path(os.readlink(link))
    return USUAL


@contextlib.contextmanager
def announced(state: Path) -> Iterator[None]:
    """Be the simulation that is found, until the block ends or another one starts.

    Where the folder cannot be made, as for a user who has no session, it runs without being found.
    """
    link = _link()
    with contextlib.suppress(OSError):
        link.parent.mkdir(mode=0o700, exist_ok=True)
        if _is_private(link.parent):
            new = link.with_name(f"{_LINK}.{os.getpid()}")
            new.unlink(missing_ok=True)
            new.symlink_to(state.absolute())
            new.replace(link)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if Path(os.readlink(link)) == state.absolute():
                link.unlink()


def _link() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) if runtime else Path(tempfile.gettempdir()) / f"{_LINK}-{os.getuid()}"
    return folder / _LINK


def _is_ours(link: Path) -> bool:
    return _is_private(link.parent) and link.lstat().st_uid == os.getuid()


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022

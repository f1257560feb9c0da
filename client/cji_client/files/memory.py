"""Files in memory under names, for readers that open a file by its name as often as they need.

On Linux their bytes never reach a disk (memfd_create(2); swap aside): a name is a link into /proc of this process. It
and its folder are for this user alone. Elsewhere `MemoryFiles` refuses, or with `on_disk` keeps files in that folder
and overwrites them before it removes them.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, Final, Self

from cji_client.errors import SpecError

_BLOCK: Final = 1 << 20


class MemoryFiles:
    """Some files; `close`, or the end of the process, ends them all."""

    def __init__(self, folder: Path | None = None, *, on_disk: bool = False) -> None:
        """`folder`, which exists, gets the names; without one, a new folder for temporary files does."""
        self._on_disk = not hasattr(os, "memfd_create")
        if self._on_disk and not on_disk:
            raise SpecError("this system has no files in memory", remedy="Write the records to a file and name it.")
        self._folder = Path(tempfile.mkdtemp(prefix="cji.", dir=folder))
        self._files = dict[Path, BinaryIO]()
        self._made = 0

    def new(self, name: str) -> tuple[Path, BinaryIO]:
        """(the path of a new file with this name, the file to write it with, which stays open)."""
        self._made += 1
        below = self._folder / str(self._made)
        below.mkdir(mode=0o700)
        path = below / name
        file: BinaryIO
        if self._on_disk:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb+", buffering=0)
        else:
            file = os.fdopen(os.memfd_create("records", os.MFD_CLOEXEC), "wb+", buffering=0)
            path.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        self._files[path] = file
        return path, file

    def remove(self, path: Path) -> None:
        """End one file; its bytes are gone."""
        file = self._files.pop(path)
        with contextlib.suppress(OSError):
            _wipe(file)
        file.close()
        shutil.rmtree(path.parent, ignore_errors=True)

    def close(self) -> None:
        """End them all."""
        for path in list(self._files):
            self.remove(path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _wipe(file: BinaryIO) -> None:
    left = file.seek(0, os.SEEK_END)
    file.seek(0)
    while left > 0:
        left -= file.write(bytes(min(left, _BLOCK))) or left
    file.truncate(0)

"""Room on a disk that is held before a job is sent, so that its result does not find the disk full."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from cji_client.errors import SpecError

_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class Space:
    """Bytes on the file system of a folder, held by a file without a name until they are given away.

    Where a system or a file system cannot hold them, the free space is only compared; then another program may take it.
    """

    def __init__(self, folder: Path, size: int) -> None:
        """SpecError if there is no room for `size` bytes, or the folder cannot be written."""
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it is closed by `close`
        except OSError as error:
            raise SpecError(f"{folder} cannot be written ({error.strerror})", remedy="Choose another place.") from None
        self._left = size
        try:
            self._hold(folder, size)
        except BaseException:
            self.close()
            raise

    def give(self, size: int) -> None:
        """Let this number of bytes go: they are about to be written elsewhere on the same file system."""
        if self._left:
            self._left = max(0, self._left - size)
            os.ftruncate(self._file.fileno(), self._left)

    def close(self) -> None:
        """Let all of it go."""
        self._left = 0
        self._file.close()

    def _hold(self, folder: Path, size: int) -> None:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, max(size, 1))
                return
        except OSError as error:
            if error.errno in _FULL:
                raise _no_room(folder, size) from None
            # anything else: the file system cannot, or one file may not be so long
        self._left = 0
        try:
            os.ftruncate(self._file.fileno(), 0)
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise SpecError(f"{folder} cannot be written ({error.strerror})", remedy="Choose another place.") from None
        if free < size:
            raise _no_room(folder, size)


def _no_room(folder: Path, size: int) -> SpecError:
    return SpecError(
        f"the file system of {folder} has no room for the {size} bytes that are held for the result",
        remedy="Free space there, choose another place, or state the size of the result with --max-result-bytes.",
    )

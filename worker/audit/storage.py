"""The bytes of the audit trail on disk: one locked file whose first `size` bytes are acknowledged.

Contract and invariants
* `append` returns after the bytes are on disk (write, fsync). After an OSError nothing more is written until `recover`.
* There is one writer: the file is locked (flock) while it is open, is never a symbolic link, and must keep its name.
* The kernel reports a failed fsync once and then treats the pages as written. So `recover` closes the file, drops its
  last pages from the cache and reads from the disk; only what `append` tried to write last may stand after `size`.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from worker.audit.chain import MAX_LINE_BYTES

MIB: Final = 1024 * 1024
_PAGE: Final = 4096
_MODE: Final = 0o640


class TrailChangedError(Exception):
    """The file at the path is not the one that this process wrote, or was changed since."""


class TrailStorage:
    """An open trail file."""

    def __init__(self, path: Path) -> None:
        """Open and lock the file at `path`; create it (mode 0640) if it does not exist. Raises OSError.

        Its group is that of the folder's readers, if the folder is made so (setgid).
        """
        self._path = path
        self._unacknowledged = b""
        self.size = 0
        self._fd = _open_locked(path, os.O_CREAT)
        status = os.fstat(self._fd)
        self.identity = status.st_dev, status.st_ino

    @property
    def open(self) -> bool:
        """Whether lines can be read and, after no failure, appended."""
        return self._fd >= 0

    def length(self) -> int:
        """Bytes in the file, acknowledged or not."""
        return os.fstat(self._fd).st_size

    def room(self) -> int:
        """Free bytes on the disk for an ordinary user. Raises OSError if the file was replaced or changed."""
        self._check_identity(self.size)
        room = os.fstatvfs(self._fd)
        return room.f_bavail * room.f_frsize

    def append(self, line: bytes) -> None:
        """Write one line at the end and sync it. Raises OSError; what stays behind is removed by `recover`."""
        self._unacknowledged = line
        try:
            self._check_identity(self.size)
            _write_all(self._fd, line)
            os.fsync(self._fd)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        self._unacknowledged = b""
        self.size += len(line)

    def read(self, offset: int, length: int = MAX_LINE_BYTES) -> bytes:
        """The line at `offset`, with its line feed if it has one within `length` bytes. Raises OSError."""
        line, end, _ = os.pread(self._fd, length, offset).partition(b"\n")
        return line + end

    def lines(self, offset: int) -> Iterator[bytes]:
        """Every line from `offset` to the end of the file; the last one may lack its line feed. Raises OSError."""
        with open(self._fd, "rb", buffering=MIB, closefd=False) as stream:
            stream.seek(offset)
            while line := stream.readline(MAX_LINE_BYTES + 1):
                yield line

    def cut(self) -> None:
        """Remove everything after the acknowledged bytes, durably. Raises OSError."""
        os.ftruncate(self._fd, self.size)
        os.fsync(self._fd)

    def recover(self, last: int) -> bytes:
        """Open the file again after a failed `append`; return the unacknowledged bytes at its end.

        `last` is the offset of the last acknowledged line. Raises OSError, after which it may be tried again, or
        TrailChangedError, which is final.
        """
        self.close()
        fd = _open_locked(self._path, 0)
        try:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != self.identity or status.st_size < self.size:
                raise TrailChangedError
            start = last - last % _PAGE
            os.posix_fadvise(fd, start, 0, os.POSIX_FADV_DONTNEED)
            tail = os.pread(fd, MAX_LINE_BYTES + 1, self.size)
            if not self._unacknowledged.startswith(tail):
                raise TrailChangedError
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return tail

    def close(self) -> None:
        """Close the file and release the lock. Closing twice is allowed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _check_identity(self, size: int) -> None:
        """Raise OSError unless the path still names this file, with the length that we left."""
        ours, theirs = os.fstat(self._fd), os.stat(self._path, follow_symlinks=False)
        if (ours.st_dev, ours.st_ino, ours.st_size) != (theirs.st_dev, theirs.st_ino, size):
            raise OSError(errno.ESTALE, "the audit file was replaced or changed")


def has_room(folder: Path, least: int) -> bool:
    """Whether an ordinary user has this many bytes left there; true if that is unknown, for opening finds out why."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return True
    return room.f_bavail * room.f_frsize >= least


def _open_locked(path: Path, create: int) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | create
    fd = os.open(path, flags, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(errno.EPERM, "the audit file must be a regular file that only its owner can write")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if create and not status.st_size:
            os.fchmod(fd, _MODE)  # whatever the umask: who may enter the folder and is of its group reads the trail
        _sync_folder(path.parent)  # a file that was just created must survive too
    except OSError:
        os.close(fd)
        raise
    return fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

"""The bytes of the audit trail on disk, of which the first `size` are acknowledged: closed segments, one locked file.

Contract and invariants
* Lines are written, then synced, which another thread may do, then acknowledged; `append` does all three. After an
  OSError nothing more is written until `recover`.
* There is one writer: the file is locked (flock) while it is open, is never a symbolic link, and must keep its name.
* `rotate` gives the file the name of a closed segment (`cji_core.trail.segments`) and goes on in a new one, which is
  locked before it gets the trail's name. A crash between both renames leaves no current file: the next start makes it.
* The kernel reports a failed fsync once and then treats the pages as written. So `recover` closes the file, drops its
  last pages from the cache and reads from the disk; only what was written last may stand after `size`.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cji_core.durable import sync_folder
from cji_core.trail.chain import MAX_LINE_BYTES, ChainError, read
from cji_core.trail.pruned import SUFFIX, Pruned
from cji_core.trail.segments import Closed, Identity, closed, has_room_for_another, left_behind, segment_path
from cji_core.trail.worker_events import TrailStarted
from cji_worker.errors import WorkerError

MIB: Final = 1024 * 1024
_PAGE: Final = 4096
_MODE: Final = 0o640
_NEXT: Final = ".next"
_NEW: Final = ".new"


class TrailChangedError(WorkerError):
    """The file at the path is not the one that this process wrote, or was changed since."""

    code = "trail-changed"
    remedy = "Keep the file, and investigate which program changed it."


class TrailStorage:
    """An open trail. Offsets and sizes are in bytes since the first line ever written."""

    def __init__(self, path: Path) -> None:
        """Open and lock the file at `path`; create it (mode 0640) if it does not exist.

        Its group is that of the folder's readers, if the folder is made so (setgid). Raises OSError, and ChainError for
        closed segments that are missing or not in their order.
        """
        self._path = path
        self._unacknowledged, self._written = b"", 0
        self._fd = _open_locked(path, os.O_CREAT)
        try:
            self.before: Closed = closed(path)
        except BaseException:
            self.close()
            raise
        self.size = self.before.begin
        self.identity = _identity(self._fd)

    @property
    def open(self) -> bool:
        """Whether lines can be read and, after no failure, appended."""
        return self._fd >= 0

    @property
    def current_bytes(self) -> int:
        """Acknowledged bytes in the current file."""
        return self.size - self.before.end

    def identity_at(self, offset: int) -> Identity:
        """The file with the line at this offset. Raises PrunedError."""
        segment = self.before.at(offset)
        return self.identity if segment is None else segment.identity

    def room(self) -> int:
        """Free bytes on the disk for an ordinary user. Raises OSError if the file was replaced or changed."""
        self._check_identity()
        room = os.fstatvfs(self._fd)
        return room.f_bavail * room.f_frsize

    def append(self, lines: bytes) -> None:
        """Write lines at the end, sync and acknowledge them. Raises OSError; `recover` removes what stays behind."""
        fd = self.write(lines)
        try:
            os.fsync(fd)
        except OSError:
            self.withdraw()
            raise
        self.acknowledge()

    def write(self, lines: bytes) -> int:
        """Write lines at the end; return the descriptor to sync before `acknowledge` or `withdraw`. Raises OSError."""
        self._unacknowledged = lines
        try:
            self._check_identity()
            _write_all(self._fd, lines)
        except OSError:
            self.withdraw()
            raise
        self._written = len(lines)
        return self._fd

    def acknowledge(self) -> None:
        """Count what was written: it is synced."""
        self.size += self._written
        self._unacknowledged, self._written = b"", 0

    def withdraw(self) -> None:
        """Remove what was written and cannot be synced, as far as that is possible; `recover` does the rest."""
        self._written = 0
        with suppress(OSError):
            os.ftruncate(self._fd, self.current_bytes)

    def read(self, offset: int, length: int = MAX_LINE_BYTES) -> bytes:
        """The line at `offset`, with its line feed if it has one within `length` bytes. Raises OSError."""
        segment = self.before.at(offset)
        if segment is not None:
            return segment.line_at(offset)
        line, end, _ = os.pread(self._fd, length, offset - self.before.end).partition(b"\n")
        return line + end

    def identity_of_trail(self) -> str:
        """The hash of the first line, pruned or not. Raises OSError, and ChainError unless it begins a trail."""
        if self.before.pruned is not None:
            return self.before.pruned.first_hash
        first = read(self.read(0), number=1)
        if not isinstance(first.event, TrailStarted) or first.seq != 1:
            raise ChainError(line=1, field="event", detail="it does not begin a trail")
        return first.hash

    def lines(self, offset: int) -> Iterator[tuple[Identity, bytes]]:
        """Every line from `offset` on, with its file; the last one of all may lack its line feed.

        Raises OSError, and ChainError for a segment that does not end with its last line.
        """
        for segment in self.before.after(offset):
            for line in segment.lines(max(offset, segment.begin)):
                yield segment.identity, line
        with open(self._fd, "rb", buffering=MIB, closefd=False) as stream:
            stream.seek(max(0, offset - self.before.end))
            while line := stream.readline(MAX_LINE_BYTES + 1):
                yield self.identity, line

    def rotate(self, last: int) -> Path | None:
        """Close the current file, whose last line has the number `last`, and go on in a new one; return its name.

        None if a new file cannot be made, or the trail has `MAX_SEGMENTS`: then nothing changed, and the current file
        grows until old segments are pruned. After an OSError, `recover` finds out how far it got.
        """
        if not has_room_for_another(self._path):
            return None
        name, following = segment_path(self._path, self.before.last + 1, last), self._beside(_NEXT)
        try:
            following.unlink(missing_ok=True)
            fd = _open_locked(following, os.O_CREAT | os.O_EXCL)
        except OSError:
            return None
        try:
            self._check_identity()
            if os.path.lexists(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(name))
            os.rename(self._path, name)
            sync_folder(self._path.parent)
            os.rename(following, self._path)
            sync_folder(self._path.parent)
            self.before = closed(self._path)
        except BaseException:
            os.close(fd)
            raise
        old, self._fd, self.identity = self._fd, fd, _identity(fd)
        with suppress(OSError):
            os.close(old)
        return name

    def prune(self, pruned: Pruned) -> None:
        """Put this in place of the lines that it is about, then remove them, durably. Raises OSError or ChainError."""
        new, folder = self._beside(SUFFIX + _NEW), self._path.parent
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, _MODE)
            _write_all(fd, pruned.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, self._beside(SUFFIX))
        sync_folder(folder)
        self.remove_pruned()
        self.before = closed(self._path)

    def remove_pruned(self) -> list[str]:
        """Remove segments that a crash left after their lines were pruned; return their names. Raises OSError."""
        found = closed(self._path).pruned
        left = left_behind(self._path, found) if found is not None else []
        for path in left:
            path.unlink()
        if left:
            sync_folder(self._path.parent)
        return [path.name for path in left]

    def cut(self) -> None:
        """Remove everything after the acknowledged bytes, durably. Raises OSError."""
        os.ftruncate(self._fd, self.current_bytes)
        os.fsync(self._fd)

    def recover(self, last: int) -> bytes:
        """Open the file again after a failed write or sync; return the unacknowledged bytes at its end.

        `last` is the offset of the last acknowledged line. Raises OSError, after which it may be tried again, or
        TrailChangedError, which is final.
        """
        self.close()
        before = closed(self._path)
        rotated = before.segments[-1:]
        if rotated and rotated[0].identity == self.identity:
            return self._rotated(before)
        fd = _open_locked(self._path, 0)
        try:
            if _identity(fd) != self.identity or os.fstat(fd).st_size < self.current_bytes or before != self.before:
                raise TrailChangedError
            start = max(0, last - self.before.end)
            os.posix_fadvise(fd, start - start % _PAGE, 0, os.POSIX_FADV_DONTNEED)
            tail = os.pread(fd, len(self._unacknowledged) + 1, self.current_bytes)
            if not self._unacknowledged.startswith(tail):
                raise TrailChangedError
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return tail

    def close(self) -> None:
        """Close the file and release the lock. Closing twice is allowed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # every line was synced
                os.close(fd)

    def _rotated(self, before: Closed) -> bytes:
        """Finish a rotation that failed after the current file had become the last segment; nothing follows it."""
        if before.end != self.size or before.segments[:-1] != self.before.segments:
            raise TrailChangedError
        fd = _open_locked(self._path, os.O_CREAT)
        if os.fstat(fd).st_size:
            os.close(fd)
            raise TrailChangedError
        self.before, self._fd, self.identity = before, fd, _identity(fd)
        return b""

    def _check_identity(self) -> None:
        """Raise OSError unless the path still names this file, with the length that we left."""
        ours, theirs = os.fstat(self._fd), os.stat(self._path, follow_symlinks=False)
        length = self.current_bytes + self._written
        if (ours.st_dev, ours.st_ino, ours.st_size) != (theirs.st_dev, theirs.st_ino, length):
            raise OSError(errno.ESTALE, "the audit file was replaced or changed")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


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
        sync_folder(path.parent)  # a file that was just created must survive too
    except OSError:
        os.close(fd)
        raise
    return fd


def _identity(fd: int) -> Identity:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

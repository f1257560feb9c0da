"""Follows the end of a trail that grows: new lines only, each verified to continue the one before."""

import os
from pathlib import Path
from typing import Final

from worker.audit import ChainError, Head, Record, read, verify_next
from worker.audit.chain import MAX_LINE_BYTES

MOST_BYTES: Final = 4 << 20
"""Read in one step."""
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Tail:
    """Begins after the last whole line that is there when it first reads. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._head: Head | None = None
        self._rest = b""

    def read(self) -> list[Record]:
        """The lines that are new, at most `MOST_BYTES` of them.

        Raises ChainError for lines that do not continue the trail, or OSError. After both it begins again at the end.
        """
        try:
            if self._file is None:
                self._file = self._opened_at_end()
            found = self._records(os.read(self._file, MOST_BYTES))
            if not found and self._replaced(self._file):
                self._close()
                self._file = os.open(self._path, _FLAGS)  # a trail that was rotated goes on here
                found = self._records(os.read(self._file, MOST_BYTES))
        except (ChainError, OSError):
            self._close()
            self._head = None
            raise
        return found

    def _opened_at_end(self) -> int:
        file = os.open(self._path, _FLAGS)
        size = os.fstat(file).st_size
        start = max(0, size - MAX_LINE_BYTES)
        before = os.pread(file, size - start, start)
        os.lseek(file, start + before.rfind(b"\n") + 1, os.SEEK_SET)
        return file

    def _records(self, data: bytes) -> list[Record]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ChainError(line=0, field="line", detail="no line feed within the longest line")
        return [self._record(line + b"\n") for line in lines]

    def _record(self, line: bytes) -> Record:
        if self._head is None:
            record = read(line)
            self._head = Head(seq=record.seq, hash=record.hash)
            return record
        self._head, record = verify_next(line, head=self._head, number=self._head.seq + 1)
        return record

    def _replaced(self, file: int) -> bool:
        """Whether the path has another file now. Raises ChainError if this one is shorter than what was read."""
        here, there = os.fstat(file), os.stat(self._path)
        if here.st_size < os.lseek(file, 0, os.SEEK_CUR):
            raise ChainError(line=0, field="line", detail="the trail is shorter than it was")
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._rest = None, b""

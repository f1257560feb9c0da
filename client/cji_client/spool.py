"""Sealed parts on disk, all in one unlinked file: a job may have more parts than a process may have open files."""

import io
import os
import tempfile
import threading
from typing import BinaryIO, cast


class Spool:
    """Parts that are written one after the other, each to its end, and then read in any order, by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it is closed with its last part
        self._parts = 0
        self.end = 0

    def part(self) -> BinaryIO:
        """A new part, which begins where the last one ends. The file is closed once all parts are."""
        self._parts += 1
        return cast("BinaryIO", _Part(self, self.end))

    def append(self, data: memoryview) -> None:
        """Write at the end."""
        with self._lock:
            self._file.seek(self.end)
            while data:
                written = self._file.write(data)
                self.end += written
                data = data[written:]

    def read_into(self, out: memoryview, at: int) -> None:
        """Read from a place that was written."""
        with self._lock:
            self._file.seek(at)
            while out:
                count = self._file.readinto(out)
                if not count:
                    raise OSError("the file of parts was cut off")
                out = out[count:]

    def release(self) -> None:
        """One part less."""
        self._parts -= 1
        if not self._parts:
            self._file.close()


class _Part(io.RawIOBase):
    """The bytes of one part as a file. Reads return as much as was asked for, until the part ends."""

    def __init__(self, spool: Spool, start: int) -> None:
        super().__init__()
        self._spool, self._start, self._length, self._at = spool, start, 0, 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or not 0 <= offset <= self._length:
            raise OSError("no such place")
        self._at = offset
        return offset

    def write(self, data: object) -> int:
        if self._start + self._length != self._spool.end:
            raise OSError("another part has begun")
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # Buffer is Python 3.12
        self._spool.append(view)
        self._length += len(view)
        return len(view)

    def readinto(self, out: object) -> int:
        view = memoryview(out).cast("B")  # type: ignore[arg-type]
        view = view[: max(0, self._length - self._at)]
        self._spool.read_into(view, self._start + self._at)
        self._at += len(view)
        return len(view)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._spool.release()

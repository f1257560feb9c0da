"""A file of JSON lines, for a log shipper to read.

    [[sinks]]
    name = "shipper"
    kind = "file"
    path = "/var/log/cji-audit/events.jsonl"

Events are on disk before they count as delivered. The file is opened for each batch, so anyone who rotates it may
rename it at any time. A line that a crash left unfinished is removed, and written again.
"""

import os
import stat
from pathlib import Path

from cji_core.format.configuration.sinks import FileTable
from cji_core.trail.delivery import DeliveryError
from cji_worker.deliverer.sinks.batch import Outgoing


class FileLines:
    """Appends to one file."""

    max_bytes: int = 1 << 20
    max_events: int = 5000

    def __init__(self, table: FileTable) -> None:
        self._path = Path(table.path)

    def encode(self, event: Outgoing) -> bytes:
        """One line, without its line feed."""
        return event.data

    def send(self, batch: list[bytes]) -> None:
        """Append the lines and sync them."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self._path, flags, 0o640)
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise DeliveryError("the path is not a regular file")
                _remove_torn_line(fd, status.st_size)
                view = memoryview(b"".join(line + b"\n" for line in batch))
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise DeliveryError(f"the file cannot be written ({os.strerror(error.errno or 0)})") from error


def _remove_torn_line(fd: int, size: int) -> None:
    """Cut off what follows the last line feed: a crash left it there, and its event was not acknowledged."""
    end, block = size, 64 * 1024
    while end:
        start = max(0, end - block)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)

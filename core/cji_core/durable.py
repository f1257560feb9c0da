"""Files that a crash or a loss of power does not take: replaced as a whole, and their names on disk too."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_NEW: Final = ".new"


def replace_file(path: Path, data: bytes, *, mode: int = 0o640, group: int = -1) -> None:
    """Put a file with these bytes in the place of what is there; it is on disk when this returns.

    For one writer. `group` is the number of its group, the writer's by default. Raises OSError; then the file is as it
    was, unless it was the folder that could not be written.
    """
    new = path.with_name(f".{path.name}{_NEW}")
    with suppress(FileNotFoundError):
        new.unlink()
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(fd, "wb") as file:
        os.fchown(fd, -1, group)
        os.fchmod(fd, mode)  # whatever the umask
        file.write(data)
        file.flush()
        os.fsync(fd)
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: a new file's bytes may be there before its name. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""Bytes that are larger than a message: in a sealed memory file, whose descriptor is passed.

The receiver trusts nothing about a descriptor but what the kernel reports: it must be a memory file that nobody can
change or shorten any more, so that reading it neither waits nor fails, and it must not be larger than expected.
"""

import fcntl
import os
from typing import Final

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def hand_over(data: bytes) -> int:
    """A descriptor of a sealed memory file with these bytes; close it once it is passed."""
    fd = os.memfd_create("cji-handover", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def take_over(fd: int, *, most: int) -> bytes:
    """The bytes of a file that `hand_over` made, `most` at most. Closes the descriptor. Raises ValueError."""
    try:
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS or (size := os.fstat(fd).st_size) > most:
            raise ValueError("not handed over")
        return os.pread(fd, size, 0)
    except OSError as error:  # F_GET_SEALS: not a memory file
        raise ValueError("not handed over") from error
    finally:
        os.close(fd)

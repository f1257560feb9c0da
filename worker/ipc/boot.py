"""What the supervisor hands to a process at its start: configuration, trust, and inherited descriptors.

It comes through an inherited descriptor, never by environment or command line, and is frozen from then on.
"""

import os
from typing import Final

import msgspec

from worker.config import Config

__all__ = ["Boot", "receive_boot", "send_boot"]

_MAX_BYTES: Final = 4 << 20


class Boot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Descriptor numbers are those of the receiving process; -1 where it has none.

    `trust` is the encoded `attestation.Trust`; only the keyholder is given it.
    """

    config: Config
    trust: bytes = b""
    supervisor: int = -1
    front: int = -1
    keyholder: int = -1
    zygote: int = -1
    regions: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()
    reference_regions: tuple[int, ...] = ()


def send_boot(boot: Boot) -> int:
    """A descriptor from which `receive_boot` reads this."""
    fd = os.memfd_create("cji-boot", os.MFD_CLOEXEC)
    os.write(fd, msgspec.msgpack.encode(boot))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def receive_boot(fd: int) -> Boot:
    """The boot message; the descriptor is closed."""
    try:
        return msgspec.msgpack.decode(os.read(fd, _MAX_BYTES), type=Boot)
    finally:
        os.close(fd)

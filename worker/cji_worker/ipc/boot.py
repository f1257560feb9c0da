"""The boot message of a process: configuration, trust, tables, and inherited descriptors.

It arrives through an inherited descriptor, never by environment or command line, and does not change afterwards.
"""

import gc
import os
from typing import Final

import msgspec

from cji_core.documents import msgpack
from cji_core.format.configuration.worker import Config
from cji_core.manifest import UNVERIFIED, Code
from cji_worker.host import NOTHING_HELD, HostReport

_MAX_BYTES: Final = 8 << 20
_OBJECTS: Final = 700
"""Objects between two searches for garbage, as Python has it."""


class Boot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Descriptor numbers are those of the receiving process; -1 for one that it does not have.

    `code` is what the process may map; `trust` is the encoded `attestation.Trust`, and `host` the conditions at the
    start, both for the keyholder alone; `tables` are the table files by name, for the keyholder and the zygote.
    `fronts` are the channels to the fronts by their numbers, for the keyholder alone; `number` is that of a front, of
    `count`.
    `clock` is the supervisor's CPU clock (`cji_worker.ipc.beats`), for the front alone.
    `logs` are the event logs of this boot, "firmware-log" and "userspace-log", for the keyholder alone.
    `parent` is the process that it must not outlive.
    `users`, `namespaces`: whether the process becomes a user of its own, and zygote and cells enter namespaces of their
    own, see `Supervisor`.
    """

    config: Config
    code: Code = UNVERIFIED
    trust: bytes = b""
    host: HostReport = NOTHING_HELD
    tables: dict[str, bytes] = {}
    supervisor: int = -1
    parent: int = -1
    fronts: tuple[int, ...] = ()
    number: int = 0
    count: int = 1
    keyholder: int = -1
    zygote: int = -1
    clock: tuple[int, int] = (-1, -1)
    logs: dict[str, int] = {}
    regions: tuple[int, ...] = ()
    slots: tuple[int, ...] = ()
    reference_regions: tuple[int, ...] = ()
    users: bool = True
    namespaces: bool = True


def send_boot(boot: Boot) -> int:
    """A descriptor from which `receive_boot` reads this."""
    fd = os.memfd_create("cji-boot", os.MFD_CLOEXEC)
    os.write(fd, msgspec.msgpack.encode(boot))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def receive_boot(fd: int) -> Boot:
    """The boot message; the descriptor is closed. What the process has imported is no longer searched for garbage."""
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    try:
        return msgpack(os.read(fd, _MAX_BYTES), Boot)
    finally:
        os.close(fd)

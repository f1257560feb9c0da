"""The journal of systemd, by its native protocol.

    [[sinks]]
    name = "journal"
    kind = "journald"

An entry has the mapped event as MESSAGE, and CJI_EVENT_ID, CJI_SEQ, CJI_KIND and CJI_WORKER to select by. The protocol
has no acknowledgement: an entry counts as delivered once the kernel has queued it for the journal. Protect the journal
with its own settings (Storage=persistent, Seal=yes). Source: systemd, "Native Journal Protocol".
"""

import errno
import fcntl
import os
import socket
import struct
from typing import Final

from cji_core.format.configuration.sinks import JournaldTable
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.meaning import PRODUCT
from cji_worker.deliverer.sinks.batch import Outgoing

_SECONDS: Final = 10.0
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journald:
    """Sends one datagram for each entry."""

    max_bytes: int = 1 << 20
    max_events: int = 500

    def __init__(self, table: JournaldTable) -> None:
        self._path = table.socket

    def encode(self, event: Outgoing) -> bytes:
        """One entry. The fields without a length have values without a line feed."""
        record = event.record
        fields = (
            f"PRIORITY={event.severity.value[3]}\n"
            f"SYSLOG_IDENTIFIER={PRODUCT}-audit\n"
            f"CJI_EVENT_ID={event.id}\n"
            f"CJI_SEQ={record.seq}\n"
            f"CJI_KIND={record.event.kind}\n"
            f"CJI_WORKER={record.worker}\n"
        )
        return fields.encode("ascii") + b"MESSAGE\n" + struct.pack("<Q", len(event.data)) + event.data + b"\n"

    def send(self, batch: list[bytes]) -> None:
        """Queue the entries, each by itself; those before a failure may arrive twice."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as journal:
                journal.settimeout(_SECONDS)
                journal.connect(self._path)
                for entry in batch:
                    _send(journal, entry)
        except TimeoutError as error:
            raise DeliveryError("the journal's queue is full") from error
        except OSError as error:
            raise DeliveryError("the journal's socket cannot be used") from error


def _send(journal: socket.socket, entry: bytes) -> None:
    try:
        journal.send(entry)
    except OSError as error:
        if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
            raise
        _send_sealed(journal, entry)


def _send_sealed(journal: socket.socket, entry: bytes) -> None:
    """An entry that is too large for a datagram travels as a sealed memory file."""
    fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(entry)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        socket.send_fds(journal, [b""], [fd])
    finally:
        os.close(fd)

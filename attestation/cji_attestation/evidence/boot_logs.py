"""The event logs of this machine, which explain its PCRs 0 to 15, and the command line of its kernel.

The logs are files of root's. A worker that is not root inherits their descriptors (`BootLogs`), and they are read
again for every quote: whatever else is measured while it runs, and logged, is in its evidence.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.evidence.event_log import MAX_FIRMWARE_LOG, MAX_USERSPACE_LOG
from cji_attestation.trust import Trust

COMMAND_LINE: Final = Path("/proc/cmdline")
MAX_COMMAND_LINE: Final = 4096  # bytes; the kernel keeps 2048 on x86
_LOCK_SECONDS: Final = 2.0
_LOCK_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLogs:
    """Descriptors of the two logs, -1 for one that this machine does not have, and the kernel's command line."""

    firmware: int = -1
    userspace: int = -1
    command_line: str = ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep systemd from measuring meanwhile: it extends a PCR and writes its record under this lock."""
        if self.userspace < 0:
            yield
            return
        _lock(self.userspace)
        try:
            yield
        finally:
            fcntl.flock(self.userspace, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close what is open."""
        for fd in {self.firmware, self.userspace} - {-1}:
            os.close(fd)

    def read(self) -> tuple[bytes, bytes]:
        """(firmware's log, userspace log), whole; an empty one where there is none."""
        return _whole(self.firmware, MAX_FIRMWARE_LOG), _whole(self.userspace, MAX_USERSPACE_LOG)


def open_logs(trust: Trust, inherited: Mapping[str, int] = MappingProxyType({})) -> BootLogs:
    """Inherited descriptors by the names "firmware-log" and "userspace-log"; without any, the files of the trust.

    A file that is not there is left out; EVIDENCE_UNAVAILABLE "event-log" if one may not be read.
    """
    line = _command_line()
    if inherited:
        firmware, userspace = (inherited.get(name, -1) for name in ("firmware-log", "userspace-log"))
    else:
        firmware, userspace = _opened(trust.firmware_log), _opened(trust.userspace_log)
    return BootLogs(firmware=firmware, userspace=userspace, command_line=line)


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise _unavailable(error) from error


def _command_line() -> str:
    """As the kernel reports it, without the newline; empty if it cannot be read or is not UTF-8."""
    try:
        return COMMAND_LINE.read_bytes()[:MAX_COMMAND_LINE].removesuffix(b"\n").decode()
    except (OSError, UnicodeDecodeError):
        return ""


def _unavailable(error: OSError) -> AttestationError:
    refusal = AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="event-log")
    refusal.__cause__ = error
    return refusal


def _lock(fd: int, kind: int = fcntl.LOCK_SH) -> None:
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError) or time.monotonic() > until:
                raise _unavailable(error) from error
            time.sleep(_LOCK_PAUSE)
        else:
            return


@contextlib.contextmanager
def writing(path: str) -> Iterator[int]:
    """A descriptor of the userspace log, made if there is none, locked as systemd locks it to measure.

    EVIDENCE_UNAVAILABLE "event-log" if it cannot be had, or if somebody stopped between a measurement and its record:
    systemd sets the sticky bit meanwhile (its src/shared/tpm2-util.c, tpm2_userspace_log).
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unavailable(error) from error
    try:
        _lock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_mode & stat.S_ISVTX:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="event-log")
        yield fd
    finally:
        os.close(fd)


def append_measured(fd: int, measure: Callable[[], None], record: bytes) -> None:
    """Measure, then append the record, both or visibly not; `fd` is that of `writing`. EVIDENCE_UNAVAILABLE."""
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        os.fchmod(fd, mode | stat.S_ISVTX)
        measure()
        if os.write(fd, record) != len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
        os.fchmod(fd, mode)
    except OSError as error:
        raise _unavailable(error) from error


def whole_userspace_log(fd: int) -> bytes:
    """The userspace log behind this descriptor. EVIDENCE_UNAVAILABLE "event-log"."""
    return _whole(fd, MAX_USERSPACE_LOG)


def _whole(fd: int, limit: int) -> bytes:
    """At most one byte more than the limit, which the reader then refuses."""
    data = b""
    try:
        while fd >= 0 and (part := os.pread(fd, limit + 1 - len(data), len(data))):
            data += part
    except OSError as error:
        raise _unavailable(error) from error
    return data

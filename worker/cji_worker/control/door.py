"""The control socket, for the worker's own user, and the status socket, for the group of its folder.

    client   one line: `status`, or on the control socket `reload`, `renew`, or `record` with a kind and a digest
    server   one JSON document, then the end

Contract and invariants
* The control socket has mode 0600, and a peer that is neither root nor this process's user (SO_PEERCRED) is hung up on
  before anything is read. The status socket has mode 0660: its folder's set-group-id bit selects who may connect.
* No peer can hold or grow anything: an answer is sent in one piece without waiting, into a buffer that is larger than
  any answer; a line is 128 bytes at most and comes within `LINE_S`; at most `MAX_WAITING` connections are open, the
  oldest gives way to a new one; at most `PER_BEAT` are taken in a beat, the others wait in the kernel's short queue.
"""

import os
import socket
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cji_core.errors import StartupError

MAX_WAITING: Final = 16
PER_BEAT: Final = 64
LINE_S: Final = 2.0
ANSWER_S: Final = 40.0
"""A reload ends within this time."""
_LINE_BYTES: Final = 128
_BUFFER_BYTES: Final = 256 << 10
_PATH_BYTES: Final = 107
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """A connection whose line has not come, or whose answer is not known yet."""

    connection: socket.socket
    uid: int
    until: float
    asked: bool = False


class Door:
    """The listening socket at `path` and its few connections. Not thread-safe; every method returns at once."""

    def __init__(
        self,
        path: Path,
        *,
        status: Callable[[], bytes],
        reload: Callable[[int], bytes | None] | None = None,
        renew: Callable[[], bytes] | None = None,
        record: Callable[[int, bytes], bytes | None] | None = None,
    ) -> None:
        """`status` and `renew` return a document; `reload` and `record` return None if `answer` follows.

        They take a user id, `record` the line too. Without `reload` this is a status socket. Raises StartupError for a
        path that cannot be used.
        """
        self._status, self._reload, self._renew, self._record = status, reload, renew, record
        self._waiting: dict[int, _Waiting] = {}
        self._left = PER_BEAT
        self._listener = _listen(path, name="status_socket" if reload is None else "control_socket")
        self._users = None if reload is None else {0, os.geteuid()}

    def descriptors(self) -> list[int]:
        """Descriptors to poll for input."""
        return [*([self._listener.fileno()] if self._left else []), *self._waiting]

    def ready(self, fd: int, now: float) -> None:
        """A descriptor has input. `now` is time.monotonic()."""
        if fd == self._listener.fileno():
            self._accept(now)
        elif fd in self._waiting:
            self._read(self._waiting[fd], now)

    def beat(self, now: float) -> None:
        """Once a beat: hang up on those that are late."""
        self._left = PER_BEAT
        for each in [each for each in self._waiting.values() if each.until <= now]:
            self._hang_up(each)

    def answer(self, document: bytes) -> None:
        """The answer to the user who asked for a reload or a record."""
        for each in [each for each in self._waiting.values() if each.asked]:
            self._send(each, document)

    def close(self) -> None:
        """Hang up on everybody and take no more."""
        for each in list(self._waiting.values()):
            self._hang_up(each)
        self._listener.close()

    def _accept(self, now: float) -> None:
        self._left -= 1  # a failure counts too, or the listener would be ready for ever
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it left again, or there are no descriptors
            return
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        if self._users is not None and uid not in self._users:
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        if len(self._waiting) >= MAX_WAITING:
            self._hang_up(min(self._waiting.values(), key=lambda each: (each.asked, each.until)))
        each = self._waiting[connection.fileno()] = _Waiting(connection=connection, uid=uid, until=now + LINE_S)
        self._read(each, now)

    def _read(self, each: _Waiting, now: float) -> None:
        try:
            line = each.connection.recv(_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            line = b""
        match line if not each.asked else b"":
            case b"status\n":
                self._send(each, self._status())
            case b"reload\n" if self._reload is not None:
                self._wait(each, self._reload(each.uid), now)
            case _ if line.startswith(b"record ") and self._record is not None and not each.asked:
                self._wait(each, self._record(each.uid, line), now)
            case b"renew\n" if self._renew is not None:
                self._send(each, self._renew())
            case _:
                self._hang_up(each)

    def _wait(self, each: _Waiting, document: bytes | None, now: float) -> None:
        """Send what is known already, or wait for `answer`."""
        if document is not None:
            self._send(each, document)
        else:
            each.asked, each.until = True, now + ANSWER_S

    def _send(self, each: _Waiting, document: bytes) -> None:
        try:
            each.connection.send(document)
        except OSError:  # it left
            pass
        finally:
            self._hang_up(each)

    def _hang_up(self, each: _Waiting) -> None:
        del self._waiting[each.connection.fileno()]
        each.connection.close()


def _listen(path: Path, *, name: Literal["control_socket", "status_socket"]) -> socket.socket:
    remedy = f"Set {name} to a short path in a folder that only the worker's user can write to."
    if len(os.fsencode(path)) > _PATH_BYTES:
        raise StartupError(f"{name} is longer than {_PATH_BYTES} bytes", remedy)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177 if name == "control_socket" else 0o117)
    try:
        folder = path.parent.stat()
        if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or folder.st_uid not in (0, os.geteuid()):
            raise StartupError(f"The folder of {name} can be written to by others", remedy)
        _remove_old(path, name, remedy)
        listener.bind(str(path))
        listener.listen(MAX_WAITING)
    except OSError as error:
        raise StartupError(f"{name} cannot be made", remedy) from error
    finally:
        os.umask(before)
    return listener


def _remove_old(path: Path, name: str, remedy: str) -> None:
    """Remove the socket of a worker that has ended. Raises StartupError if one answers."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        if not stat.S_ISSOCK(mode) or probe.connect_ex(str(path)) == 0:
            raise StartupError(f"{name} is in use", remedy)
    path.unlink()

"""State for systemd, and files from it. Without systemd nobody listens, and there are none.

State goes to the socket that NOTIFY_SOCKET names (sd_notify(3)). Files that the unit opens with OpenFile= arrive as
descriptors from 3 on, with their names in LISTEN_FDNAMES (sd_listen_fds(3)).
"""

import contextlib
import os
import socket
from typing import Final

from cji_core.errors import StartupError

_FIRST: Final = 3


def opened_files() -> dict[str, int]:
    """The descriptors that the service manager opened for this process, by name; they are taken once."""
    count, names, process = (os.environ.pop(f"LISTEN_{name}", "") for name in ("FDS", "FDNAMES", "PID"))
    if process != str(os.getpid()):
        return {}
    found = {name: _FIRST + number for number, name in enumerate(names.split(":")[: int(count)])}
    for fd in found.values():
        os.set_inheritable(fd, False)
    return found


class ServiceManager:
    """The process that started this one, if it follows the state of this one."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        """Connect now: this process gives up files and new connections later. Raises StartupError."""
        self._socket: socket.socket | None = None
        address = os.environ.get("NOTIFY_SOCKET", "")
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                self._socket.connect("\0" + address[1:] if address.startswith("@") else address)
            except OSError as error:
                raise StartupError(
                    "NOTIFY_SOCKET cannot be reached", "Start the worker as the main process of its unit."
                ) from error

    def notify(self, **variables: str) -> None:
        """Send `READY`, `STATUS`, `WATCHDOG` or another of sd_notify's variables."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is busy: the next beat is near
                self._socket.send("\n".join(f"{name}={value}" for name, value in variables.items()).encode())

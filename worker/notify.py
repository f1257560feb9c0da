"""State for systemd, over the socket that NOTIFY_SOCKET names (sd_notify(3)). Without systemd nobody listens."""

import contextlib
import os
import socket


class ServiceManager:
    """The process that started this one, if it follows the state of this one."""

    __slots__ = ("_address", "_socket")

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def notify(self, **variables: str) -> None:
        """Send `READY`, `STATUS`, `WATCHDOG` or another of sd_notify's variables."""
        if self._address:
            with contextlib.suppress(OSError):  # it restarts, or is busy: the next beat is near
                text = "\n".join(f"{name}={value}" for name, value in variables.items())
                self._socket.sendto(text.encode(), self._address)

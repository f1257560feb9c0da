"""The process of `cji probe`: two clocks and a listener.

The worker is ready while its newest answer, at most `STALE_S` old, is that it serves, and no end of the machine was
noticed. A metadata service that does not answer is logged and changes nothing: an outage must not take workers away.
"""

import asyncio
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cji_core.documents import decode
from cji_core.errors import StartupError
from cji_core.log import events_only, log
from cji_core.strict import StrictError
from cji_worker.ipc.status import MOST_BYTES, Status, ask
from cji_worker.probe.notice import Metadata, NoticeError
from cji_worker.probe.server import MAX_HEAD_BYTES, Server

ASK_S: Final = 2.0
LOOK_S: Final = 5.0
STALE_S: Final = 10.0
NOTICE: Final = "terminate"
"""File in the state folder: its existence starts the drain."""
_ANSWER_S: Final = 2.0
_BACKLOG: Final = 16


class Probe:
    """One probe. `listening` is set, with its port, once it answers."""

    def __init__(self, *, status_socket: str, host: str, port: int, state: Path, metadata: Metadata) -> None:
        """Raises StartupError for an address or a folder that cannot be used."""
        if not os.access(state, os.W_OK | os.X_OK):
            raise StartupError(
                f"The folder {state} cannot be written", "Let the unit make it: RuntimeDirectory=cji-probe."
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise StartupError(f"{host} port {port} cannot be used", "Choose another --port, as in Bicep's.") from error
        self._status_socket, self._metadata = status_socket, metadata
        self._notice = state / NOTICE
        self._serving_until = 0.0
        self._ending = self._notice.exists()  # a probe that was started again does not forget
        self.listening: asyncio.Event = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    def ready(self) -> bool:
        """Whether new connections may come to this machine."""
        return not self._ending and time.monotonic() < self._serving_until

    async def serve(self) -> None:
        """Serve until it is cancelled."""
        server = Server(self.ready)
        listener = await asyncio.start_server(server.accept, sock=self._socket, limit=MAX_HEAD_BYTES)
        self.listening.set()
        log("probe serves")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask())
                group.create_task(self._look())
        finally:
            listener.close()
            await server.close()

    async def _ask(self) -> None:
        while True:
            if await asyncio.to_thread(_serving, self._status_socket):
                self._serving_until = time.monotonic() + STALE_S
            else:
                self._serving_until = 0.0
            await asyncio.sleep(ASK_S)

    async def _look(self) -> None:
        failed = False
        while not self._ending:
            try:
                event = await asyncio.to_thread(self._metadata.look)
                failed = False
            except NoticeError as error:
                event = None
                if not failed:
                    log("scheduled events not read", reason=str(error))
                failed = True
            if event is not None:
                self._ending = True
                log("machine is to end")
                await asyncio.to_thread(self._notice.write_text, f"{event}\n")
            await asyncio.sleep(LOOK_S)


def _serving(path: str) -> bool:
    try:
        return decode(ask(path, "status", timeout=_ANSWER_S), Status, limit=MOST_BYTES).state == "serving"
    except (OSError, StrictError):
        return False


def run(*, status_socket: str, host: str, port: int, state: Path) -> None:
    """Serve until SIGINT. Raises StartupError."""
    events_only()
    probe = Probe(status_socket=status_socket, host=host, port=port, state=state, metadata=Metadata())
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(probe.serve())

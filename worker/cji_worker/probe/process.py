"""The process of `cji probe`: two clocks and a listener.

The worker is ready while its newest answer, at most `STALE_S` old, is that it serves, and no event of Azure's was
noticed for which the machine drains. A metadata service that does not answer is logged and changes nothing: an outage
must not take workers away. The body of 503 is why: `machine-ends`, `worker-away`, a Reason of the worker, or before it
starts a code of `cji_core.boot_codes`.

    file in the probe's folder    `terminate`: id of the event, and whether it is final; starts cji-drain.service
                                  `resume`: the event is gone and the machine is not; starts cji-resume.service
    file of cji-bundle.service    `code`: why the machine has no configuration yet
    file of cji-drain.service     `drained`: fleet process and worker have stopped
                                  `delivered`: so has everything in the trail that must leave the machine
"""

import asyncio
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cji_core.boot_codes import BootCode
from cji_core.documents import decode
from cji_core.errors import Reason, StartupError
from cji_core.log import events_only, log
from cji_core.strict import StrictError
from cji_worker.ipc.status import MOST_BYTES, Status, ask
from cji_worker.probe.notice import DELIVERED, DRAINED, Metadata, Notice, NoticeError
from cji_worker.probe.server import MAX_HEAD_BYTES, Server

ASK_S: Final = 2.0
LOOK_S: Final = 5.0
STALE_S: Final = 10.0
NOTICE: Final = "terminate"
"""File in the state folder: its existence starts the drain."""
RESUME: Final = "resume"
"""File in the state folder: its existence reboots a machine that drained for an event that did not come."""
GONE: Final = 3
"""Looks, one after the other, at which an event must be missing."""
_FINAL: Final = "final"
_ENDS: Final = "machine-ends"
_AWAY: Final = "worker-away"
_CODE_BYTES: Final = 64
_ANSWER_S: Final = 2.0
_BACKLOG: Final = 16


class Probe:
    """One probe. `listening` is set, with its port, once it answers."""

    def __init__(
        self, *, status_socket: str, host: str, port: int, state: Path, drain: Path, boot_code: Path, metadata: Metadata
    ) -> None:
        """`drain` is the folder of cji-drain.service, `boot_code` the file of cji-bundle.service.

        Raises StartupError if address or folder is unusable.
        """
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
        self._notice, self._resume, self._drain = state / NOTICE, state / RESUME, drain
        self._boot_code = boot_code
        self._serving_until, self._reason = 0.0, _AWAY
        self._ending = _read(self._notice)  # a probe that was started again does not forget
        self._approved, self._missed = "", 0
        self.listening: asyncio.Event = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    def unready(self) -> str | None:
        """Why no new connections may come to this machine; None if they may."""
        if self._ending is not None:
            return _ENDS
        return None if time.monotonic() < self._serving_until else self._reason

    async def serve(self) -> None:
        """Serve until it is cancelled."""
        server = Server(self.unready)
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
            reason = await asyncio.to_thread(_not_serving, self._status_socket, self._boot_code)
            self._serving_until = time.monotonic() + STALE_S if reason is None else 0.0
            self._reason = reason or _AWAY  # of an answer that grows old
            await asyncio.sleep(ASK_S)

    async def _look(self) -> None:
        failed = False
        while True:
            try:
                await asyncio.to_thread(self._looked)
                failed = False
            except NoticeError as error:
                if not failed:
                    log("scheduled events not read", reason=str(error))
                failed = True
            await asyncio.sleep(LOOK_S)

    def _looked(self) -> None:
        """One look at the events, and what follows from it. Raises NoticeError."""
        coming, listed = self._metadata.look()
        ending = self._ending
        if coming and (ending is None or (coming[0].final and not ending.final)):
            ending = self._ending = coming[0]
            _write(self._notice, f"{ending.event} {_FINAL if ending.final else 'interruption'}\n")
            log("machine is to end" if ending.final else "machine is to be interrupted")
        if ending is None:
            return
        ready = self._drain / (DELIVERED if ending.final else DRAINED)
        self._missed = 0 if ending.event in listed else self._missed + 1
        alone = any(each.event == ending.event and each.alone for each in coming)
        if alone and ending.event != self._approved and ready.exists():
            self._metadata.approve(ending.event)
            self._approved = ending.event
            log("scheduled event approved")
        elif self._missed >= GONE and not ending.final and ready.exists() and not self._resume.exists():
            _write(self._resume, f"{ending.event}\n")
            log("scheduled event is over, machine starts again")


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole: systemd and the next probe see all of it or none."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def _read(path: Path) -> Notice | None:
    """The notice in the file; a final one if the file is not understood."""
    if not path.exists():
        return None
    event, _, kind = path.read_text().strip().partition(" ")
    return Notice(event=event, final=kind != "interruption", alone=False)  # what is listed says that


def _not_serving(path: str, boot_code: Path) -> str | None:
    """Why the worker does not serve; None if it does."""
    try:
        status = decode(ask(path, "status", timeout=_ANSWER_S), Status, limit=MOST_BYTES)
    except (OSError, StrictError):
        return _read_code(boot_code)
    if status.state == "serving":
        return None
    return (Reason.DRAINING if status.state == "draining" else status.reason or Reason.NOT_READY).value


def _read_code(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return BootCode(file.read(_CODE_BYTES).strip().decode("ascii"))
    except (OSError, ValueError):
        return _AWAY


def run(*, status_socket: str, host: str, port: int, state: Path, drain: Path, boot_code: Path) -> None:
    """Serve until SIGINT. Raises StartupError."""
    events_only()
    probe = Probe(
        status_socket=status_socket,
        host=host,
        port=port,
        state=state,
        drain=drain,
        boot_code=boot_code,
        metadata=Metadata(),
    )
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(probe.serve())

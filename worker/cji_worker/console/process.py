"""The process of `cji console`: one loop that looks, serves, and sends to a collector."""

import asyncio
import os
import socket
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from cji_core.errors import StartupError
from cji_core.format.configuration.console import ConsoleConfig, OtlpSection, UnixAddress, address
from cji_core.log import events_only, log
from cji_core.trail import ChainError, Record
from cji_core.trail.trail import Position, after, last
from cji_worker.console.exposition import CONTENT_TYPE, exposition
from cji_worker.console.http import MAX_HEAD_BYTES, Document, Server
from cji_worker.console.observer import EVERY_S, Observer
from cji_worker.console.page import document
from cji_worker.console.spans import JobSpan, Spans
from cji_worker.console.telemetry import Telemetry
from cji_worker.console.view import Own, View

MAX_SPANS: Final = 4096
"""That wait for the collector; then the oldest are dropped."""
_BACKLOG: Final = 64

MOST_LINES: Final = 4096
"""Read in one step; a line has 80 KiB at most, and usually one or two."""


class Tail:
    """Follows the end of a growing trail across its segments: new lines, each verified to continue the one before.

    It begins after the last whole line that is there when it first reads. Not thread-safe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position: Position | None = None

    def read(self) -> list[Record]:
        """The lines that are new, at most `MOST_LINES` of them.

        Raises ChainError for lines that do not continue the trail, or OSError. After both it begins again at the end.
        """
        found: list[Record] = []
        try:
            if self._position is None:
                self._position = last(self._path)
            with closing(after(self._path, self._position)) as lines:
                for position, record in lines:
                    found.append(record)
                    self._position = position
                    if len(found) == MOST_LINES:
                        break
        except (ChainError, OSError):
            self._position = None
            raise
        return found


class Console:
    """One console. `ready` is set once it listens."""

    def __init__(self, config: ConsoleConfig) -> None:
        """Raises StartupError for an address that cannot be used."""
        self._config = config
        self._sockets = _listen(config)
        self._observer = Observer(config)
        self._view: View | None = None
        self._made: dict[str, tuple[View, Document]] = {}
        self._own = Own()
        self._waiting: list[JobSpan] = []
        self.ready = asyncio.Event()

    async def serve(self) -> None:
        """Serve until it is cancelled."""
        server = Server({"/": self._page, "/metrics": self._metrics})
        self._view = await asyncio.to_thread(self._observer.look)
        listeners = [
            await asyncio.start_server(server.accept, sock=each, limit=MAX_HEAD_BYTES) for each in self._sockets
        ]
        self.ready.set()
        log("console serves")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look())
                if self._config.otlp is not None:
                    group.create_task(self._send(self._config.otlp))
        finally:
            for each in listeners:
                each.close()
            await server.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._observer.own = self._own
            self._view = await asyncio.to_thread(self._observer.look)

    async def _send(self, config: OtlpSection) -> None:
        telemetry, spans = Telemetry(config), Spans()
        tail = None if config.trail is None else Tail(Path(config.trail))
        while True:
            if tail is not None:
                await asyncio.to_thread(self._follow, tail, spans)
            if taken := self._waiting[:]:
                if await asyncio.to_thread(telemetry.send_spans, taken):
                    self._waiting.clear()
                else:
                    self._failed("spans")
            if self._view is not None and not await asyncio.to_thread(telemetry.send_metrics, self._view):
                self._failed("metrics")
            await asyncio.sleep(config.interval_seconds)

    def _follow(self, tail: Tail, spans: Spans) -> None:
        """Read what is new in the trail; a trail that cannot be followed costs spans, nothing else."""
        try:
            while records := tail.read():
                self._waiting += [span for record in records if (span := spans.take(record)) is not None]
                if (over := len(self._waiting) - MAX_SPANS) > 0:
                    del self._waiting[:over]
                    self._own = replace(self._own, spans_dropped=self._own.spans_dropped + over)
        except (ChainError, OSError) as error:
            log("trail not followed", error=type(error).__name__)
            self._own = replace(self._own, trail_faults=self._own.trail_faults + 1)

    def _failed(self, what: str) -> None:
        log("not exported", what=what)
        self._own = replace(self._own, export_failures=self._own.export_failures + 1)

    def _page(self) -> Document:
        return self._of_view("/")

    def _metrics(self) -> Document:
        return self._of_view("/metrics")

    def _of_view(self, path: str) -> Document:
        """The document of the latest view, made once for it."""
        view = self._view
        assert view is not None  # noqa: S101 - it is set before anything listens
        made = self._made.get(path)
        if made is None or made[0] is not view:
            if path == "/":
                found = Document(content_type="text/html; charset=utf-8", body=document(view).encode())
            else:
                found = Document(content_type=CONTENT_TYPE, body=exposition(view))
            made = self._made[path] = view, found
        return made[1]


def run(config: ConsoleConfig) -> None:
    """Serve until SIGINT. Raises StartupError."""
    events_only()
    console = Console(config)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(console.serve())


def _listen(config: ConsoleConfig) -> list[socket.socket]:
    found: list[socket.socket] = []
    try:
        for text in config.addresses:
            where = address(text)
            if isinstance(where, UnixAddress):
                found.append(_unix_listener(Path(where.path)))
            else:
                family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
                found.append(socket.create_server((where.host, where.port), family=family, backlog=_BACKLOG))
    except OSError as error:
        for each in found:
            each.close()
        remedy = "Choose another address of listen, or end the program that has it."
        raise StartupError(f"listen: {text} cannot be used", remedy) from error
    return found


def _unix_listener(path: Path) -> socket.socket:
    """A socket for this user and its group. The one of a console that ended is replaced, one that answers is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        if path.is_socket() and probe.connect_ex(str(path)) != 0:
            path.unlink()
    before = os.umask(0o117)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener
    finally:
        os.umask(before)

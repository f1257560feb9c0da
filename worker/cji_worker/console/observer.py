"""Asks the worker for its status, reads what other processes left, and makes a view of both."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cji_core.documents import decode
from cji_core.format.configuration.console import ConsoleConfig
from cji_core.strict import StrictError
from cji_worker.console.history import History
from cji_worker.console.machine import MachineObserver
from cji_worker.console.states import Deliveries, certificate_until, reviews_in
from cji_worker.console.view import OPERATIONS, Destination, Own, Reviews, Silence, View
from cji_worker.fleet.metrics import read as read_fleet
from cji_worker.ipc.messages import JobCounts
from cji_worker.ipc.status import MOST_BYTES, UNKNOWN, Status, ask

EVERY_S: Final = 2.0
FILES_EVERY: Final = timedelta(seconds=30)
_ANSWER_S: Final = 2.0


class Observer:
    """One worker. `look` blocks for a few seconds at most."""

    def __init__(self, config: ConsoleConfig, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._config, self._clock = config, clock
        self._history, self._machine = History(), MachineObserver(config.disk)
        self._deliveries = None if config.delivery is None else Deliveries(Path(config.delivery))
        self._files_read: datetime | None = None
        self._certificate: datetime | None = None
        self._certificate_unreadable = False
        self._reviews: Reviews | None = None
        self._destinations: tuple[Destination, ...] = ()
        self.own = Own()
        """Set by the process before each look."""

    def look(self) -> View:
        """The view now."""
        status, silence = read_status(self._ask())
        now = self._clock()
        if status is not None:
            self._history.note(status, at=now)
        if self._files_read is None or not timedelta() <= now - self._files_read < FILES_EVERY:
            self._files_read = now
            self._read_files(status, now)
        return View(
            at=now,
            status=status,
            silence=silence,
            minutes=self._history.minutes(at=now),
            certificate_until=self._certificate,
            certificate_unreadable=self._certificate_unreadable,
            destinations=self._destinations,
            reviews=self._reviews,
            fleet=None if self._config.fleet is None else read_fleet(Path(self._config.fleet), now=now.timestamp()),
            machine=self._machine.look(),
            own=self.own,
        )

    def _ask(self) -> bytes:
        try:
            return ask(self._config.status_socket, "status", timeout=_ANSWER_S)
        except OSError:
            return b""

    def _read_files(self, status: Status | None, now: datetime) -> None:
        config = self._config
        if config.certificate is not None:
            try:
                self._certificate, self._certificate_unreadable = certificate_until(Path(config.certificate)), False
            except (OSError, ValueError):
                self._certificate, self._certificate_unreadable = None, True
        if config.reviews is not None:
            self._reviews = reviews_in(Path(config.reviews), days=config.review_days, now=now)
        if self._deliveries is not None:
            line = status.audit.line if status is not None and status.audit is not None else None
            self._destinations = self._deliveries.read(line, now=now)


def read_status(data: bytes) -> tuple[Status | None, Silence | None]:
    """The status in an answer, or why there is none: it may have an unknown operation, or a name twice."""
    if not data:
        return None, "no answer"
    if data == UNKNOWN:
        return None, "supervisor silent"
    try:
        found = decode(data, Status, limit=MOST_BYTES)
    except StrictError:
        return None, "not understood"
    jobs = found.jobs or JobCounts()
    operations = [each.operation for each in jobs.operations]
    lists = (
        operations,
        [each.condition for each in found.host],
        [each.name for each in found.processes],
        [each.reason for each in jobs.refused],
        [each.reason for each in jobs.ended],
    )
    if not set(operations) <= set(OPERATIONS) or any(len(set(names)) != len(names) for names in lists):
        return None, "not understood"
    return found, None

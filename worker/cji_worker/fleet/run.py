"""The fleet process: a slot for each cell of its worker, the attempts that it left, metrics, and its end.

At its end it takes no new ticket and no new task, lets attempts and tasks finish for `drain_seconds`, and gives the
other tickets back.
"""

import fcntl
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from cji_core.azure_client import Identity
from cji_core.errors import StartupError
from cji_core.log import events_only, log
from cji_core.pool.errors import StoreError
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_worker.fleet.attempt import Containers, settle
from cji_worker.fleet.front import Front
from cji_worker.fleet.metrics import EVERY_S, Metrics, Outcome, write
from cji_worker.fleet.records import Records, unwritable
from cji_worker.fleet.settings import Settings
from cji_worker.fleet.slot import Slot
from cji_worker.fleet.tasks.server import TaskServer, listen

_LOCK: Final = "fleet.lock"
_AWAY_S: Final = 2.0
"""Before the storage is looked for again; doubled each time, up to the length of a lease."""
_MOST_DOUBLINGS: Final = 10
_END_S: Final = 30.0
_SETTLE_S: Final = 30.0
_RUNS_PER_CELL: Final = 2  # one has a cell, another reads or publishes


class Fleet:
    """Runs until `stop`."""

    def __init__(self, settings: Settings, *, identity: Identity) -> None:
        """`identity` makes the credential of a managed identity. Raises StartupError."""
        self._ended = ExitStack()
        self._ended.callback(os.close, _alone(Path(settings.fleet.state)))  # before anything is taken or removed
        self._settings, self._identity = settings, identity
        self._credential = identity(settings.fleet.client_id)
        self._stopping = threading.Event()
        self._outcomes: Counter[Outcome] = Counter()
        self._records = Records(Path(settings.fleet.state))
        self._finishes = Records(Path(settings.fleet.state), "finishes")
        self._chance = random.random
        self._slots: list[Slot] = []
        engine = settings.fleet.tasks_socket
        self._engine = None if engine is None else listen(Path(engine))
        self._tasks: TaskServer | None = None

    def stop(self) -> None:
        """Drain; from any thread, or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Serve until `stop`."""
        events_only()
        fleet = self._settings.fleet
        with self._ended, Front(fleet.socket, count=self._settings.fronts) as front:
            self._keep_settled(lambda: self._settle(front))
            slots = self._slots = [self._slot(front) for _ in range(self._settings.cells)]
            # daemons: a service that does not answer cannot hold up the end of this process
            threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in slots]
            threads.append(threading.Thread(target=self._watch, daemon=True))
            if self._engine is not None:
                self._serve_engine(self._engine, front)
            log("fleet serves", call=len(slots))
            for thread in threads:
                thread.start()
            self._stopping.wait()
            log("draining")
            self._drain(threads, fleet.drain_seconds)
            for slot in slots:
                slot.stop()
            _join(threads, _END_S)

    def _drain(self, threads: list[threading.Thread], seconds: float) -> None:
        until = time.monotonic() + seconds
        if self._tasks is not None:
            self._tasks.close()
        _join(threads, seconds)
        if self._tasks is not None:
            self._tasks.join(until - time.monotonic())

    def _settle(self, front: Front) -> None:
        with closing(self._blobs(self._settings.fleet.results)) as results:
            settle(self._records, running=self._records, front=front, results=results)

    def _keep_settled(self, step: Callable[[], None]) -> None:
        """Take this step now, and every EVERY_S, whatever it raises.

        Returns after the first time, or before it if that takes long.
        """
        first = threading.Event()

        def repeat() -> None:
            while not self._stopping.is_set():
                try:
                    step()
                except Exception as fault:  # noqa: BLE001 - receipts would stay unsettled in silence
                    log("fault", error=type(fault).__name__)
                first.set()
                self._stopping.wait(EVERY_S)
            first.set()

        threading.Thread(target=repeat, daemon=True).start()
        first.wait(_SETTLE_S)

    def _serve(self, slot: Slot) -> None:
        fleet, away = self._settings.fleet, 0
        while not self._stopping.is_set():
            try:
                took = slot.step()
            except StoreError as error:
                log("storage is away", error=type(error).__name__, what=str(error))
                self._stopping.wait(min(_AWAY_S * 2**away, fleet.lease_seconds) * (1 - self._chance() / 2))
                away = min(away + 1, _MOST_DOUBLINGS)
                continue
            except Exception as fault:  # noqa: BLE001 - a slot that ends would halve the worker in silence
                log("fault", error=type(fault).__name__)
                self._stopping.wait(_AWAY_S)
                continue
            away = 0
            if not took:
                self._stopping.wait(fleet.poll_seconds)

    def _serve_engine(self, listener: socket.socket, front: Front) -> None:
        # here, because numpy may start threads, which must be confined as this one
        from cji_worker.fleet.tasks.attempt import Stores  # noqa: PLC0415
        from cji_worker.fleet.tasks.finishes import Finishes  # noqa: PLC0415
        from cji_worker.fleet.tasks.service import TaskService  # noqa: PLC0415

        fleet = self._settings.fleet

        def stores() -> Stores:
            return Stores(
                jobs=self._blobs(fleet.jobs), results=self._blobs(fleet.results), shuffle=self._blobs(fleet.shuffle)
            )

        finishes = Finishes(front, self._finishes, running=self._records, results=lambda: self._blobs(fleet.results))
        self._keep_settled(finishes.settle)
        self._tasks = TaskServer(
            listener,
            TaskService(front, finishes, stores=stores).answer,
            runs=_RUNS_PER_CELL * self._settings.cells,
            cell_memory_mib=self._settings.cell_memory_mib,
        )
        self._tasks.start()

    def _watch(self) -> None:
        fleet = self._settings.fleet
        queue, poison = self._queue(fleet.queue), self._queue(fleet.poison_queue)
        while not self._stopping.is_set():
            try:
                state, aside = queue.state(), poison.state()
                found = Metrics(
                    at=int(time.time()),
                    queue_length=state.length,
                    oldest_seconds=state.oldest_seconds,
                    poison_length=aside.length,
                    running=sum(slot.busy for slot in self._slots),
                    outcomes=dict(self._outcomes),
                )
                write(Path(fleet.state), found)
            except (StoreError, OSError) as error:
                log("no metrics", error=type(error).__name__)
            self._stopping.wait(EVERY_S)

    def _slot(self, front: Front) -> Slot:
        fleet = self._settings.fleet
        return Slot(
            front=front,
            at=Containers(
                jobs=self._blobs(fleet.jobs), results=self._blobs(fleet.results), inputs=self._blobs(fleet.jobs)
            ),
            queue=self._queue(fleet.queue),
            poison=self._queue(fleet.poison_queue),
            lease_queue=self._queue(fleet.queue),
            lease_jobs=self._blobs(fleet.jobs),
            records=self._records,
            lease_seconds=fleet.lease_seconds,
            outcomes=self._outcomes,
        )

    def _blobs(self, container: str) -> Blobs:
        fleet = self._settings.fleet
        return Blobs(fleet.blob_url, container, credential=self._credential, ca_file=fleet.ca_file)

    def _queue(self, name: str) -> Queue:
        fleet = self._settings.fleet
        return Queue(fleet.queue_url, name, credential=self._credential, ca_file=fleet.ca_file)


def _join(threads: list[threading.Thread], seconds: float) -> None:
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _alone(state: Path) -> int:
    """A descriptor that holds the lock of the state folder. Raises StartupError if another process holds it."""
    try:
        fd = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(state) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise StartupError(f"Another process works with {state}", "Stop it first.") from error
    return fd

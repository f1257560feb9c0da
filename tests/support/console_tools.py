"""A worker as its console sees it: documents of the real status code, behind the real status socket."""

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_core.errors import Reason
from cji_core.format.configuration.console import ConsoleConfig
from cji_core.format.configuration.worker import Config
from cji_simulator.ports import free_port
from cji_worker.console.machine import Disk, Machine
from cji_worker.console.process import Console
from cji_worker.console.view import Destination, Minute, Reviews, View
from cji_worker.control.door import Door
from cji_worker.control.status import ProcessStatus, Reports, snapshot
from cji_worker.fleet.metrics import Metrics
from cji_worker.host import PROFILE, HostReport
from cji_worker.ipc.messages import (
    DURATIONS_S,
    DeliveryReport,
    Ends,
    FrontReport,
    JobCounts,
    KeyholderReport,
    KeyReport,
    MissingKey,
    OperationCounts,
    ProcessName,
    ReasonCount,
)
from cji_worker.ipc.status import Status
from tests.support.worker_configs import WORKER_CONFIG

NOW: Final = datetime(2026, 11, 27, 12, 0, 30, tzinfo=UTC)
CONFIG: Final = msgspec.convert(msgspec.toml.decode(WORKER_CONFIG), Config)
KEK: Final = CONFIG.keys[0].kek_id
HOST: Final = HostReport(not_held=(), profile=PROFILE)
_NAMES: Final[tuple[ProcessName, ...]] = ("front", "keyholder", "zygote", "control")
PROCESSES: Final = [ProcessStatus(name=name, pid=pid, age=0.2, silent=False) for pid, name in enumerate(_NAMES, 4711)]
_DAY: Final = timedelta(days=1)


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def counts(operation: str, completed: int, *, ended: int = 0, slow: int = 0) -> OperationCounts:
    """Jobs of half a second, and slow ones of two hours."""
    classes = [0] * (len(DURATIONS_S) + 1)
    classes[1], classes[-1] = completed, slow
    duration = 500 * completed + 7_200_000 * slow
    return OperationCounts(operation=operation, ended=ended, completed=tuple(classes), duration_ms=duration)


JOBS: Final = JobCounts(
    operations=(counts("deidentify", 40, ended=2), counts("link", 7, slow=1), counts("several", 3)),
    refused=(
        ReasonCount(reason=Reason.REPLAYED, count=1),
        ReasonCount(reason=Reason.POLICY_DENIED, count=12),
        ReasonCount(reason=Reason.OVERLOADED, count=5),
    ),
    ended=(ReasonCount(reason=Reason.DEADLINE, count=2),),
    rows_in=1_200_000,
    rows_out=1_150_000,
    bytes_in=3_400_000_000,
    bytes_out=2_900_000_000,
)
KEYHOLDER: Final = KeyholderReport(
    reason=None,
    condition=None,
    unmet=(),
    tpm_clock=True,
    keys=(KeyReport(kek_id=KEK, until=seconds(NOW + timedelta(minutes=47))),),
    keys_missing=(),
    keys_held=1,
    ends=Ends(
        evidence=seconds(NOW + timedelta(minutes=47)),
        token=seconds(NOW + timedelta(hours=7)),
        advisories=seconds(NOW + 300 * _DAY),
        acceptance=seconds(NOW + 12 * _DAY),
        policy=seconds(NOW + 90 * _DAY),
    ),
    jobs=JOBS,
    cells_warm=1,
    cells_busy=1,
    jobs_waiting=3,
    bundle=None,
    policy_sha384=bytes(48),
    keys_opened=53,
    audit_writable=True,
    audit_line=4711,
    audit_hash=bytes(48),
    audit_anchor=17,
    deliveries=(DeliveryReport(destination="sentinel", line=4711, waits_s=0, overdue=False),),
)
FRONT: Final = FrontReport(
    serving=True,
    condition=None,
    jobs=1,
    crl_until=seconds(NOW + 6 * _DAY),
    authorities_until=seconds(NOW + 400 * _DAY),
    revoked=2,
)


def encoded(
    *,
    keyholder: KeyholderReport | None = KEYHOLDER,
    front: FrontReport | None = FRONT,
    host: HostReport = HOST,
    draining: bool = False,
    config: Config = CONFIG,
) -> bytes:
    """The status document of these reports."""
    reports = Reports(
        started=NOW - _DAY,
        count=1,
        fronts={} if front is None else {"front": front},
        keyholder=keyholder,
        draining=draining,
    )
    return snapshot(config, reports, host, PROCESSES, reloading=False, now=NOW)


def status(**changes: Any) -> Status:
    """The status of a worker that serves, with changes of `encoded`."""
    return msgspec.json.decode(encoded(**changes), type=Status)


def jobs(**changes: Any) -> KeyholderReport:
    """A keyholder with other counts of jobs."""
    return msgspec.structs.replace(KEYHOLDER, jobs=msgspec.structs.replace(JOBS, **changes))


NOT_SERVING: Final = msgspec.structs.replace(FRONT, serving=False)
NO_KEY: Final = msgspec.structs.replace(
    KEYHOLDER,
    reason=Reason.KEY_RELEASE_DENIED,
    keys=(),
    keys_held=0,
    keys_missing=(MissingKey(kek_id=KEK, reason=Reason.KEY_RELEASE_DENIED),),
)


def minutes(busy: int = 60) -> tuple[Minute, ...]:
    """An hour with `busy` minutes of jobs."""
    last = int(NOW.timestamp() // 60)
    return tuple(
        Minute(
            number=last - i,
            completed=(7 * i) % 5 + 1,
            ended=i % 9 == 0,
            refused=2 * (i % 13 == 0),
            rows_out=900 * i,
            bytes=10**7,
        )
        for i in reversed(range(busy))
    )


VIEW: Final = View(
    at=NOW,
    status=status(),
    minutes=minutes(),
    certificate_until=NOW + 15 * _DAY,
    destinations=(
        Destination(kind="sink", name="sentinel", line=4711, waiting_since=None),
        Destination(kind="log", name="log", line=4200, waiting_since=NOW - timedelta(minutes=12)),
    ),
    reviews=Reviews(last_signed="2026-W46", due=NOW + 3 * _DAY),
    machine=Machine(
        started=(NOW - _DAY).timestamp(),
        restarts={"door": 1, "worker": 0},
        disk=Disk(free=40 * 10**9, size=64 * 10**9),
    ),
    fleet=Metrics(
        at=0, queue_length=7, oldest_seconds=30, poison_length=1, running=2, outcomes={"published": 5, "failed": 1}
    ),
)
SICK: Final = replace(
    VIEW,
    status=status(
        keyholder=msgspec.structs.replace(NO_KEY, audit_writable=False, unmet=("swap",)),
        front=NOT_SERVING,
        host=HostReport(not_held=("swap",), profile=PROFILE),
    ),
    certificate_until=NOW - 2 * _DAY,
    reviews=Reviews(last_signed=None, due=NOW - 9 * _DAY),
    destinations=(Destination(kind="sink", name="event-hub", line=None, waiting_since=NOW - timedelta(hours=2)),),
)
SILENT: Final = View(at=NOW, silence="no answer")


class StatusSocket:
    """The real status socket, served by a thread; `document` is what it answers."""

    def __init__(self, path: Path, document: bytes) -> None:
        self.path, self.document = path, document
        self._door = Door(path, status=lambda: self.document + b"\n")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the worker: nothing answers any more."""
        self._ended.set()
        self._thread.join(60)
        self._door.close()

    def _serve(self) -> None:
        now = 0.0
        while not self._ended.wait(0.005):
            now += 0.005
            self._door.beat(now)
            for fd in self._door.descriptors():
                self._door.ready(fd, now)


@contextmanager
def status_socket(folder: Path, document: bytes | None = None) -> Iterator[StatusSocket]:
    """A worker that answers, in a folder of its own."""
    folder.chmod(0o700)
    opened = StatusSocket(folder / "status.sock", encoded() if document is None else document)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def running(status: Path, **settings: Any) -> Iterator[str]:
    """The address of a console's page; the console runs in a thread of its own."""
    port = free_port()
    config = ConsoleConfig(status_socket=str(status), listen=(f"127.0.0.1:{port}",), **settings)
    with in_a_thread(Console(config)):
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def in_a_thread(console: Console) -> Iterator[None]:
    """Run a console in a loop of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    task = loop.create_task(console.serve())

    async def serve() -> None:
        await console.ready.wait()
        ready.set()
        with suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        loop.close()


def get(url: str) -> str:
    """What a console answers."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def over_unix(path: Path, request: bytes) -> bytes:
    """All that comes back on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))

"""The storage of the pool ledger: one thread that reads and creates its blobs, so that the main thread never waits.

The thread allocates outside the secret heap, and handles names, digests and proofs alone: entries are made and checked
in the main thread (`pool_exchanges`). There is no fallback. A ledger that is away or slow is `Fault.AWAY`; while it is
away the worker is not ready, and a blob is asked for until it answers.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final, Protocol

from cji_attestation import AttestationError, Trust
from cji_attestation.bundle.head import MAX_HEAD
from cji_core.errors import StartupError
from cji_core.format.configuration.fleet import PoolLedgerSection
from cji_core.log import log
from cji_core.pool import names
from cji_core.pool.entries import ATTEMPT_BYTES
from cji_core.pool.errors import BlobAbsentError, BlobTooLargeError, StoreError
from cji_core.pool.one_end import Answer
from cji_worker.keyholder.pool_days import Allowance, PoolDays

CAPACITY: Final = 256
"""Operations that wait."""
PROBE: Final = "probe"
"""The name of a blob that is not there: any answer about it shows that the pool ledger is."""
MOST_FLOORS: Final = 16
"""Entries of one operation."""
PROBE_S: Final = 5.0
"""Between two probes while it is away."""


class PoolLedgerBlobs(Protocol):
    """The part of `cji_core.pool.store.Blobs` that the pool ledger needs."""

    @property
    def date(self) -> datetime | None:
        """The time of the service's last answer, by its own clock."""

    def create(self, name: str, data: bytes) -> bool:
        """Create if absent; whether it was."""

    def read(self, name: str, *, most: int) -> bytes:
        """A whole blob."""


@dataclass(frozen=True, slots=True)
class ReadBlob:
    """Read this blob of `most` bytes."""

    name: str
    most: int


@dataclass(frozen=True, slots=True)
class CreateBlob:
    """Create this blob, if it is absent."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class TakeNumber:
    """Count this job among those of the day that the ledger's own clock has."""

    allowance: Allowance
    job_id: bytes


@dataclass(frozen=True, slots=True)
class ReadFloors:
    """Read the floors from this number on, `MOST_FLOORS` at most."""

    first: int


@dataclass(frozen=True, slots=True)
class FloorEntries:
    """The entries that are there; `is_end` if none follows. One that is too large is empty."""

    entries: tuple[bytes, ...]
    is_end: bool


class Fault(Enum):
    """An operation without an answer."""

    AWAY = auto()
    FULL = auto()
    """Too many wait."""


Operation = ReadBlob | CreateBlob | TakeNumber | ReadFloors
Outcome = bytes | Answer | FloorEntries | Fault
Reply = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    operation: Operation
    until: float
    reply: Reply


class PoolLedger:
    """Performs operations for one worker, one after another."""

    def __init__(
        self,
        open_blobs: Callable[[], PoolLedgerBlobs],
        *,
        open_floors: Callable[[], PoolLedgerBlobs] | None = None,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Both `open_…` are called in the ledger's thread. `seconds` is the longest time that an operation waits."""
        self._open, self._seconds, self._clock = open_blobs, seconds, clock
        self._open_floors = open_floors
        self._blobs: PoolLedgerBlobs | None = None
        self._floors: PoolLedgerBlobs | None = None
        self._days = PoolDays()
        self._waiting: queue.Queue[_Waiting] = queue.Queue(CAPACITY)
        self.away = False
        """Whether the ledger did not answer when it was asked last; for any thread to read."""

    def start(self) -> None:
        """Begin, in a thread."""
        threading.Thread(target=self._run, name="ledger", daemon=True).start()

    def ask(self, operation: Operation, reply: Reply) -> None:
        """Have it performed; `reply` is called in the ledger's thread, or at once if too many wait."""
        try:
            self._waiting.put_nowait(_Waiting(operation, self._clock() + self._seconds, reply))
        except queue.Full:
            reply(Fault.FULL)

    def _run(self) -> None:
        self.probe()  # before the first operation, because Microsoft's clients take long to import
        while True:
            try:
                waiting = self._waiting.get(timeout=PROBE_S if self.away else None)
            except queue.Empty:
                self.probe()
            else:
                self.step(waiting)

    def probe(self) -> None:
        """Find out whether the ledger is there. Nothing is written."""
        try:
            self._ledger().read(PROBE, most=ATTEMPT_BYTES)
        except BlobAbsentError:
            self.away = False
        except Exception as error:  # noqa: BLE001 - as for `step`
            log("ledger unavailable", error=type(error).__name__)
            self.away = True

    def step(self, waiting: _Waiting) -> None:
        """Answer one operation. The first that the ledger did not decide is followed by a probe."""
        try:
            outcome: Outcome = Fault.AWAY
            if self._clock() <= waiting.until:
                outcome = self._perform(waiting.operation)
        except (StoreError, AttestationError, StartupError) as error:
            log("ledger unavailable", error=type(error).__name__)
        except Exception as fault:  # noqa: BLE001 - a thread that ends would leave every later one without an answer
            log("fault", error=type(fault).__name__)
        waiting.reply(outcome)
        if outcome is not Fault.AWAY:
            self.away = False
        elif not self.away:
            self.probe()

    def _ledger(self) -> PoolLedgerBlobs:
        self._blobs = self._blobs or self._open()
        return self._blobs

    def _perform(self, operation: Operation) -> Outcome:
        blobs = self._ledger()
        match operation:
            case ReadBlob(name, most):
                try:
                    return blobs.read(name, most=most)
                except BlobAbsentError:
                    return Answer.ABSENT
                except BlobTooLargeError:
                    return b""  # no entry
            case CreateBlob(name, data):
                return Answer.CREATED if blobs.create(name, data) else Answer.EXISTS
            case TakeNumber(allowance, job_id):
                return Answer.COUNTED if self._take(blobs, allowance, job_id) else Answer.DENIED
            case ReadFloors(first):
                return self._floors_from(first)

    def _floors_from(self, first: int) -> FloorEntries:
        if self._open_floors is None:
            raise StoreError("no container of floors is configured")
        self._floors = self._floors or self._open_floors()
        entries: list[bytes] = []
        for number in range(first, first + MOST_FLOORS):
            try:
                entries.append(self._floors.read(names.floor(number), most=MAX_HEAD))
            except BlobTooLargeError:
                entries.append(b"")
            except BlobAbsentError:
                return FloorEntries(tuple(entries), is_end=True)
        return FloorEntries(tuple(entries), is_end=False)

    def _take(self, blobs: PoolLedgerBlobs, allowance: Allowance, job_id: bytes) -> bool:
        if blobs.date is None:  # an answer came before: that about the job's first entry
            raise StoreError("the service does not state its time")
        return self._days.take(blobs, allowance, blobs.date.date(), job_id)


def open_pool_ledger(section: PoolLedgerSection, trust: Trust, container: str) -> PoolLedgerBlobs:
    """A container of a configuration, with the machine's identity. Raises StartupError, AttestationError."""
    from cji_attestation.release.vault import Vault  # noqa: PLC0415 - Microsoft's clients take long to import
    from cji_core.audiences import STORAGE  # noqa: PLC0415
    from cji_core.pool.store import Blobs  # noqa: PLC0415

    credential = Vault(trust=trust, client_id=section.client_id).credential(STORAGE)
    return Blobs(section.blob_url, container, credential=credential, ca_file=section.ca_file, seconds=section.seconds)

"""The pool ledger: a blob for each job id, created by the worker that first admits it.

    the pool has the job as                        by reference     by a connection of the submitter's
    unknown                                        may begin        may begin
    another header                                 REPLAYED         REPLAYED
    this header, by reference                      may begin        ALREADY_EXISTS
    this header, by a connection to this worker    ALREADY_EXISTS   this worker's replay ledger decides
    this header, by a connection to another one    ALREADY_EXISTS   ALREADY_EXISTS

A job by reference may have several attempts on several workers: whichever publishes its receipt first has done it. Each
worker's replay ledger is checked as well, before and after. A job that is unknown counts among those of its day, see
`pool_days`; if its submitter and agency have none left it is denied, and stays unknown.

One thread asks, the main thread never waits. It allocates outside the secret heap, and handles names and digests alone.
A pool ledger that is away, slow, or has something else in place of an entry means LEDGER_UNAVAILABLE: there is no
fallback. While it is away the worker is not ready, and it is asked for a blob until it answers.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from cji_attestation import AttestationError, Trust
from cji_core.digests import Hex32, Hex96
from cji_core.documents import decode
from cji_core.errors import Denied, DeniedBy, Reason, Refusal, Stage, StartupError
from cji_core.format.configuration.fleet import PoolLedgerSection
from cji_core.format.job import Header
from cji_core.log import log
from cji_core.pool.errors import BlobAbsentError, StoreError
from cji_worker.ipc.messages import Admit
from cji_worker.keyholder.pool_days import Allowance, PoolDays

CAPACITY: Final = 128
"""Claims that wait."""
PROBE: Final = "probe"
"""The name of a blob that is not there: any answer about it shows that the pool ledger is."""
PROBE_S: Final = 5.0
"""Between two probes while it is away."""
_ENTRY_BYTES: Final = 1024


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job id: the header that uses it, the worker that admitted it first, and the name of that attempt."""

    header_sha384: Hex96
    worker: Annotated[str, Meta(min_length=1, max_length=256)]
    attempt: Hex32 | None
    """None for a job by a connection of its submitter's."""


class PoolLedgerBlobs(Protocol):
    """The part of `cji_core.pool.store.Blobs` that the pool ledger needs."""

    def create(self, name: str, data: bytes) -> bool:
        """Create if absent; whether it was."""

    def read(self, name: str, *, most: int) -> bytes:
        """A whole blob."""


Answer = Callable[[Refusal | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    job_id: bytes
    entry: Entry
    allowance: Allowance
    answer: Answer
    until: float


class PoolLedger:
    """Claims job ids for one worker."""

    def __init__(
        self,
        open_blobs: Callable[[], PoolLedgerBlobs],
        *,
        worker: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_blobs` is called in the ledger's thread. `seconds` is the longest time that a claim waits its turn."""
        self._open, self._worker, self._seconds, self._clock = open_blobs, worker, seconds, clock
        self._blobs: PoolLedgerBlobs | None = None
        self._days = PoolDays()
        self._waiting: queue.Queue[_Claim] = queue.Queue(CAPACITY)
        self.away = False
        """Whether the ledger did not answer when it was asked last; for any thread to read."""

    def start(self) -> None:
        """Begin to ask, in a thread."""
        threading.Thread(target=self._run, name="ledger", daemon=True).start()

    def claim(
        self, job_id: bytes, *, header_sha384: bytes, attempt: bytes | None, allowance: Allowance, answer: Answer
    ) -> None:
        """Ask whether the job may begin; `answer` is called in the ledger's thread, or at once if too many wait."""
        entry = Entry(
            header_sha384=header_sha384.hex(), worker=self._worker, attempt=None if attempt is None else attempt.hex()
        )
        until = self._clock() + self._seconds
        try:
            self._waiting.put_nowait(
                _Claim(job_id=job_id, entry=entry, allowance=allowance, answer=answer, until=until)
            )
        except queue.Full:
            answer(Refusal(Reason.OVERLOADED, stage=Stage.ADMIT))

    def _run(self) -> None:
        self.probe()  # before the first claim, because Microsoft's clients take long to import
        while True:
            try:
                claim = self._waiting.get(timeout=PROBE_S if self.away else None)
            except queue.Empty:
                self.probe()
            else:
                self.step(claim)

    def probe(self) -> None:
        """Find out whether the ledger is there. Nothing is written."""
        try:
            blobs = self._blobs = self._blobs or self._open()
            blobs.read(PROBE, most=_ENTRY_BYTES)
        except BlobAbsentError:
            self.away = False
        except Exception as error:  # noqa: BLE001 - as for `step`
            log("ledger unavailable", error=type(error).__name__)
            self.away = True

    def step(self, claim: _Claim) -> None:
        """Answer one claim. The first that the ledger did not decide is followed by a probe."""
        try:
            refusal = self._decided(claim)
        except Exception as fault:  # noqa: BLE001 - a thread that ends would leave every later claim without an answer
            log("fault", error=type(fault).__name__)
            refusal = Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.ADMIT)
        claim.answer(refusal)
        if refusal is None or refusal.reason is not Reason.LEDGER_UNAVAILABLE:
            self.away = False
        elif not self.away:
            self.probe()

    def _decided(self, claim: _Claim) -> Refusal | None:
        if self._clock() > claim.until:
            return Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.ADMIT)
        name = claim.job_id.hex()
        try:
            blobs = self._blobs = self._blobs or self._open()
            found = _entry(blobs, name)
            if found is None and not self._days.take(blobs, claim.allowance, claim.job_id):
                return Denied(DeniedBy.JOBS_PER_DAY)
            if found is None and blobs.create(name, msgspec.json.encode(claim.entry)):
                return None
            found = found or _entry(blobs, name)
        except (StoreError, AttestationError, StartupError, ValueError) as error:  # StrictError is a ValueError
            log("ledger unavailable", error=type(error).__name__)
            return Refusal(Reason.LEDGER_UNAVAILABLE, stage=Stage.ADMIT)
        reason = Reason.LEDGER_UNAVAILABLE if found is None else decide(found, claim.entry)
        return None if reason is None else Refusal(reason, stage=Stage.ADMIT)


def open_pool_ledger(section: PoolLedgerSection, trust: Trust) -> PoolLedgerBlobs:
    """The container of a configuration, with the machine's identity. Raises StartupError, AttestationError."""
    from cji_attestation.release.vault import Vault  # noqa: PLC0415 - Microsoft's clients take long to import
    from cji_core.audiences import STORAGE  # noqa: PLC0415
    from cji_core.pool.store import Blobs  # noqa: PLC0415

    credential = Vault(trust=trust, client_id=section.client_id).credential(STORAGE)
    return Blobs(
        section.blob_url, section.container, credential=credential, ca_file=section.ca_file, seconds=section.seconds
    )


def _entry(blobs: PoolLedgerBlobs, name: str) -> Entry | None:
    try:
        return decode(blobs.read(name, most=_ENTRY_BYTES), Entry, limit=_ENTRY_BYTES)
    except BlobAbsentError:
        return None


def decide(found: Entry, claim: Entry) -> Reason | None:
    """Why the claim is refused by the entry that is there; None if the job may begin."""
    if found.header_sha384 != claim.header_sha384:
        return Reason.REPLAYED
    if (found.attempt is None) is not (claim.attempt is None):
        return Reason.ALREADY_EXISTS
    if claim.attempt is None and found.worker != claim.worker:
        return Reason.ALREADY_EXISTS
    return None


class PoolClaims:
    """By call number. `answered` is called once for each job that was not removed before, in the main thread.

    An answer counts for the claim that asked for it, and for no later one of the same number.
    """

    def __init__(self, pool: PoolLedger, answered: Callable[[Admit, Header, Refusal | None], None]) -> None:
        self._pool, self._answered = pool, answered
        self._waiting: dict[int, tuple[Admit, Header]] = {}

    def __contains__(self, call: int) -> bool:
        return call in self._waiting

    def requests(self, job_id: bytes) -> list[Admit]:
        """The requests for this job that wait."""
        return [request for request, header in self._waiting.values() if header.job_id == job_id]

    def claim(self, request: Admit, header: Header, allowance: Allowance) -> None:
        """Ask the pool ledger, without waiting."""
        loop, claimed = asyncio.get_running_loop(), (request, header)
        self._waiting[request.call] = claimed

        def answer(refusal: Refusal | None) -> None:
            loop.call_soon_threadsafe(self._answer, claimed, refusal)

        self._pool.claim(
            header.job_id, header_sha384=header.sha384, attempt=request.attempt, allowance=allowance, answer=answer
        )

    def remove(self, call: int) -> tuple[Admit, Header] | None:
        """Forget a job whose caller left; None if it does not wait here."""
        return self._waiting.pop(call, None)

    def _answer(self, claimed: tuple[Admit, Header], refusal: Refusal | None) -> None:
        """Pass on the answer to this very claim: a call that was aborted may have come again with another job."""
        request, header = claimed
        if self._waiting.get(request.call) is claimed:
            del self._waiting[request.call]
            self._answered(request, header, refusal)

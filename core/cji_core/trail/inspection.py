"""The rules of a trail beyond its chain, examined line by line by whoever audits it.

    worker       a start and what follows it are of one worker
    receipt_key  one start of a worker has one receipt key: of its evidence, its checkpoints and its receipts
    checkpoint   it is of all lines before it, of this worker's trail, and signed by a key that the auditor has
    event        a job is admitted, then completed or ended, once; an anchor is higher than the one before
    receipt      it is of its event, and continues the sequence of receipts
    hold         it is placed once, on lines that are there, and released once; no line under it is removed
    pruned       lines are removed a year after the last of them was written
    time         a clock that went back is noted: an operator may have set it, and the trail stays in its order

Every fault but the last is a ChainError at its line. What these rules rest on, whoever recomputes the whole chain can
write as well; only the signature of a checkpoint, or one that was kept elsewhere (`cji_core.trail.held`), reveals that.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.trail.chain import GENESIS, ChainError, Head, Record
from cji_core.trail.checkpoint import CheckpointError, origin_of, parse_checkpoint
from cji_core.trail.compact import ReceiptError, key_id_unverified
from cji_core.trail.events import Attested, Event, JobAdmitted, JobCompleted, JobEnded
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.pruned import RETENTION, Pruned
from cji_core.trail.receipts import FIRST_PREVIOUS, claims_unverified, receipt_sha384
from cji_core.trail.worker_events import (
    HoldPlaced,
    HoldReleased,
    TailRecovered,
    TrailAnchored,
    TrailCheckpoint,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    WorkerStarted,
)

MAX_RUNNING: Final = 100_000
MAX_HOLDS: Final = 1_000
MAX_STEPS_BACK: Final = 100
_BETWEEN_STARTS: Final = (
    HoldPlaced,
    HoldReleased,
    TailRecovered,
    TrailAnchored,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    WorkerStarted,
)
OF_RECEIPT: Final = ("job_id", "header_sha384", "submitter", "requesting_ori", "purpose_code", "volumes")

CheckpointKeys = Mapping[str, ec.EllipticCurvePublicKey]
"""By thumbprint of the receipt key: the P-384 key that signs its checkpoints."""


class StepBack(msgspec.Struct, frozen=True, kw_only=True):
    """The clock of this line is earlier than that of the line before."""

    line: int
    time: str
    before: str


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold in force: its lines, and the line that placed it. `last` is None if it has all later ones too."""

    first: int
    last: int | None
    line: int
    time: str
    operator_id: str

    def covers(self, first: int, last: int) -> bool:
        """Whether any of these lines is under it."""
        return self.first <= last and (self.last is None or first <= self.last)


class State(msgspec.Struct, kw_only=True):
    """All that the next lines are compared with."""

    head: Head = GENESIS
    tree: bytes = bytes(8)
    time: str = ""
    worker: str | None = None
    """Of the last start."""
    receipt_key: str | None = None
    """Of the last start, once a line named it."""
    anchor: int | None = None
    sequence: int = 0
    previous_sha384: str = FIRST_PREVIOUS
    running: dict[str, tuple[str, str | None]] = {}
    """By id of an admitted job: its header's digest, and its operator."""
    steps_back: list[StepBack] = []
    clock_went_back: int = 0
    checkpoints: int = 0
    holds: dict[str, Hold] = {}


class Inspection:
    """The lines so far. `keys` verify checkpoints; those of other keys are counted, but not verified."""

    def __init__(self, *, keys: CheckpointKeys | None = None, state: State | None = None) -> None:
        """Begin at the first line, or continue after what `save` returned."""
        self.state = state or State()
        self.tree = Frontier.decode(self.state.tree)
        self.pruned: Pruned | None = None
        """The state after the lines before the first one here."""
        self.keys = keys or {}
        self.verified: dict[str, int] = dict.fromkeys(self.keys, 0)
        """By key: how many checkpoints it verified."""
        self.signed = 0
        """Lines under the last checkpoint that was verified."""

    def save(self) -> bytes:
        """The state as JSON."""
        self.state.tree = self.tree.encode()
        return msgspec.json.encode(self.state)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Continue after what `save` returned. Raises ValueError."""
        return cls(state=msgspec.json.decode(data, type=State))

    @classmethod
    def after(cls, pruned: Pruned | None, *, keys: CheckpointKeys | None = None) -> Self:
        """Begin at the first line that is there. Raises ChainError for a state that is not of the pruned lines."""
        if pruned is None:
            return cls(keys=keys)
        try:
            found = cls(keys=keys, state=msgspec.json.decode(pruned.state, type=State))
        except ValueError:
            found = cls()
        if found.state.head != pruned.head or found.tree.encode() != pruned.tree().encode():
            raise ChainError(line=1, field="pruned", detail="the state that was kept is not of the pruned lines")
        found.pruned = pruned
        return found

    def take(self, data: bytes, record: Record) -> tuple[list[bytes], str | None]:
        """Examine the next line, which continues the chain. Raises ChainError.

        Return the nodes that it completes in the tree (`Frontier.append`), and its job's operator, if it is of one.
        """
        state, event, operator = self.state, record.event, None
        if record.time < state.time:
            self._note_step_back(record)
        if state.worker not in (record.worker, None) and not isinstance(event, _BETWEEN_STARTS):
            raise _fault(record, "worker", "a line of another worker")
        rule = _RULES.get(type(event))
        if rule is not None:
            operator = rule(self, record, event)
        nodes = self.tree.append(leaf_hash(data))
        state.time, state.head = record.time, Head(seq=record.seq, hash=record.hash)
        return nodes, operator

    def _note_step_back(self, record: Record) -> None:
        self.state.clock_went_back += 1
        if len(self.state.steps_back) < MAX_STEPS_BACK:
            self.state.steps_back.append(StepBack(line=record.seq, time=record.time, before=self.state.time))

    def _started(self, record: Record, _: WorkerStarted) -> None:
        self.state.worker, self.state.receipt_key = record.worker, None

    def _attested(self, record: Record, event: Attested) -> None:
        self._require_key(record, event.receipt_key)

    def _anchored(self, record: Record, event: TrailAnchored) -> None:
        if self.state.anchor is not None and event.counter <= self.state.anchor:
            raise _fault(record, "event", f"anchor {event.counter} follows {self.state.anchor}")
        self.state.anchor = event.counter

    def _resumed(self, _: Record, __: TrailResumed) -> None:
        self.state.anchor = None  # the machine, and so its counter, may be another one

    def _held(self, record: Record, event: HoldPlaced) -> None:
        holds = self.state.holds
        if event.name in holds or len(holds) >= MAX_HOLDS:
            raise _fault(record, "hold", f"{event.name} is in force already, or more than {MAX_HOLDS} holds are")
        if not event.first <= (event.last or event.first) < record.seq:
            raise _fault(record, "hold", f"{event.name} is on lines that are not there")
        holds[event.name] = Hold(
            first=event.first, last=event.last, line=record.seq, time=record.time, operator_id=event.operator_id
        )

    def _released(self, record: Record, event: HoldReleased) -> None:
        if self.state.holds.pop(event.name, None) is None:
            raise _fault(record, "hold", f"{event.name} is not in force")

    def _pruned(self, record: Record, event: TrailPruned) -> None:
        if not event.first <= event.last < record.seq:
            raise _fault(record, "pruned", "lines that are not there")
        for name, hold in self.state.holds.items():
            if hold.covers(1, event.last):
                raise _fault(record, "hold", f"lines 1 to {event.last} are under {name}, and were removed")
        if self.pruned is not None and self.pruned.recorded_by(record):
            state = msgspec.json.decode(self.pruned.state, type=State)
            if not a_year_between(state.time, record.time):
                raise _fault(record, "pruned", f"line {event.last} was not a year old when it was removed")

    def _checkpoint(self, record: Record, event: TrailCheckpoint) -> None:
        self._require_key(record, event.receipt_key)
        try:
            found = parse_checkpoint(event.note.encode())
            if found.origin != origin_of(record.worker):
                raise _fault(record, "checkpoint", "of another trail")
            if found.size != self.tree.size:
                raise _fault(record, "checkpoint", f"of {found.size} lines, but {self.tree.size} are before it")
            if found.root != self.tree.root():
                detail = f"lines were changed, removed or added after line {self.signed}: it is of others"
                raise _fault(record, "checkpoint", detail)
            if event.receipt_key in self.keys:
                found.verify(self.keys[event.receipt_key])
                self.verified[event.receipt_key] += 1
                self.signed = found.size
        except (CheckpointError, ValueError) as error:
            raise _fault(record, "checkpoint", str(error)) from error
        self.state.checkpoints += 1

    def _require_key(self, record: Record, key: str) -> None:
        if self.state.receipt_key not in (key, None):
            raise _fault(record, "receipt_key", "another one than before in this start of the worker")
        self.state.receipt_key = key

    def _admitted(self, record: Record, event: JobAdmitted) -> str | None:
        if event.job_id in self.state.running:
            raise _fault(record, "event", "the job was admitted before and has not ended")
        if len(self.state.running) >= MAX_RUNNING:
            raise _fault(record, "event", f"more than {MAX_RUNNING} jobs at once")
        operator = event.attribution.operator_id if event.attribution else None
        self.state.running[event.job_id] = event.header_sha384, operator
        return operator

    def _ended(self, record: Record, event: JobEnded | JobCompleted) -> str | None:
        header_sha384, operator = self.state.running.pop(event.job_id, (None, None))
        if header_sha384 is None:
            raise _fault(record, "event", "the end of a job that was not admitted, or has ended before")
        if header_sha384 != event.header_sha384:
            raise _fault(record, "event", "the job was admitted with another header")
        return operator

    def _completed(self, record: Record, event: JobCompleted) -> str | None:
        operator = self._ended(record, event)
        try:
            claims, key = claims_unverified(event.receipt), key_id_unverified(event.receipt)
        except ReceiptError as error:
            raise _fault(record, "receipt", str(error)) from error
        different = [name for name in OF_RECEIPT if getattr(claims, name) != getattr(event, name)]
        if different or claims.worker != record.worker:
            raise _fault(record, "receipt", f"of another event: {', '.join(different) or 'worker'}")
        expected = self.state.sequence + 1
        if claims.sequence != expected:
            raise _fault(record, "receipt", _gap(claims.sequence, expected))
        if claims.previous_sha384 != self.state.previous_sha384:
            raise _fault(record, "receipt", f"receipt {claims.sequence} names another one as the one before it")
        if self.state.anchor is not None and claims.audit_anchor > self.state.anchor:
            raise _fault(record, "receipt", f"anchor {claims.audit_anchor} was not reached")
        self._require_key(record, key)
        self.state.sequence, self.state.previous_sha384 = expected, receipt_sha384(event.receipt)
        return operator


_RULES: Final[Mapping[type[Event], Callable[[Inspection, Record, Any], str | None]]] = {
    WorkerStarted: Inspection._started,
    Attested: Inspection._attested,
    TrailAnchored: Inspection._anchored,
    TrailResumed: Inspection._resumed,
    TrailCheckpoint: Inspection._checkpoint,
    TrailPruned: Inspection._pruned,
    HoldPlaced: Inspection._held,
    HoldReleased: Inspection._released,
    JobAdmitted: Inspection._admitted,
    JobEnded: Inspection._ended,
    JobCompleted: Inspection._completed,
}


def a_year_between(time: str, later: str) -> bool:
    """Whether a year lies between two times of lines, so that the first may be removed at the second."""
    return datetime.fromisoformat(later) - datetime.fromisoformat(time) >= RETENTION


def _gap(found: int, expected: int) -> str:
    if found < expected:
        return f"receipt {found} again"
    return f"expected receipt {expected}, found {found}: receipts are missing, or not in their order"


def _fault(record: Record, field: str, detail: str) -> ChainError:
    return ChainError(line=record.seq, field=field, detail=detail)

"""The watcher: a state machine that gets the verified lines of one trail in order, and yields what its rules find.

It has no file, no clock and no network, so every reader of the same lines has the same findings: `cji audit verify`
stops at the first error, `cji audit review` shows those of a week, `cji audit packet` groups them by requirement.
What its rules rest on, anyone who recomputes the whole chain can write as well; only the signature of a checkpoint, or
one that was kept elsewhere, reveals that.

A rule is a function registered for a type of event with `on`. After an error it takes the line as it is, so that the
next line is compared with it. Memory is bounded by what runs at the same time, and by two days' jobs.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.trail.chain import ChainError, Head, Record
from cji_core.trail.events import Event, JobCompleted
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.pruned import Pruned
from cji_core.trail.rules.catalogue import RULES, Finding
from cji_core.trail.rules.state import MAX_STEPS_BACK, Admission, State, StepBack, decode_state
from cji_core.trail.short_receipts import Stated, whole
from cji_core.trail.worker_events import (
    HoldPlaced,
    HoldReleased,
    TailRecovered,
    TrailAnchored,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    TrailStarted,
    WorkerStarted,
)

CheckpointKeys = Mapping[str, ec.EllipticCurvePublicKey]
"""By thumbprint of the receipt key: the P-384 key that signs its checkpoints."""

_BETWEEN_STARTS: Final = (
    HoldPlaced,
    HoldReleased,
    TailRecovered,
    TrailAnchored,
    TrailPruned,
    TrailRefused,
    TrailResumed,
    TrailStarted,
    WorkerStarted,
)
ANOTHER_KEY: Final = "another one than before in this start of the worker"
_NOTHING: Final[tuple[Finding, ...]] = ()
_LineRule = Callable[["Watcher", Record, Any], None]
_R = TypeVar("_R", bound=_LineRule)
_registered: Final[dict[type[Event], list[_LineRule]]] = {}
_at_end: Final[list[Callable[["Watcher"], None]]] = []


class BrokenRuleError(ChainError):
    """The first error of a trail, with its finding."""

    def __init__(self, finding: Finding, *, field: str = "") -> None:
        super().__init__(line=finding.line, field=field or RULES[finding.rule].field or "", detail=finding.what)
        self.finding = finding

    @property
    def check(self) -> str:
        """The id of the rule, as a refusal in JSON names it."""
        return self.finding.rule


def on(*kinds: type[Event]) -> Callable[[_R], _R]:
    """Register a rule for lines with these events. Rules of one event run in the order of their registration."""

    def register(rule: _R) -> _R:
        for kind in kinds:
            _registered.setdefault(kind, []).append(rule)
        return rule

    return register


def at_end(rule: Callable[["Watcher"], None]) -> Callable[["Watcher"], None]:
    """Register a rule for what only the end of a trail reveals."""
    _at_end.append(rule)
    return rule


def has_rule(kind: type[Event]) -> bool:
    """Whether lines with this event are examined, or are declared to be of normal operation."""
    return kind in _registered or kind.is_normal


class Watcher:
    """The lines so far. `keys` verify checkpoints; those of other keys are counted, but not verified."""

    def __init__(self, *, keys: CheckpointKeys | None = None, state: State | None = None) -> None:
        """Begin at the first line, or continue after what `save` returned."""
        self.state = state or State.begin()
        self.tree = Frontier.decode(self.state.tree)
        self.pruned: Pruned | None = None
        """The state after the lines before the first one here."""
        self.keys = keys or {}
        self.verified: dict[str, int] = dict.fromkeys(self.keys, 0)
        """By key: how many checkpoints it verified."""
        self.signed = 0
        """Lines under the last checkpoint that was verified."""
        self.compared = 0
        """Checkpoints whose tree is that of the lines before them."""
        self.nodes: list[bytes] = []
        """The nodes that the last line completes in the tree (`Frontier.append`)."""
        self.operator: str | None = None
        """Of the last line's job, if it is of one."""
        self.receipt: Stated | None = None
        """Of the last line, if it has one that can be read."""
        self.needed: tuple[int, ...] = ()
        """The earlier lines that say the rest of this receipt."""
        self._base: Stated | None = Stated.of(self.state.base) if self.state.base else None
        self._record: Record | None = None
        self._findings: list[Finding] = []

    def save(self) -> bytes:
        """The state as JSON."""
        self.state.tree = self.tree.encode()
        return msgspec.json.encode(self.state)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Continue after what `save` returned. Raises StrictError."""
        return cls(state=decode_state(data))

    @classmethod
    def after(cls, pruned: Pruned | None, *, keys: CheckpointKeys | None = None) -> Self:
        """Begin at the first line that is there. Raises ChainError for a state that is not of the pruned lines."""
        if pruned is None:
            return cls(keys=keys)
        try:
            found = cls(keys=keys, state=decode_state(bytes(pruned.state)))
        except ValueError:
            found = cls()
        if found.state.head != pruned.head or found.tree.encode() != pruned.tree().encode():
            raise ChainError(line=1, field="pruned", detail="the state that was kept is not of the pruned lines")
        found.pruned = pruned
        return found

    def see(self, data: bytes, record: Record) -> list[Finding] | tuple[Finding, ...]:
        """Examine the next line, which continues the chain. Return all that it reveals."""
        state, event = self.state, record.event
        self._record, self.operator = record, None
        self.receipt, self.needed = None, ()
        if record.time < state.latest:
            self._step_back(record)
        else:
            state.latest = record.time
        if not record.worker == state.worker == state.first_worker:
            self._other_worker(record)
        for rule in _registered.get(type(event), ()):
            rule(self, record, event)
        self.nodes = self.tree.append(leaf_hash(data))
        state.time, state.head = record.time, Head(seq=record.seq, hash=record.hash)
        if not self._findings:
            return _NOTHING
        found, self._findings = self._findings, []
        return found

    def take(self, data: bytes, record: Record) -> None:
        """Examine the next line. Raises BrokenRuleError for the first error that it reveals."""
        if found := self.see(data, record):
            require(found)

    def end(self) -> list[Finding]:
        """Findings that only the end reveals."""
        for rule in _at_end if self._record is not None else ():
            rule(self)
        found, self._findings = self._findings, []
        return found

    def note(
        self,
        rule: str,
        what: str,
        *,
        detail: str | None = None,
        about: str = "",
        subject: str | None = None,
        found: object = "",
        expected: object = "",
        count: int = 1,
        line: int = 0,
        time: str = "",
    ) -> None:
        """A finding at the line that is examined, or at an earlier one.

        It is about this worker, and of what is `about`; or about another `subject`.
        """
        record = self._record
        if record is None:
            raise ValueError("no line was seen")
        of = record.worker + (f", {about}" if about else "")
        self._findings.append(
            Finding(
                rule=rule,
                line=line or record.seq,
                time=time or record.time,
                subject=of if subject is None else subject,
                what=what,
                detail=what if detail is None else detail,
                found=found if isinstance(found, str) else str(found),
                expected=expected if isinstance(expected, str) else str(expected),
                count=count,
            )
        )

    def read_receipt(self, event: JobCompleted, admission: Admission | None) -> Stated:
        """The receipt of the line that is examined, as it was signed. Raises ReceiptError."""
        state = self.state
        terms = admission if admission is not None and admission.line else None
        self.receipt = found = whole(event, terms, self._base)
        if found.compact == event.receipt:
            self._base, state.base, state.base_line = found, found.compact, self.line
        elif terms is not None:
            self.needed = state.base_line, terms.line
        return found

    @property
    def line(self) -> int:
        """The number of the line that is examined, or was last."""
        return self.state.head.seq if self._record is None else self._record.seq

    def require_key(self, key: str, what: str) -> None:
        """One start of a worker has one receipt key: of its evidence, its checkpoints and its receipts."""
        known = self.state.receipt_key
        if known is None:
            self.state.receipt_key = key
        elif known != key:
            self.note("receipt_key", what, found=key, expected=known)

    def _step_back(self, record: Record) -> None:
        state = self.state
        what = f"{record.time} follows {state.latest}"
        self.note("clock_went_back", what, detail=f"from {state.latest} to {record.time}")
        if record.time < state.time:
            state.clock_went_back += 1
            if len(state.steps_back) < MAX_STEPS_BACK:
                state.steps_back.append(StepBack(line=record.seq, time=record.time, before=state.time))

    def _other_worker(self, record: Record) -> None:
        state = self.state
        if state.first_worker is None:
            state.first_worker = state.worker or record.worker
        if state.worker not in (record.worker, None) and not isinstance(record.event, _BETWEEN_STARTS):
            subject = f"{state.worker} and {record.worker}"
            self.note(
                "mixed_workers",
                "a line of another worker",
                detail="",
                subject=subject,
                found=record.worker,
                expected=state.worker,
            )
        elif record.worker != state.first_worker:
            subject = f"{state.first_worker} and {record.worker}"
            self.note(
                "worker_renamed",
                "the line is another worker's",
                detail="",
                subject=subject,
                found=record.worker,
                expected=state.first_worker,
            )


def require(findings: Iterable[Finding]) -> None:
    """Raise BrokenRuleError for the first error."""
    for finding in findings:
        if finding.is_error:
            raise BrokenRuleError(finding)

"""The examination of a trail against everything that witnesses returned, without a network.

One pass over the trail compares its root at the size of each witnessed checkpoint. What differs is named:

    rewritten   a line does not continue the chain, or a witnessed root is another one and no key of the worker signed
                the lines as they are
    cut         the trail ends before a witnessed checkpoint: its end was cut off, or an older copy was restored
    rollback    lines after an older state: a later start of the worker signed them, and a witness saw others
    fork        one start of the worker signed two histories
    forged      a checkpoint has a wrong signature
    unknown_key a checkpoint is signed by a key that the examiner does not have
    mixed       a checkpoint or line of another trail
    receipt     a receipt is not that of this witness for this checkpoint
    witness     a record of a witness that the configuration does not have
    gap         a record is missing: a checkpoint continues one that is not there
    unreadable  a file is not a record

Only checkpoints with a good signature, origin and receipt count against the trail.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from worker.audit.chain import ChainError, Record
from worker.audit.checkpoint import Checkpoint, origin_of
from worker.audit.delivery import DeliveryError
from worker.audit.merkle import Frontier, leaf_hash
from worker.audit.trail import verified
from worker.audit.witnesses.destination import Witness
from worker.audit.witnesses.follower import checkpoint_of
from worker.audit.witnesses.keys import ReceiptKeys
from worker.audit.witnesses.records import (
    Offer,
    RecordError,
    Records,
    Witnessed,
    decode_offer,
    file_name,
    read_file,
    sizes_in,
)
from worker.audit.worker_events import TrailCheckpoint

Fault = Literal[
    "rewritten", "cut", "rollback", "fork", "forged", "unknown_key", "mixed", "receipt", "witness", "gap", "unreadable"
]
MAX_FINDINGS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault. `after` is the last line that is known to be good, `line` the first wrong one if it is known."""

    fault: Fault
    text: str
    witness: str | None = None
    size: int | None = None
    after: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A checkpoint that a witness saw; `at` is None for a copy without the deliverer's record."""

    witness: str
    checkpoint: Checkpoint
    at: str | None
    clock: Literal["witness", "deliverer"] | None


@dataclass(slots=True, kw_only=True)
class Examination:
    """The result. The trail is good if there is no finding."""

    lines: int = 0
    root: bytes = b""
    sightings: list[Sighting] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    last_agreed: int = 0

    def add(self, finding: Finding) -> None:
        """Add a finding, of at most a thousand."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


def examine(
    trail: Path,
    *,
    state: Mapping[str, Path],
    copies: Sequence[Path],
    witnesses: Mapping[str, Witness],
    keys: ReceiptKeys,
) -> Examination:
    """Compare a trail with the records in `state` (by witness) and with copies of the folders of file witnesses.

    Raises OSError if a folder or the trail cannot be read.
    """
    result = Examination()
    for name, folder in state.items():
        _records(result, name, folder, witnesses.get(name), keys)
    for folder in copies:
        _copies(result, folder, keys)
    result.sightings.sort(key=lambda each: each.checkpoint.size)
    _two_histories(result)
    _compare(result, trail, keys)
    return result


def _records(result: Examination, name: str, folder: Path, witness: Witness | None, keys: ReceiptKeys) -> None:
    series = _Series(result, name, keys)
    for file, record in Records(folder):
        if isinstance(record, RecordError):
            result.add(Finding(fault="unreadable", witness=name, text=f"{file}: {record}"))
        elif witness is None or record.witness != name:
            text = f"{file} is of the witness {record.witness}, which the configuration does not have here"
            result.add(Finding(fault="witness", witness=name, text=text))
        else:
            series.take(record.offer, record, witness)


def _copies(result: Examination, folder: Path, keys: ReceiptKeys) -> None:
    series = _Series(result, str(folder), keys)
    for size in sizes_in(folder):
        name = file_name(size)
        try:
            offer = decode_offer(read_file(folder / name))
            if offer.checkpoint().size != size:
                raise RecordError("it is named for another size")
        except RecordError as error:
            result.add(Finding(fault="unreadable", witness=str(folder), text=f"{name}: {error}"))
        else:
            series.take(offer, None, None)


class _Series:
    """The checkpoints of one folder, each of which continues the one before."""

    def __init__(self, result: Examination, name: str, keys: ReceiptKeys) -> None:
        self._result, self._name, self._keys = result, name, keys
        self._before: tuple[Offer, bool] | None = None

    def take(self, offer: Offer, record: Witnessed | None, witness: Witness | None) -> None:
        """Add a sighting, or what is wrong with it."""
        good = self._sound(offer, record, witness)
        size, before = offer.checkpoint().size, self._before
        had = before[0].checkpoint().size if before else 0
        if offer.previous != had:
            self._fault("gap", size, f"the checkpoint of {size} lines continues one of {offer.previous}, not of {had}")
        elif before is not None and before[1] and good:
            try:
                offer.continues(before[0])
            except RecordError as error:
                self._fault("fork", size, f"the checkpoint of {size} lines does not continue that of {had}: {error}")
        self._before = offer, good
        if good:
            at, clock = (record.at, record.clock) if record else (None, None)
            checkpoint = offer.checkpoint()
            self._result.sightings.append(Sighting(witness=self._name, checkpoint=checkpoint, at=at, clock=clock))

    def _sound(self, offer: Offer, record: Witnessed | None, witness: Witness | None) -> bool:
        checkpoint = offer.checkpoint()
        verdict = self._keys.judge(checkpoint)
        if verdict == "forged":
            self._fault("forged", checkpoint.size, f"the checkpoint of {checkpoint.size} lines has a wrong signature")
        elif verdict == "unknown_key":
            text = f"the checkpoint of {checkpoint.size} lines is signed by a key that is not among those given"
            self._fault("unknown_key", checkpoint.size, text)
        elif record is not None and witness is not None:
            try:
                witness.verify(offer, record.receipt)
            except DeliveryError as error:
                self._fault("receipt", checkpoint.size, f"the checkpoint of {checkpoint.size} lines: {error}")
                return False
        return verdict == "verified"

    def _fault(self, fault: Fault, size: int, text: str) -> None:
        self._result.add(Finding(fault=fault, witness=self._name, size=size, text=text))


def _two_histories(result: Examination) -> None:
    for one, other in zip(result.sightings, result.sightings[1:], strict=False):
        same = one.checkpoint.origin == other.checkpoint.origin and one.checkpoint.size == other.checkpoint.size
        if same and one.checkpoint.root != other.checkpoint.root:
            text = f"{one.witness} and {other.witness} saw two histories of {one.checkpoint.size} lines, both signed"
            result.add(Finding(fault="fork", size=one.checkpoint.size, text=text))


@dataclass(slots=True)
class _Pass:
    """State of the one pass.

    `differs` is the first sighting of another root, `signed` the first checkpoint in the trail of as many lines or
    more: its key signed what the witness did not see. A smaller one may be of the lines that agree.
    """

    tree: Frontier = field(default_factory=Frontier)
    origins: set[str] = field(default_factory=set)
    differs: Sighting | None = None
    signed: Checkpoint | None = None


def _compare(result: Examination, trail: Path, keys: ReceiptKeys) -> None:
    state, waiting = _Pass(), _by_size(result.sightings)
    pending = next(waiting, None)
    broken: ChainError | None = None
    try:
        for line, record in verified(trail):
            _own(state, record, keys)
            state.tree.append(leaf_hash(line))
            while pending is not None and pending[0] <= state.tree.size:
                _agree(result, state, pending[1])
                pending = next(waiting, None)
    except ChainError as error:
        broken = error
    result.lines, result.root = state.tree.size, state.tree.root()
    _foreign(result, state)
    if broken is not None:
        _broken(result, state, broken)
    elif state.differs is not None:
        _differs(result, state, state.differs)
    elif beyond := [each for each in result.sightings if each.checkpoint.size > result.lines and _ours(state, each)]:
        last = beyond[-1]
        text = (
            f"the trail ends at line {result.lines}, but {_who(last)} saw {last.checkpoint.size} lines: "
            "the end was cut off, or an older copy was restored"
        )
        finding = Finding(
            fault="cut",
            witness=last.witness,
            size=last.checkpoint.size,
            line=result.lines + 1,
            after=result.last_agreed,
            text=text,
        )
        result.add(finding)


def _by_size(sightings: Iterable[Sighting]) -> Iterator[tuple[int, list[Sighting]]]:
    group: list[Sighting] = []
    for each in sightings:
        if group and group[0].checkpoint.size != each.checkpoint.size:
            yield group[0].checkpoint.size, group
            group = []
        group.append(each)
    if group:
        yield group[0].checkpoint.size, group


def _own(state: _Pass, record: Record, keys: ReceiptKeys) -> None:
    """Take in the worker's own checkpoint, if this line has one. Raises ChainError for one of other lines."""
    if len(state.origins) < 64:
        state.origins.add(origin_of(record.worker))
    if isinstance(record.event, TrailCheckpoint):
        found = checkpoint_of(record, record.event.note)
        if found.root != state.tree.root():
            raise ChainError(line=record.seq, field="event", detail="its checkpoint has another root")
        verdict = keys.judge(found)
        if verdict == "forged":
            raise ChainError(line=record.seq, field="event", detail="the signature of its checkpoint is wrong")
        if verdict == "verified" and state.differs is not None and state.signed is None:
            state.signed = found


def _agree(result: Examination, state: _Pass, group: list[Sighting]) -> None:
    root = state.tree.root()
    for each in group:
        if not _ours(state, each):
            continue
        if each.checkpoint.root == root:
            result.last_agreed = each.checkpoint.size
        elif state.differs is None:
            state.differs = each


def _ours(state: _Pass, sighting: Sighting) -> bool:
    return not state.origins or sighting.checkpoint.origin in state.origins


def _foreign(result: Examination, state: _Pass) -> None:
    for each in result.sightings:
        if not _ours(state, each):
            text = f"{each.witness} saw a checkpoint of another trail, {each.checkpoint.origin!a}"
            result.add(Finding(fault="mixed", witness=each.witness, size=each.checkpoint.size, text=text))
    if len(state.origins) > 1:
        text = f"lines of several workers: {', '.join(sorted(state.origins))}"
        result.add(Finding(fault="mixed", text=text))


def _broken(result: Examination, state: _Pass, error: ChainError) -> None:
    saw = next((e for e in result.sightings if e.checkpoint.size >= error.line and _ours(state, e)), None)
    text = f"{error}" + (f"; {_who(saw)} saw the first {saw.checkpoint.size} lines" if saw else "")
    witness, size = (saw.witness, saw.checkpoint.size) if saw else (None, None)
    finding = Finding(
        fault="rewritten", witness=witness, size=size, line=error.line, after=result.last_agreed, text=text
    )
    result.add(finding)


def _differs(result: Examination, state: _Pass, sighting: Sighting) -> None:
    """Name the difference by who signed the lines as they are now."""
    size, good = sighting.checkpoint.size, result.last_agreed
    saw = f"{_who(sighting)} saw another history of {size} lines; the first {good} agree"
    now = state.signed
    fault: Fault
    if now is None:
        fault, text = "rewritten", f"lines {good + 1} to {size} are not those that the worker signed: {saw}"
    elif {each.key_id for each in now.signatures} & {each.key_id for each in sighting.checkpoint.signatures}:
        fault, text = "fork", f"one start of the worker signed two histories: {saw}"
    else:
        fault, text = "rollback", f"an older copy was restored, and another start of the worker continued it: {saw}"
    result.add(Finding(fault=fault, witness=sighting.witness, size=size, after=good, text=text))


def _who(sighting: Sighting) -> str:
    return sighting.witness if sighting.at is None else f"{sighting.witness} at {sighting.at}"

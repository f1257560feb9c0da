"""One pass over a trail: its root at the size of each checkpoint in the log, and a name for what differs."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from cji_core.trail.chain import ChainError, Record
from cji_core.trail.checkpoint import Checkpoint, origin_of
from cji_core.trail.fields import unix_seconds
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.pruned import Pruned
from cji_core.trail.trail import opened
from cji_core.trail.witnesses.findings import Examination, Fault, Finding, Sighting
from cji_core.trail.witnesses.follower import checkpoint_of
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_core.trail.worker_events import TrailCheckpoint, waits


@dataclass(slots=True)
class _Delay:
    """How long lines waited for a cosigned checkpoint. Those of the trail's first entry joined the log with it."""

    joined: bool = False
    oldest: int | None = None
    last: int = 0
    worst: int = 0
    size: int | None = None

    def line(self, record: Record) -> None:
        """The next line."""
        self.last = unix_seconds(record.time)
        if self.oldest is None and waits(record.event):
            self.oldest = self.last

    def covered(self, group: list[Sighting]) -> None:
        """These lines are under a checkpoint, which a quorum had cosigned at a time that is known."""
        times = [unix_seconds(each.at) for each in group if each.at is not None]
        if times:
            if self.joined:
                self._count(min(times), group[0].checkpoint.size)
            self.joined, self.oldest = True, None

    def end(self) -> None:
        """The trail goes on, and nothing more was cosigned."""
        if self.joined:
            self._count(self.last, None)

    def _count(self, at: int, size: int | None) -> None:
        if self.oldest is not None and at - self.oldest > self.worst:
            self.worst, self.size = at - self.oldest, size


@dataclass(slots=True)
class _Pass:
    """State of the one pass.

    `differs` is the first sighting of another root, `signed` the first checkpoint in the trail of as many lines or
    more: its key signed what the log does not have. A smaller one may be of the lines that agree.
    """

    tree: Frontier = field(default_factory=Frontier)
    origins: set[str] = field(default_factory=set)
    differs: Sighting | None = None
    signed: Checkpoint | None = None
    delay: _Delay = field(default_factory=_Delay)


def compare(result: Examination, trail: Path, keys: ReceiptKeys, *, max_delay: int | None = None) -> None:
    """Read the trail once, and compare its root at the size of each sighting, which are in the order of sizes.

    With `max_delay`, lines that waited longer for a cosigned checkpoint are a finding. Raises OSError.
    """
    state, waiting = _Pass(), _by_size(result.sightings)
    broken: ChainError | None = None
    stack = ExitStack()
    try:
        files = stack.enter_context(opened(trail))
        pending = _begin(result, state, waiting, files.pruned)
        for line, record in files.verified():
            _own(state, record, keys)
            state.tree.append(leaf_hash(line))
            state.delay.line(record)
            while pending is not None and pending[0] <= state.tree.size:
                _agree(result, state, pending[1])
                state.delay.covered(pending[1])
                pending = next(waiting, None)
    except ChainError as error:
        broken = error
    finally:
        stack.close()
    result.lines, result.root = state.tree.size, state.tree.root()
    _foreign(result, state)
    if max_delay is not None:
        _late(result, state.delay, max_delay)
    if broken is not None:
        _broken(result, state, broken)
    elif state.differs is not None:
        _differs(result, state, state.differs)
    elif beyond := [each for each in result.sightings if each.checkpoint.size > result.lines and _ours(state, each)]:
        last = beyond[-1]
        text = (
            f"the trail ends at line {result.lines}, but {_who(last)} has {last.checkpoint.size} lines: "
            "the end was cut off, or an older copy was restored"
        )
        finding = Finding(
            fault="cut",
            source=last.source,
            size=last.checkpoint.size,
            line=result.lines + 1,
            after=result.last_agreed,
            text=text,
        )
        result.add(finding)


def _begin(
    result: Examination, state: _Pass, waiting: Iterator[tuple[int, list[Sighting]]], pruned: Pruned | None
) -> tuple[int, list[Sighting]] | None:
    """Begin with the tree of the lines that were pruned; return the first sightings of more lines."""
    if pruned is not None:
        state.tree, result.pruned = pruned.tree(), pruned.last
    for size, group in waiting:
        if size > result.pruned:
            return size, group
        state.delay.covered(group)
        if size == result.pruned:
            _agree(result, state, group)
    return None


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


def _late(result: Examination, delay: _Delay, most: int) -> None:
    delay.end()
    if delay.worst > most:
        where = "are under none" if delay.size is None else f"waited for that of {delay.size} lines"
        text = f"lines {where} for {delay.worst} s; the policy allows {most} s until a cosigned checkpoint"
        result.add(Finding(fault="late", source="log", size=delay.size, text=text))


def _foreign(result: Examination, state: _Pass) -> None:
    for each in result.sightings:
        if not _ours(state, each):
            text = f"the {each.source} has a checkpoint of another trail, {each.checkpoint.origin!a}"
            result.add(Finding(fault="mixed", source=each.source, size=each.checkpoint.size, text=text))
    if len(state.origins) > 1:
        text = f"lines of several workers: {', '.join(sorted(state.origins))}"
        result.add(Finding(fault="mixed", text=text))


def _broken(result: Examination, state: _Pass, error: ChainError) -> None:
    saw = next((e for e in result.sightings if e.checkpoint.size >= error.line and _ours(state, e)), None)
    text = f"{error}" + (f"; {_who(saw)} has the first {saw.checkpoint.size} lines" if saw else "")
    source, size = (saw.source, saw.checkpoint.size) if saw else (None, None)
    finding = Finding(fault="rewritten", source=source, size=size, line=error.line, after=result.last_agreed, text=text)
    result.add(finding)


def _differs(result: Examination, state: _Pass, sighting: Sighting) -> None:
    """Name the difference by who signed the lines as they are now."""
    size, good = sighting.checkpoint.size, result.last_agreed
    saw = f"{_who(sighting)} has another history of {size} lines; the first {good} agree"
    now = state.signed
    fault: Fault
    if now is None:
        fault, text = "rewritten", f"lines {good + 1} to {size} are not those that the worker signed: {saw}"
    elif {each.key_id for each in now.signatures} & {each.key_id for each in sighting.checkpoint.signatures}:
        fault, text = "fork", f"one start of the worker signed two histories: {saw}"
    else:
        fault, text = "rollback", f"an older copy was restored, and another start of the worker continued it: {saw}"
    result.add(Finding(fault=fault, source=sighting.source, size=size, after=good, text=text))


def _who(sighting: Sighting) -> str:
    return f"the {sighting.source}" + ("" if sighting.at is None else f" at {sighting.at}")

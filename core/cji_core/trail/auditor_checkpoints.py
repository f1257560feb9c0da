"""Checkpoints that an auditor holds, compared with a trail: what nobody who has only the trail can forge or undo.

    origin     the checkpoint is of another trail
    cut        the trail has fewer lines: its tail was cut off, or it is an older copy
    fork       the worker signed two histories: the held checkpoint, and one in this trail, are both its own
    rewritten  lines that the checkpoint covers are others here, and nobody signed that

A shorter trail and an older copy of it are the same bytes, so they have one name. The bounds are the lines between the
last held checkpoint that agrees and the one that does not. Checkpoints in the trail do not narrow them: in a fork, the
worker signed both histories.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cji_core.trail.chain import Record
from cji_core.trail.checkpoint import Checkpoint, note_key_id, origin_of
from cji_core.trail.rules import BrokenRuleError, CheckpointKeys, Finding, Watcher

MAX_HELD: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorCheckpoint:
    """A checkpoint and where it is from. `verified` is whether one of the auditor's keys signed it."""

    name: str
    checkpoint: Checkpoint
    verified: bool

    @classmethod
    def of(cls, name: str, checkpoint: Checkpoint, keys: CheckpointKeys) -> "AuditorCheckpoint":
        """Verify it under the key that it names, if that is among `keys`. Raises CheckpointError for a forged one."""
        ids = {each.key_id for each in checkpoint.signatures if each.name == checkpoint.origin}
        signers = [key for key in keys.values() if note_key_id(key) in ids]
        for key in signers:
            checkpoint.verify(key)
        return cls(name=name, checkpoint=checkpoint, verified=bool(signers))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    held: AuditorCheckpoint
    after: int


class Comparison:
    """Compares held checkpoints with the lines of a trail while they are examined."""

    def __init__(self, held: Iterable[AuditorCheckpoint]) -> None:
        """Raises ValueError for more than 10 000 checkpoints, or for one of no lines."""
        self._by_size: dict[int, list[AuditorCheckpoint]] = defaultdict(list)
        for each in held:
            if not each.checkpoint.size:
                raise ValueError("a checkpoint of no lines")
            self._by_size[each.checkpoint.size].append(each)
        if sum(map(len, self._by_size.values())) > MAX_HELD:
            raise ValueError("too many checkpoints")
        self._agreed, self._worker, self._pruned = 0, "", 0
        self._differences: list[_Difference] = []

    def begin(self, watcher: Watcher) -> None:
        """Before the first line that is there: what a checkpoint of fewer lines says, the trail no longer shows."""
        self._pruned = watcher.tree.size
        for size in [size for size in self._by_size if size <= self._pruned]:
            for held in self._by_size.pop(size):
                if size == self._pruned and held.checkpoint.root != watcher.tree.root():
                    self._differences.append(_Difference(held=held, after=0))

    def take(self, watcher: Watcher, record: Record) -> None:
        """Compare those of the lines so far, after `watcher` took this one. Raises ChainError(`origin`)."""
        self._worker = record.worker
        for held in self._by_size.pop(record.seq, ()):
            _require_origin(held, record.worker, record.seq)
            if held.checkpoint.root == watcher.tree.root():
                self._agreed = max(self._agreed, record.seq)
            else:
                self._differences.append(_Difference(held=held, after=self._agreed))

    def finish(self, watcher: Watcher) -> None:
        """After the last line: raise ChainError for the first checkpoint that differs from the trail."""
        lines = watcher.tree.size
        for difference in self._differences:
            raise _explained(difference, signed=watcher.signed)
        for size in sorted(self._by_size):
            for held in self._by_size[size]:
                if self._worker:
                    _require_origin(held, self._worker, lines)
                detail = f"{held.name} is of {size} lines: the tail was cut off, or this is an older copy"
                raise _differs(line=lines + 1, field="cut", detail=detail)


def _explained(difference: _Difference, *, signed: int) -> BrokenRuleError:
    held, first = difference.held, difference.after + 1
    size = held.checkpoint.size
    where = f"the first line that differs is one of {first} to {size}"
    if held.verified and signed >= size:
        detail = f"{held.name} and a later checkpoint in this trail are both the worker's: {where}"
        return _differs(line=first, field="fork", detail=detail)
    return _differs(line=first, field="rewritten", detail=f"{held.name} is of other lines: {where}")


def _differs(*, line: int, field: str, detail: str) -> BrokenRuleError:
    """The rule that the review of a week applies to destinations and earlier reviews too."""
    finding = Finding(rule="head_differs", line=line, time="", subject="checkpoint", what=detail, detail=detail)
    return BrokenRuleError(finding, field=field)


def _require_origin(held: AuditorCheckpoint, worker: str, line: int) -> None:
    try:
        expected = origin_of(worker)
    except ValueError:
        expected = ""
    if held.checkpoint.origin != expected:
        detail = f"{held.name} is of another trail than this one"
        raise _differs(line=line, field="origin", detail=detail)

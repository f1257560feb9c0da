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
from cji_core.trail.known_lines import KnownLines
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
        self._known, self._worker = KnownLines(self._by_size), ""

    def begin(self, watcher: Watcher) -> None:
        """Before the first line that is there: what a checkpoint of fewer lines says, the trail no longer shows."""
        self._known.begin(watcher.tree.size)
        if self._known.wants(watcher.tree.size):
            self._take(watcher)

    def take(self, watcher: Watcher, record: Record) -> None:
        """Keep what held checkpoints are compared with, after `watcher` took this line. Raises ChainError(`origin`)."""
        self._worker = record.worker
        if self._known.wants(record.seq):
            for held in self._by_size[record.seq]:
                _require_origin(held, record.worker, record.seq)
            self._take(watcher)

    def _take(self, watcher: Watcher) -> None:
        head, tree = watcher.state.head, watcher.tree
        self._known.take(tree.size, line_hash=head.hash, root=tree.root().hex())

    def finish(self, watcher: Watcher) -> None:
        """After the last line: raise ChainError for the first checkpoint that differs from the trail."""
        agreed, lines = 0, watcher.tree.size
        for held in (each for size in sorted(self._by_size) for each in self._by_size[size]):
            size = held.checkpoint.size
            match self._known.compare(size, root=held.checkpoint.root.hex()):
                case "same":
                    agreed = size
                case "differs":
                    raise _explained(held, after=agreed, signed=watcher.signed)
                case "missing":
                    if self._worker:
                        _require_origin(held, self._worker, lines)
                    detail = f"{held.name} is of {size} lines: the tail was cut off, or this is an older copy"
                    raise _differs(line=lines + 1, field="cut", detail=detail)


def _explained(held: AuditorCheckpoint, *, after: int, signed: int) -> BrokenRuleError:
    first, size = after + 1, held.checkpoint.size
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

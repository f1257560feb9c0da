"""A reader that follows a growing trail: its chain, its tree, and the newest checkpoint in it.

It verifies each line once, across segments, and keeps the peaks of the tree at the last witnessed checkpoint and the
leaf hashes since then: 32 bytes for each line that is not yet witnessed.

The proof that a tree continues an earlier one needs two kinds of subtrees: peaks of the earlier tree, and subtrees over
later leaves only (RFC 9162 §2.1.4.1).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_core.strict import hex_decode
from cji_core.trail.chain import GENESIS, ChainError, Head, Record, read, verify_next
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, origin_of, parse_checkpoint
from cji_core.trail.merkle import HASH_BYTES, Frontier, Subtree, consistency_proof, leaf_hash, node_hash
from cji_core.trail.pruned import Pruned
from cji_core.trail.trail import Trail, opened
from cji_core.trail.witnesses.keys import ReceiptKeys, Verdict
from cji_core.trail.witnesses.records import Position, RecordError
from cji_core.trail.worker_events import TrailCheckpoint

START: Final = Position(seq=0, hash=GENESIS.hash, start=0, peaks=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A checkpoint of the trail whose root is that of its lines, and the position at its size."""

    note: str
    checkpoint: Checkpoint
    position: Position


def checkpoint_of(record: Record, note: str) -> Checkpoint:
    """The checkpoint in a line. Raises ChainError unless it is for all lines before this one, and of this trail."""
    try:
        found = parse_checkpoint(note.encode())
        origin = origin_of(record.worker)
    except (CheckpointError, ValueError) as error:
        raise ChainError(line=record.seq, field="event", detail="its checkpoint cannot be read") from error
    if found.origin != origin:
        raise ChainError(line=record.seq, field="event", detail="its checkpoint is of another trail")
    if found.size != record.seq - 1:
        raise ChainError(line=record.seq, field="event", detail=f"its checkpoint is of {found.size} lines")
    return found


class Follower:
    """Reads one trail. Not thread-safe."""

    def __init__(self, trail: Path, *, keys: Callable[[], ReceiptKeys], at: Position = START) -> None:
        """Continue at a position. `keys` reads the worker's keys again whenever one is unknown. Raises RecordError."""
        self._trail, self._read_keys = trail, keys
        self._keys, self._keys_are_fresh = ReceiptKeys(()), False
        self._base = frontier_of(at)
        self._tree = Frontier(self._base.size, self._base.peaks)
        self._head, self._start = Head(seq=at.seq, hash=at.hash), at.start
        self._end = at.start
        self._leaves = bytearray()
        self.newest: Found | None = None
        self.unknown: Found | None = None

    @property
    def head(self) -> Head:
        """The last line that was read."""
        return self._head

    def read(self, *, until: int | None = None) -> None:
        """Read the lines that are new, or those until this one.

        Afterwards `newest` is the newest checkpoint since the last rebase that a known key signed, and `unknown` a
        newer one of another key. Raises ChainError for a trail that was changed, or OSError.
        """
        self._keys_are_fresh = False
        for line in self._new_lines():
            if until is not None and self._head.seq >= until:
                return
            head, record = verify_next(line, head=self._head, number=self._head.seq + 1)
            if isinstance(record.event, TrailCheckpoint):
                self._checkpoint(record, record.event.note)
            leaf = leaf_hash(line)
            self._tree.append(leaf)
            self._leaves += leaf
            self._start = self._end
            self._end += len(line)
            self._head = head

    def position(self) -> Position:
        """The position after the last line that was read."""
        peaks = tuple(each.hex() for each in self._tree.peaks)
        return Position(seq=self._head.seq, hash=self._head.hash, start=self._start, peaks=peaks)

    def root(self) -> bytes:
        """The root of the tree over all lines that were read."""
        return self._tree.root()

    def proof(self, size: int) -> list[bytes]:
        """The proof that the tree of `size` lines continues that of the last rebase; empty if that one was empty."""
        return consistency_proof(self._base.size, size, self._subtree()) if self._base.size else []

    def rebase(self, at: Position) -> None:
        """Make this position, which has been read, the one that later proofs begin at."""
        del self._leaves[: (at.seq - self._base.size) * HASH_BYTES]
        self._base = frontier_of(at)
        if self.newest is not None and self.newest.checkpoint.size <= at.seq:
            self.newest = None

    def _new_lines(self) -> Iterator[bytes]:
        with opened(self._trail) as trail:
            if trail.pruned is not None and self._head.seq in (0, trail.head.seq):
                self._begin_after(trail.pruned)
            elif self._head.seq:
                self._end = self._start + self._require_last(trail)
            yield from trail.lines(self._end)

    def _begin_after(self, pruned: Pruned) -> None:
        """Begin at the first line that is there. Raises ChainError if it follows another one than was read last."""
        if self._head.seq and self._head != pruned.head:
            raise ChainError(line=self._head.seq, field="hash", detail="it was another line before")
        if not self._head.seq:
            self._base, self._tree, self._head = pruned.tree(), pruned.tree(), pruned.head
        self._start = self._end = pruned.offset

    def _require_last(self, trail: Trail) -> int:
        """The length of the line that was read last, which must still be there."""
        last = trail.line_at(self._start)
        if not last.endswith(b"\n"):
            raise ChainError(line=self._head.seq, field="line", detail="the trail is shorter than it was")
        if read(last, number=self._head.seq).hash != self._head.hash:
            raise ChainError(line=self._head.seq, field="hash", detail="it was another line before")
        return len(last)

    def _checkpoint(self, record: Record, note: str) -> None:
        checkpoint = checkpoint_of(record, note)
        if checkpoint.root != self._tree.root():
            raise ChainError(line=record.seq, field="event", detail="its checkpoint has another root")
        verdict = self._judge(checkpoint)
        if verdict == "forged":
            raise ChainError(line=record.seq, field="event", detail="the signature of its checkpoint is wrong")
        if checkpoint.size <= self._base.size:
            return  # it is the one that was witnessed last, or of no lines
        found = Found(note=note, checkpoint=checkpoint, position=self.position())
        if verdict == "verified":
            self.newest, self.unknown = found, None
        else:
            self.unknown = found

    def _judge(self, checkpoint: Checkpoint) -> Verdict:
        """The verdict of the keys; a signature of another key makes it read them again, once in each pass."""
        verdict = self._keys.judge(checkpoint)
        if verdict == "unknown_key" and not self._keys_are_fresh:
            self._keys, self._keys_are_fresh = self._read_keys(), True
            verdict = self._keys.judge(checkpoint)
        return verdict

    def _subtree(self) -> Subtree:
        base, leaves, peaks = self._base.size, self._leaves, {}
        start = 0
        for peak, level in zip(self._base.peaks, self._base.levels(), strict=True):
            peaks[start, level] = peak
            start += 1 << level

        def subtree(start: int, level: int) -> bytes:
            if start < base:
                return peaks[start, level]
            if level == 0:
                at = (start - base) * HASH_BYTES
                return bytes(leaves[at : at + HASH_BYTES])
            half = 1 << (level - 1)
            return node_hash(subtree(start, level - 1), subtree(start + half, level - 1))

        return subtree


def frontier_of(at: Position) -> Frontier:
    """The tree at a position. Raises RecordError for peaks of another size."""
    try:
        return Frontier(at.seq, [hex_decode(each) for each in at.peaks])
    except ValueError as error:
        raise RecordError("the kept position has peaks of another size") from error

"""An entry's proof under a cosigned checkpoint, C2SP tlog-proof: for years, without a network.

c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=      from the leaf's sibling up
an empty line, then the checkpoint
"""

import base64
import re
from dataclasses import dataclass
from typing import Final

from cji_core.tlog.leaves import CheckpointLeaf, LeafError, decode_leaf
from cji_core.tlog.requests import MAX_PROOF, hash_of
from cji_core.trail.checkpoint import MAX_COSIGNED_BYTES, Checkpoint, CheckpointError, parse_cosigned
from cji_core.trail.merkle import MAX_SIZE, ProofError, leaf_hash, verify_inclusion

MAX_BYTES: Final = MAX_COSIGNED_BYTES + 4096
_FIRST: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(rb"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """A proof as read; `verify` shows what it proves, below a checkpoint that is still to be verified by a policy."""

    index: int
    hashes: tuple[bytes, ...]
    note: Checkpoint

    def encode(self) -> bytes:
        """The text of the proof."""
        lines = [_FIRST, f"index {self.index}", *(base64.b64encode(each).decode() for each in self.hashes), ""]
        return "".join(f"{each}\n" for each in lines).encode() + self.note.encode()

    def shows(self, entry: str, *, trail: str, note: str) -> None:
        """Return if the entry is this checkpoint of this trail, and in the tree. Raises CheckpointError."""
        try:
            leaf = decode_leaf(entry.encode())
        except LeafError as error:
            raise CheckpointError(f"the entry: {error}") from None
        if not isinstance(leaf, CheckpointLeaf) or (leaf.trail, leaf.note) != (trail, note):
            raise CheckpointError("the entry of the log is of another checkpoint")
        self.verify(leaf_hash(entry.encode()))

    def verify(self, leaf: bytes) -> None:
        """Return if this leaf hash is in the tree of the checkpoint. Raises CheckpointError."""
        try:
            verify_inclusion(leaf, index=self.index, size=self.note.size, proof=self.hashes, root=self.note.root)
        except ProofError as error:
            raise CheckpointError(f"the entry is not in the log: {error}") from None


def parse_proof(data: bytes) -> LogProof:
    """Read a proof. A line of extra data is refused, since nobody here makes one. Raises CheckpointError."""
    if len(data) > MAX_BYTES:
        raise CheckpointError("too long")
    head, separator, note = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if not separator or first != _FIRST.encode() or index is None or int(index[1]) > MAX_SIZE:
        raise CheckpointError("not a proof of a log")
    if len(lines) > 1 + MAX_PROOF:
        raise CheckpointError("not a proof of a log")
    return LogProof(index=int(index[1]), hashes=tuple(map(hash_of, lines[1:])), note=parse_cosigned(note))

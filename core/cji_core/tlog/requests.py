"""The body of add-checkpoint, C2SP tlog-witness: the size that the witness has, the proof from there, the checkpoint.

old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
an empty line
example.com/behind-the-sofa
...
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cji_core.strict import StrictError, b64_decode
from cji_core.trail.checkpoint import MAX_COSIGNED_BYTES, Checkpoint, CheckpointError, parse_cosigned
from cji_core.trail.merkle import HASH_BYTES, MAX_SIZE

MAX_PROOF: Final = 63
MAX_BODY: Final = MAX_COSIGNED_BYTES + 4096
SIZE_TYPE: Final = "text/x.tlog.size"
_OLD: Final = re.compile(rb"old (0|[1-9][0-9]{0,18})")
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A request. Nothing in it is verified yet."""

    old: int
    proof: tuple[bytes, ...]
    note: Checkpoint

    def encode(self) -> bytes:
        """The body."""
        return encode_body(self.old, self.proof, self.note.encode())


def encode_body(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The body of a request."""
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof), ""]
    return "".join(f"{each}\n" for each in lines).encode() + note


def parse_body(body: bytes) -> AddCheckpoint:
    """Read a request. Raises CheckpointError."""
    if len(body) > MAX_BODY:
        raise CheckpointError("too long")
    head, separator, note = body.partition(b"\n\n")
    first, *proof = head.split(b"\n")
    old = _OLD.fullmatch(first)
    if not separator or old is None or int(old[1]) > MAX_SIZE or len(proof) > MAX_PROOF:
        raise CheckpointError("not the body of add-checkpoint")
    return AddCheckpoint(old=int(old[1]), proof=tuple(map(hash_of, proof)), note=parse_cosigned(note))


def hash_of(line: bytes) -> bytes:
    """The hash of 32 bytes in a line of base64. Raises CheckpointError."""
    try:
        found = b64_decode(line.decode("ascii"))
    except (StrictError, UnicodeDecodeError):
        raise CheckpointError("a line of a proof") from None
    if len(found) != HASH_BYTES:
        raise CheckpointError("a line of a proof")
    return found


def parse_size(body: bytes) -> int:
    """The size in a witness's answer 409. Raises CheckpointError."""
    found = _SIZE.fullmatch(body)
    if found is None or int(found[1]) > MAX_SIZE:
        raise CheckpointError("not a size")
    return int(found[1])

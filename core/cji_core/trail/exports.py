"""An export: a folder with lines of a trail as they are in it, and the proof that none between them is left out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cji_core.trail.checkpoint import Checkpoint
from cji_core.trail.index import TrailIndex
from cji_core.trail.merkle import ProofError
from cji_core.trail.proofs import MAX_BYTES, RangeProof, decode_proof, encode_proof, prove_lines, verify_lines
from cji_core.trail.rules import CheckpointKeys
from cji_core.trail.trail import file_lines

LINES: Final = "lines.jsonl"
PROOF: Final = "proof.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A verified export: its first and last line, and the checkpoint that a key signed."""

    first: int
    last: int
    checkpoint: Checkpoint
    receipt_key: str


def write_export(index: TrailIndex, first: int, last: int, folder: Path) -> None:
    """Make a new folder with the lines `first` to `last`. Raises ProofError, ChainError or OSError."""
    proof = prove_lines(index, first, last)
    folder.mkdir(mode=0o700)
    with (folder / LINES).open("xb") as file:
        file.writelines(index.lines(first, last))
    (folder / PROOF).write_bytes(encode_proof(proof))


def read_export(folder: Path, keys: CheckpointKeys, take: Callable[[int, bytes], None] = lambda *_: None) -> Export:
    """Verify an export; `take` gets each line with its number before the proof is complete.

    Raises ProofError, ChainError with the line, or OSError.
    """
    with (folder / PROOF).open("rb") as stream:
        proof = decode_proof(stream.read(MAX_BYTES + 1))
    if not isinstance(proof, RangeProof):
        raise ProofError("it is not the proof of an export")

    def lines() -> Iterator[bytes]:
        for number, line in enumerate(file_lines(folder / LINES), proof.index + 1):
            take(number, line)
            yield line

    head, checkpoint = verify_lines(proof, lines(), keys)
    return Export(first=proof.index + 1, last=head.seq, checkpoint=checkpoint, receipt_key=proof.receipt_key)

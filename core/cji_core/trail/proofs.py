"""A proof in a file: that one line is in a trail, or that a trail continues an earlier one, without the other lines.

    {"kind":"line","version":1,"line":"<the line>","index":N,"proof":["<base64>",...],"checkpoint":"<signed note>",
     "receipt_key":"<thumbprint>"}
    {"kind":"consistency","version":1,"earlier":"<signed note>","later":"<signed note>","proof":["<base64>",...]}
    {"kind":"range","version":1,"index":N,"count":N,"proof":["<base64>",...],"checkpoint":"<signed note>",
     "receipt_key":"<thumbprint>"}

`index` counts from 0, so it is the line's number less one. Hashes lead from the leaf to the root (RFC 9162 §2.1.3.1),
or from the earlier root to the later (§2.1.4.1); those of a range are the subtrees left and right of its lines, which
are in another file. Verification needs these files and the key alone.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.documents import OneForm
from cji_core.strict import StrictError
from cji_core.trail.chain import MAX_LINE_BYTES, ChainError, Head, Record, read, verify_next
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, note_key_id, parse_checkpoint
from cji_core.trail.fields import Count, KeyId, Note
from cji_core.trail.index import KeptCheckpoint, TrailIndex
from cji_core.trail.merkle import (
    MAX_SIZE,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    range_proof,
    verify_consistency,
    verify_inclusion,
    verify_range,
)
from cji_core.trail.rules import CheckpointKeys

MAX_BYTES: Final = 4 * MAX_LINE_BYTES

Hashes = Annotated[tuple[bytes, ...], Meta(max_length=2 * MAX_SIZE.bit_length())]


class _Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    version: Literal[1] = 1


class LineProof(_Proof, frozen=True, kw_only=True, tag="line"):
    """One line, and the way from it to a checkpoint that `receipt_key` signed.

    The line may have another worker's id than the checkpoint: one whose id was changed continues its trail.
    """

    line: Annotated[str, Meta(max_length=MAX_LINE_BYTES)]
    index: Count
    proof: Hashes
    checkpoint: Note
    receipt_key: KeyId


class ConsistencyProof(_Proof, frozen=True, kw_only=True, tag="consistency"):
    """The trail under `later` begins with exactly the lines under `earlier`."""

    earlier: Note
    later: Note
    proof: Hashes


class RangeProof(_Proof, frozen=True, kw_only=True, tag="range"):
    """All the lines from `index`, `count` of them, and none left out: the proof of an export."""

    index: Count
    count: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    proof: Hashes
    checkpoint: Note
    receipt_key: KeyId


Proof = LineProof | ConsistencyProof | RangeProof

_FORM: Final[OneForm[Proof]] = OneForm(Proof, limit=MAX_BYTES, end=b"\n")  # type: ignore[arg-type]


def encode_proof(proof: Proof) -> bytes:
    """As a file."""
    return _FORM.encode(proof)


def decode_proof(data: bytes) -> Proof:
    """Read a proof of at most 320 KiB; nothing is verified yet. Raises ProofError."""
    try:
        return _FORM.decode(data)
    except StrictError as error:
        raise ProofError(f"the file is not a proof: {error}") from error


def verify_line(proof: LineProof, keys: CheckpointKeys) -> tuple[Record, Checkpoint]:
    """Return the record and the checkpoint if one of `keys` signed a trail with this line. Raises ProofError."""
    checkpoint = _signed(proof.checkpoint, keys, only=proof.receipt_key)
    line = proof.line.encode() + b"\n"
    try:
        record = read(line, number=proof.index + 1)
    except ChainError as error:
        raise ProofError(str(error)) from error
    if record.seq != proof.index + 1:
        raise ProofError(f"the line has the number {record.seq}, but is proven as {proof.index + 1}")
    path = proof.proof
    verify_inclusion(leaf_hash(line), index=proof.index, size=checkpoint.size, proof=path, root=checkpoint.root)
    return record, checkpoint


def verify_continued(proof: ConsistencyProof, keys: CheckpointKeys) -> tuple[Checkpoint, Checkpoint]:
    """Return both checkpoints if `keys` signed them and the later trail continues the earlier. Raises ProofError."""
    earlier, later = _signed(proof.earlier, keys), _signed(proof.later, keys)
    if earlier.origin != later.origin:
        raise ProofError("the checkpoints are of different trails")
    verify_consistency(
        earlier=earlier.size, earlier_root=earlier.root, size=later.size, root=later.root, proof=proof.proof
    )
    return earlier, later


def verify_lines(proof: RangeProof, lines: Iterable[bytes], keys: CheckpointKeys) -> tuple[Head, Checkpoint]:
    """Return the last line and the checkpoint if `lines` are the range and one of `keys` signed it.

    Each must continue the chain as well. Raises ProofError, or ChainError with the line.
    """
    checkpoint = _signed(proof.checkpoint, keys, only=proof.receipt_key)
    head: Head | None = None

    def leaves() -> Iterator[bytes]:
        nonlocal head
        for number, line in enumerate(lines, proof.index + 1):
            if head is None:
                head = Head(seq=proof.index, hash=read(line, number=number).prev)
            head, _ = verify_next(line, head=head, number=number)
            yield leaf_hash(line)

    end = proof.index + proof.count
    verify_range(leaves(), first=proof.index, end=end, size=checkpoint.size, proof=proof.proof, root=checkpoint.root)
    assert head is not None  # noqa: S101 - a range has lines
    return head, checkpoint


def signer_of(checkpoint: Checkpoint, keys: CheckpointKeys) -> str | None:
    """The thumbprint of the key among `keys` that the checkpoint names as its signer."""
    named = {each.key_id for each in checkpoint.signatures if each.name == checkpoint.origin}
    return next((thumbprint for thumbprint, key in keys.items() if note_key_id(key) in named), None)


def _signed(note: str, keys: CheckpointKeys, *, only: str | None = None) -> Checkpoint:
    try:
        checkpoint = parse_checkpoint(note.encode())
        signer = signer_of(checkpoint, keys) if only is None else only
        if signer is None or signer not in keys:
            raise ProofError(f"the checkpoint of {checkpoint.size} lines is not signed by a key that you gave")
        checkpoint.verify(keys[signer])
    except CheckpointError as error:
        raise ProofError(f"checkpoint: {error}") from error
    return checkpoint


def prove_line(index: TrailIndex, seq: int, checkpoint: Checkpoint | None = None) -> LineProof:
    """The proof of line `seq` against a checkpoint of the trail, the first that covers it by default.

    Raises ProofError, by name, if there is no such line or if the trail does not have this checkpoint.
    """
    try:
        data, _ = index.line(seq)
    except KeyError:
        raise ProofError(_absent(index, seq)) from None
    if checkpoint is None:
        kept = index.checkpoint_after(seq)
        if kept is None:
            raise ProofError(f"no checkpoint covers line {seq} yet: a worker writes one every minute and when it stops")
        note = kept.note
    else:
        kept, note = _kept(index, checkpoint), checkpoint.encode().decode()
        if kept.size < seq:
            raise ProofError(f"the checkpoint is of {kept.size} lines, so it does not cover line {seq}")
    return LineProof(
        line=data[:-1].decode(),
        index=seq - 1,
        proof=tuple(inclusion_proof(seq - 1, kept.size, index.tree.subtree)),
        checkpoint=note,
        receipt_key=kept.receipt_key,
    )


def prove_lines(index: TrailIndex, first: int, last: int) -> RangeProof:
    """The proof of the lines `first` to `last` against the first checkpoint that covers them. Raises ProofError."""
    if first < index.first:
        raise ProofError(_absent(index, first))
    kept = index.checkpoint_after(last)
    if kept is None or not 1 <= first <= last:
        raise ProofError(f"no checkpoint covers the lines {first} to {last}")
    return RangeProof(
        index=first - 1,
        count=last - first + 1,
        proof=tuple(range_proof(first - 1, last, kept.size, index.tree.subtree)),
        checkpoint=kept.note,
        receipt_key=kept.receipt_key,
    )


def prove_continued(index: TrailIndex, earlier: Checkpoint, later: Checkpoint) -> ConsistencyProof:
    """The proof that the trail under `later` continues that under `earlier`. Raises ProofError as `prove_line` does."""
    for each in (earlier, later):
        _kept(index, each)
    if earlier.size > later.size:
        raise ProofError(f"the earlier checkpoint is of {earlier.size} lines, the later one of {later.size}")
    try:
        proof = consistency_proof(earlier.size, later.size, index.tree.subtree)
    except ValueError:
        raise ProofError(f"the lines of the checkpoint of {earlier.size} lines were pruned") from None
    return ConsistencyProof(earlier=earlier.encode().decode(), later=later.encode().decode(), proof=tuple(proof))


def _absent(index: TrailIndex, seq: int) -> str:
    """Why there is no such line."""
    pruned = index.pruned()
    if pruned is not None and seq <= pruned.last:
        return f"line {seq} was pruned with all until line {pruned.last}: look for an export of it"
    return f"the trail has no line {seq}"


def _kept(index: TrailIndex, checkpoint: Checkpoint) -> KeptCheckpoint:
    """The trail's own record of a checkpoint; ProofError by name if it has none."""
    size, lines = checkpoint.size, index.watcher.tree.size
    kept = index.checkpoint_after(size) if size else None
    if kept is not None and parse_checkpoint(kept.note.encode()).text == checkpoint.text:
        return kept
    if not index.has_origin(checkpoint.origin):
        raise ProofError(f"the checkpoint of {size} lines is of another trail")
    if size > lines:
        raise ProofError(
            f"the checkpoint is of {size} lines, but the trail has {lines}: it was cut, or is an older copy"
        )
    if size and checkpoint.root != index.tree.root(size):
        raise ProofError(f"the checkpoint of {size} lines is of other lines: the trail was forked or rewritten")
    raise ProofError(f"the trail does not record the checkpoint of {size} lines")

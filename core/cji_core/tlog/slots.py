"""The rules of the agency's log, once: the log refuses an entry by them, and a monitor finds by them what a log took.

A trail's slot is named by the trail's identity, the hash of its first line, which is leaf 0 of the tree that the
attested receipt key signs.

    unknown_trail   the first entry lacks the key's attestation, or the first line with its proof
    identity        the first line is not `trail_started` of this trail, or not in the signed tree
    signature       the checkpoint is not signed by the slot's key
    superseded      the key was attested before the slot's key: only the key of the newest quote counts
    other_machine   the key was attested by another AK than the slot's, or than a statement names since  -> conflict
    previous        the entry does not continue the slot's last one
    consistency     its proof is wrong
    fork            a checkpoint of as many lines has another root: one key, two histories               -> conflict
    rollback        a key of a newer quote signed fewer lines: an older copy was continued               -> conflict
    frozen          the slot waits for a person, who decides by a statement
    decision        a statement that does not fit the slot, or was applied before
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.digests import Hex96
from cji_core.jose import parse_p384
from cji_core.strict import hex_decode
from cji_core.tlog.leaves import (
    Cause,
    CheckpointLeaf,
    ConflictLeaf,
    FirstLine,
    KeyBinding,
    Leaf,
    LeafError,
    NoteText,
    Release,
    StatementLeaf,
    TrailDecision,
    Withdrawal,
    verify_decision,
)
from cji_core.trail.chain import GENESIS, ChainError, verify_next
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from cji_core.trail.fields import Count, TpmClock
from cji_core.trail.merkle import ProofError, leaf_hash, verify_consistency, verify_inclusion
from cji_core.trail.worker_events import TrailStarted

CONFLICTS: Final[frozenset[str]] = frozenset({"fork", "rollback", "other_machine"})


class Slot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log's state of a trail. `entries` counts its entries; `admitted` is the AK that a person named since."""

    key: KeyBinding
    note: NoteText
    entries: Count = 1
    frozen: Cause | None = None
    admitted: str | None = None

    def checkpoint(self) -> Checkpoint:
        """The checkpoint of its last entry."""
        return parse_checkpoint(self.note.encode())


class Slots:
    """Applies entries, in order, to the slots that `get` reads and `put` keeps."""

    def __init__(
        self,
        get: Callable[[Hex96], Slot | None],
        put: Callable[[Hex96, Slot], None],
        *,
        operators: Sequence[ec.EllipticCurvePublicKey],
        origin: str,
    ) -> None:
        self._get, self._put, self._operators, self._origin = get, put, operators, origin

    def take(self, leaf: Leaf) -> None:
        """Apply one entry. Raises LeafError for one that must not be in the log; then nothing changed."""
        match leaf:
            case CheckpointLeaf():
                self._put(leaf.trail, self._continued(leaf))
            case ConflictLeaf():
                self._conflict(leaf)
            case StatementLeaf():
                if isinstance(leaf.decision, Release | Withdrawal):
                    raise LeafError("decision", "this log is of trails: its policy names no publishers")
                verify_decision(leaf, self._operators)
                if leaf.decision.origin != self._origin:
                    raise LeafError("decision", "a statement for another log")
                if isinstance(leaf.decision, TrailDecision):
                    self._decided(leaf.decision)

    def _continued(self, leaf: CheckpointLeaf | ConflictLeaf) -> Slot:
        slot = self._get(leaf.trail)
        key = leaf.key or (slot.key if slot else None)
        if key is None:
            raise LeafError("unknown_trail", "the first entry of a trail needs the evidence of its machine")
        note = _signed_by(leaf.note, key)
        if leaf.first is not None:
            _require_identity(leaf.trail, leaf.first, note)
        previous, consistency = (leaf.previous, leaf.consistency) if isinstance(leaf, CheckpointLeaf) else (0, ())
        if slot is None:
            if leaf.first is None:
                raise LeafError("unknown_trail", "the first entry of a trail needs its first line")
            if previous or consistency:
                raise LeafError("previous", "the first entry of a trail continues none")
            return Slot(key=key, note=leaf.note)
        before = slot.checkpoint()
        _require_open(slot, leaf.key)
        _require_later(before, note, newer=leaf.key is not None)
        if previous != before.size:
            raise LeafError("previous", f"the last entry of this trail is of {before.size} lines")
        try:
            proof = [hex_decode(each) for each in consistency]
            verify_consistency(
                earlier=before.size, earlier_root=before.root, size=note.size, root=note.root, proof=proof
            )
        except ProofError as error:
            raise LeafError("consistency", str(error)) from None
        return Slot(key=key, note=leaf.note, entries=slot.entries + 1)

    def _conflict(self, leaf: ConflictLeaf) -> None:
        """Freeze the slot, if the entry shows what it says."""
        slot = self._get(leaf.trail)
        if slot is None:
            raise LeafError("unknown_trail", "a conflict about a trail without entries")
        if leaf.first is None:
            raise LeafError("identity", "a conflict needs the first line: else it may be of another trail")
        try:
            self._continued(leaf)
        except LeafError as error:
            if error.cause != leaf.cause:
                raise LeafError("conflict", f"the entry says {leaf.cause}, and shows {error.cause}") from None
        self._put(leaf.trail, msgspec.structs.replace(slot, frozen=leaf.cause, entries=slot.entries + 1))

    def _decided(self, decision: TrailDecision) -> None:
        slot = self._get(decision.trail)
        if slot is None or slot.entries != decision.entries:
            raise LeafError("decision", "it is for a trail with other entries")
        try:
            if not parse_checkpoint(decision.note.encode()).size:
                raise LeafError("decision", "it continues a checkpoint of no lines")
        except CheckpointError as error:
            raise LeafError("decision", str(error)) from None
        admitted = None if decision.ak_sha256 == slot.key.ak_sha256 else decision.ak_sha256
        after = Slot(key=slot.key, note=decision.note, entries=slot.entries + 1, admitted=admitted)
        self._put(decision.trail, after)


def newer(one: TpmClock, than: TpmClock) -> bool:
    """Whether a quote of a TPM is newer than another one of the same TPM."""
    return (one.reset_count, one.restart_count, one.clock) > (than.reset_count, than.restart_count, than.clock)


def identity_of(line: bytes) -> str:
    """The identity of the trail with this first line. Raises LeafError."""
    try:
        _, record = verify_next(line, head=GENESIS, number=1)
    except ChainError as error:
        raise LeafError("identity", str(error)) from None
    if not isinstance(record.event, TrailStarted):
        raise LeafError("identity", "the first line is not `trail_started`")
    return record.hash


def _require_open(slot: Slot, bound: KeyBinding | None) -> None:
    """Raise LeafError unless the slot takes entries, and the key that is new to it is the one that counts."""
    if slot.frozen is not None:
        raise LeafError("frozen", f"this trail waits for a decision: {slot.frozen}")
    machine = slot.key.ak_sha256 if bound is None else bound.ak_sha256
    if machine != (slot.admitted or slot.key.ak_sha256):
        raise LeafError("other_machine", "another machine attested this key")
    if bound is not None and not slot.admitted and not newer(bound.clock, slot.key.clock):
        raise LeafError("superseded", "a later start of this machine has another key")


def _signed_by(text: str, key: KeyBinding) -> Checkpoint:
    try:
        note = parse_checkpoint(text.encode())
        note.verify(parse_p384(key.receipt_jwk))
    except (CheckpointError, ValueError) as error:
        raise LeafError("signature", str(error)) from None
    return note


def _require_identity(trail: str, first: FirstLine | None, note: Checkpoint) -> None:
    if first is None:
        raise LeafError("unknown_trail", "the first entry of a trail needs its first line")
    line = first.line.encode()
    if identity_of(line) != trail:
        raise LeafError("identity", "the first line is that of another trail")
    try:
        proof = [hex_decode(each) for each in first.inclusion]
        verify_inclusion(leaf_hash(line), index=0, size=note.size, proof=proof, root=note.root)
    except ProofError as error:
        raise LeafError("identity", str(error)) from None


def _require_later(before: Checkpoint, note: Checkpoint, *, newer: bool) -> None:
    """Raise LeafError unless this checkpoint can continue the one before."""
    if note.size > before.size:
        return
    if note.size < before.size and newer:
        raise LeafError("rollback", f"a later start signed {note.size} lines, and {before.size} were there")
    if note.size == before.size and note.root != before.root:
        raise LeafError("fork", f"two histories of {note.size} lines")
    raise LeafError("previous", f"the last entry of this trail is of {before.size} lines")

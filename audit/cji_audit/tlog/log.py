"""A log: takes entries by the rules of its policy's kind (`rules`), signs its tree, has it cosigned.

An entry is durable before the tree that has it is signed, and a checkpoint is published once a quorum cosigned it. A
conflict becomes an entry of its own, so that a reader of the log finds it too.
"""

import base64
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from cji_audit.tlog.cosigning import Cosigner, CosigningError, KeyUnusableError, LogBehindError, with_signatures
from cji_audit.tlog.rules import rules_of
from cji_audit.tlog.store import LogStore
from cji_core.errors import SpecError
from cji_core.https import Client
from cji_core.jose import parse_p384
from cji_core.log import log
from cji_core.tlog.keys import NoteSigner
from cji_core.tlog.leaves import (
    CheckpointLeaf,
    ConflictLeaf,
    KeyBinding,
    Leaf,
    LeafError,
    PolicyDecision,
    StatementLeaf,
    decode_leaf,
    encode_leaf,
    new_salt,
    sha384,
)
from cji_core.tlog.policy import Cosigned, Policy, PolicyError, Witness
from cji_core.tlog.proofs import LogProof
from cji_core.tlog.slots import CONFLICTS, Slot
from cji_core.tlog.submissions import Added, Newest, Submission, evidence_of
from cji_core.trail.checkpoint import (
    Checkpoint,
    CheckpointError,
    NoteSignature,
    note_key_id,
    parse_checkpoint,
    parse_cosigned,
)
from cji_core.trail.merkle import inclusion_proof

Appraise = Callable[[bytes], KeyBinding]
"""From an evidence file to what it attests. Raises LeafError(`evidence`)."""
_PUBLISHED: Final = "published"


class AgencyLog:
    """One log. `stopped` has the reason once a witness showed that this is not the one history of it."""

    def __init__(
        self,
        store: LogStore,
        policy: Policy,
        signers: Sequence[NoteSigner],
        *,
        appraise: Appraise,
        client: Client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises PolicyError unless the signers are the policy's keys."""
        if {each.key.vkey for each in signers} != {each.vkey for each in policy.keys}:
            raise PolicyError("the key file has other keys than the policy")
        self.store, self.policy = store, policy
        self._signers, self._appraise, self._client, self._clock = signers, appraise, client, clock
        self._adding, self._cosigning = threading.Lock(), threading.Lock()
        self._published: Cosigned | None = None
        self.stopped: LogBehindError | None = None
        data = store.meta(_PUBLISHED)
        if data is not None:
            try:
                self._published = policy.read(data, now=None)
            except CheckpointError:
                log("published checkpoint is of another policy")

    def add(self, submission: Submission) -> Added:
        """Take an entry and return its proof. Raises LeafError, or CosigningError once the entry is there."""
        self._require_one_history()
        with self._adding:
            index = self._known(submission)
            if index is None:
                index = self._new(submission)
        found = self._proven(index)
        root = parse_checkpoint(submission.note.encode()).root
        log("entry cosigned", what=base64.b64encode(root).decode(), count=index)
        return found

    def state(self, statement: StatementLeaf) -> Added:
        """Add the statement of an operator or a publisher; return its proof. Raises LeafError or CosigningError."""
        self._require_one_history()
        with self._adding:
            index = self._stated(statement)
            if index is None:
                index = self._append(statement)
        return self._proven(index)

    def newest(self, trail: str) -> Newest | None:
        """The last entry of a trail."""
        slot, index = self.store.slot(trail), self.store.slot_entry(trail)
        if slot is None or index is None:
            return None
        leaf = decode_leaf(self.store.entries(index, 1)[0])
        found = Newest(
            note=slot.note,
            previous=0,
            consistency=(),
            frozen=slot.frozen is not None,
            entries=slot.entries,
            ak_sha256=slot.key.ak_sha256,
        )
        if isinstance(leaf, CheckpointLeaf):
            return msgspec.structs.replace(found, previous=leaf.previous, consistency=leaf.consistency)
        return found

    def slots(self) -> list[tuple[str, Slot]]:
        """The slots of all trails."""
        return self.store.trails()

    def published(self) -> Checkpoint | None:
        """The newest checkpoint that a quorum cosigned."""
        return None if self._published is None else self._published.note

    def refresh(self) -> None:
        """Cosign the tree as it is, if there are new leaves, or the quorum's times are half of their age.

        Raises CosigningError.
        """
        with self._cosigning:
            half = self.policy.file.max_age_seconds // 2
            found = self._published
            if found is None or found.note.size < self.store.size or found.at + half <= self._clock():
                self._cosign()

    def prove(self, index: int, note: Checkpoint) -> LogProof:
        """The proof of an entry under a published checkpoint."""
        return LogProof(index=index, hashes=tuple(inclusion_proof(index, note.size, self.store.subtree)), note=note)

    def _known(self, submission: Submission) -> int | None:
        """The index of the trail's last entry, if it is this checkpoint: an answer was lost."""
        slot = self.store.slot(submission.trail)
        if slot is None or slot.note != submission.note or slot.frozen is not None:
            return None
        index = self.store.slot_entry(submission.trail)
        leaf = None if index is None else decode_leaf(self.store.entries(index, 1)[0])
        return index if isinstance(leaf, CheckpointLeaf) else None

    def _stated(self, statement: StatementLeaf) -> int | None:
        """The index of this very release or withdrawal, if it is there: an answer was lost."""
        if not self.policy.publishers:
            return None
        entry = encode_leaf(statement)
        return next((at for at in range(self.store.size) if self.store.entries(at, 1)[0] == entry), None)

    def _new(self, submission: Submission) -> int:
        key, evidence = self._attested(submission)
        leaf = CheckpointLeaf(
            salt=new_salt(),
            trail=submission.trail,
            previous=submission.previous,
            consistency=submission.consistency,
            note=submission.note,
            key=key,
            first=submission.first,
        )
        try:
            return self._append(leaf, evidence)
        except LeafError as error:
            if error.cause in CONFLICTS and submission.first is not None:
                conflict = ConflictLeaf(
                    salt=new_salt(),
                    trail=leaf.trail,
                    cause=error.cause,  # type: ignore[arg-type]  # one of CONFLICTS
                    note=leaf.note,
                    key=key,
                    first=leaf.first,
                )
                log(
                    "trail frozen",
                    what=f"{error.cause}: {leaf.trail}",
                    remedy="Investigate, then decide: cji log decide.",
                )
                self._append(conflict, evidence)
            raise

    def _attested(self, submission: Submission) -> tuple[KeyBinding | None, bytes]:
        """The binding of the key and its evidence, if it is not the slot's. Raises LeafError."""
        slot = self.store.slot(submission.trail)
        if slot is not None and _signs(slot.key, submission.note):
            return None, b""
        if submission.evidence is None:
            raise LeafError("unknown_key", "the log needs the evidence that attests this key")
        file = evidence_of(submission.evidence)
        return self._appraise(file), file

    def _append(self, leaf: Leaf, evidence: bytes = b"") -> int:
        """Add an entry by the rules, and its evidence with it: one that is refused leaves nothing."""
        entry = encode_leaf(leaf)
        name = self._policy_statement(leaf)
        with self.store.writing():
            rules_of(self.policy, self.store).take(leaf)
            if name:
                self.store.set_meta(name, b"")
            if evidence:
                self.store.put_evidence(sha384(evidence), evidence)
            return self.store.append(entry)

    def _policy_statement(self, leaf: Leaf) -> str:
        """The name under which the store notes a statement of another policy: each counts once. Raises LeafError."""
        decision = leaf.decision if isinstance(leaf, StatementLeaf) else None
        if not isinstance(decision, PolicyDecision):
            return ""
        if decision.previous_sha384 != self.policy.digest:
            raise LeafError("decision", "it is for another policy than this log's")
        name = f"statement {sha384(msgspec.json.encode(decision))}"
        if self.store.meta(name) is not None:
            raise LeafError("decision", "this statement was made before")
        return name

    def _proven(self, index: int) -> Added:
        with self._cosigning:
            found = self._published
            fresh = self._clock() - self.policy.file.max_age_seconds / 2
            if found is None or found.note.size <= index or found.at <= fresh:
                found = self._cosign()
        proof = self.prove(index, found.note)
        entry = self.store.entries(index, 1)[0]
        return Added(entry=entry.decode(), proof=proof.encode().decode())

    def _cosign(self) -> Cosigned:
        """Sign the tree, ask every witness, publish. Raises CosigningError without a quorum, or without a key."""
        self._require_one_history()
        size, now = self.store.size, int(self._clock())
        text = f"{self.policy.file.origin}\n{size}\n{base64.b64encode(self.store.root(size)).decode()}\n"
        bare = Checkpoint(
            origin=self.policy.file.origin, size=size, root=self.store.root(size), text=text.encode(), signatures=()
        )
        try:
            note = with_signatures(bare, [each.sign(bare, at=now) for each in self._signers])
        except SpecError as error:
            raise KeyUnusableError(str(error), remedy=f"{error.remedy} Then restart the log.") from error
        with ThreadPoolExecutor(len(self.policy.witnesses)) as pool:
            asked = list(pool.map(lambda each: self._asked(each, note), self.policy.witnesses))
        self._require_one_history()
        for signatures in asked:
            note = with_signatures(note, signatures)
        try:
            found = self.policy.accept(parse_cosigned(note.encode()), now=int(self._clock()))
        except PolicyError as error:
            raise CosigningError(f"no quorum: {error}") from error
        self.store.set_meta(_PUBLISHED, note.encode())
        self._published = found
        return found

    def _require_one_history(self) -> None:
        if self.stopped is not None:
            raise self.stopped

    def _asked(self, witness: Witness, note: Checkpoint) -> tuple[NoteSignature, ...]:
        keys = " ".join(each.key_id.hex() for each in witness.keys)
        cosigner = Cosigner(witness=witness, client=self._client, policy=self.policy, store=self.store)
        try:
            signatures = cosigner.ask(note, cosigned=self.store.witnessed(witness.name, keys))
        except LogBehindError as error:
            self.stopped = error
            log("log stopped", what=str(error), remedy=error.remedy)
            return ()
        except CosigningError as error:
            log("witness did not cosign", what=str(error))
            return ()
        self.store.set_witnessed(witness.name, keys, note.size)
        return signatures


def _signs(key: KeyBinding, note: str) -> bool:
    """Whether a note says that it is signed by this key; the rules verify it."""
    try:
        signatures = parse_checkpoint(note.encode()).signatures
        wanted = note_key_id(parse_p384(key.receipt_jwk))
    except (CheckpointError, ValueError):
        raise LeafError("signature", "the checkpoint cannot be read") from None
    return any(each.key_id == wanted for each in signatures)

"""A log of releases: its rules, once, and what somebody who has read all of its entries finds. No I/O.

A log whose policy names `publishers` is of releases: it has statements alone, and everybody may read them.

    decision    an entry that is not a statement, or is a decision about a trail, or names another log
    signature   not signed by a publisher's key of the policy; another policy: by an operator's
    released    this version of the product, for this flavour and platform, was released before
    withdrawal  of a release that the log does not have, or that was withdrawn before
    full        more entries than a reader takes

`ReleaseLog` is a copy of the log in one file: every entry, and a cosigned checkpoint. Its reader needs no proof of
inclusion, since the root is computed from all entries, and no withdrawal can be left out.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_core.documents import OneForm
from cji_core.strict import StrictError
from cji_core.tlog.leaves import (
    MAX_ENTRY_BYTES,
    MAX_PCR,
    Image,
    Leaf,
    LeafError,
    PcrValue,
    PolicyDecision,
    Release,
    StatementLeaf,
    Withdrawal,
    decision_sha384,
    decode_leaf,
    encode_leaf,
    verify_decision,
)
from cji_core.tlog.policy import Policy, read_policy
from cji_core.tlog.proofs import LogProof
from cji_core.trail.checkpoint import MAX_COSIGNED_BYTES, Checkpoint, CheckpointError, parse_cosigned
from cji_core.trail.merkle import Frontier, leaf_hash

MAX_ENTRIES: Final = 1024
MAX_ALL_BYTES: Final = 1_000_000
"""Of all entries together, which fit into one answer: some 250 releases with an image. Then a new log begins."""
MAX_COPY_BYTES: Final = 3 << 19
"""Of a file with all of them, in which quotation marks are escaped."""


class ReleaseLogError(CheckpointError):
    """A copy of a log of releases that does not count, or that counts no longer; the text names the reason."""

    code = "release-log"
    remedy = "Fetch the log again: `cji release fetch`. If it is refused again, ask the publisher and another reader."


class ReleaseLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: every entry of the log in its order, and the checkpoint of exactly these."""

    entries: Annotated[tuple[Annotated[str, Meta(max_length=MAX_ENTRY_BYTES)], ...], Meta(max_length=MAX_ENTRIES)]
    checkpoint: Annotated[str, Meta(max_length=MAX_COSIGNED_BYTES)]

    def encode(self) -> bytes:
        """The file. Raises ReleaseLogError for one that no reader takes."""
        try:
            return _FORM.encode(self)
        except StrictError as error:
            raise ReleaseLogError(str(error)) from error


_FORM: Final = OneForm(ReleaseLog, limit=MAX_COPY_BYTES)


def decode_copy(data: bytes) -> ReleaseLog:
    """Read a copy; nothing in it is verified. Raises ReleaseLogError."""
    try:
        return _FORM.decode(data)
    except StrictError as error:
        raise ReleaseLogError(f"not a copy of a log: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A release in the log, by the number of its entry; `withdrawn` is the statement that ended it."""

    index: int
    sha384: str
    release: Release
    withdrawn: Withdrawal | None = None

    def __str__(self) -> str:
        if self.withdrawn is None:
            return self.release.name
        return f"{self.release.name}, withdrawn {self.withdrawn.time}: {self.withdrawn.explanation}"


class Releases:
    """The entries of one log, taken in their order."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._found: dict[str, Released] = {}
        self._count = self._bytes = 0

    @classmethod
    def of(cls, policy: Policy, entries: Iterable[bytes]) -> "Releases":
        """All entries of a log. Raises LeafError for one that must not be in it."""
        found = cls(policy)
        for entry in entries:
            found.take(decode_leaf(entry))
        return found

    def all(self) -> tuple[Released, ...]:
        """Every release in the order of the log, withdrawn ones too."""
        return tuple(self._found.values())

    def by_digest(self, sha384: str) -> Released | None:
        """The release of this name of its decision."""
        return self._found.get(sha384)

    def take(self, leaf: Leaf) -> None:
        """Apply one entry. Raises LeafError for one that must not be in the log; then nothing changed.

        A change of the policy changes nothing here: a reader pins the policy that lists the keys of every entry.
        """
        if not isinstance(leaf, StatementLeaf):
            raise LeafError("decision", "this log is of releases: it has statements alone")
        decision = leaf.decision
        of_release = isinstance(decision, Release | Withdrawal)
        if not of_release and not isinstance(decision, PolicyDecision):
            raise LeafError("decision", "this log is of releases, and has no trails")
        if decision.origin != self._policy.file.origin:
            raise LeafError("decision", "a statement for another log")
        verify_decision(leaf, self._policy.publishers if of_release else self._policy.operators)
        size = len(encode_leaf(leaf))
        if self._count == MAX_ENTRIES or self._bytes + size > MAX_ALL_BYTES:
            raise LeafError("full", f"{self._count} entries of {self._bytes} bytes: begin another log")
        if isinstance(decision, Release):
            self._released(decision)
        elif isinstance(decision, Withdrawal):
            self._withdrawn(decision)
        self._count, self._bytes = self._count + 1, self._bytes + size

    def _released(self, release: Release) -> None:
        if any(each.release.name == release.name for each in self._found.values()):
            raise LeafError("released", f"{release.name} was released before")
        name = decision_sha384(release)
        self._found[name] = Released(index=self._count, sha384=name, release=release)

    def _withdrawn(self, decision: Withdrawal) -> None:
        found = self._found.get(decision.release_sha384)
        if found is None or found.withdrawn is not None:
            raise LeafError("withdrawal", "of a release that the log does not have, or that was withdrawn before")
        self._found[found.sha384] = Released(
            index=found.index, sha384=found.sha384, release=found.release, withdrawn=decision
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReleases:
    """All releases of a log, as of the time `at`, POSIX seconds, of the oldest cosignature that counts."""

    releases: Releases
    note: Checkpoint
    leaves: tuple[bytes, ...]
    at: int

    def continues(self, earlier: ReleaseLog) -> None:
        """Return if this begins with the entries of an earlier copy. Raises ReleaseLogError: two histories."""
        size = len(earlier.entries)
        if tuple(leaf_hash(each.encode()) for each in earlier.entries) != self.leaves[:size]:
            raise ReleaseLogError(f"it does not begin with the {size} entries that were read before: two histories")

    def shows(self, entry: bytes, proof: LogProof) -> Released:
        """The release of an entry with its own proof, at any age. Raises ReleaseLogError for a proof of another log."""
        if proof.note.size > len(self.leaves) or _root(self.leaves[: proof.note.size]) != proof.note.root:
            raise ReleaseLogError("the proof is of another history of the log, or of a later one")
        proof.verify(leaf_hash(entry))
        for each in self.releases.all():
            if each.index == proof.index:
                return each
        raise ReleaseLogError(f"entry {proof.index} is not of a release")

    def images(self) -> tuple[tuple[Released, Image], ...]:
        """Every release with an image, and that."""
        return tuple((one, image) for one in self.releases.all() if (image := one.release.image) is not None)

    def booted(self, pcrs: Sequence[bytes]) -> tuple[tuple[Released, Image], ...]:
        """Those all of whose PCRs are among these, from PCR 0; withdrawn ones and other flavours too."""
        shown = {PcrValue(pcr=pcr, sha256=value.hex()) for pcr, value in enumerate(pcrs) if pcr <= MAX_PCR}
        return tuple((one, image) for one, image in self.images() if shown.issuperset(image.pcrs))

    def partly(self, pcrs: Sequence[bytes]) -> tuple[tuple[int, tuple[Released, ...]], ...]:
        """For each PCR that an image predicts, the releases that predict this value."""
        predicted = [(one, each) for one, image in self.images() for each in image.pcrs]
        return tuple(
            (pcr, tuple(one for one, each in predicted if each == PcrValue(pcr=pcr, sha256=pcrs[pcr].hex())))
            for pcr in sorted({each.pcr for _, each in predicted})
        )


def read_releases(data: bytes, policy: Policy, *, now: int | None) -> KnownReleases:
    """All releases in a copy. Raises ReleaseLogError, PolicyError or LeafError unless every entry counts.

    The checkpoint must have a quorum that is not older at `now` than the policy allows; without `now`, of any age.
    """
    if not policy.publishers:
        raise ReleaseLogError("the policy names no publishers: it is of a log of trails")
    copy = decode_copy(data)
    note = parse_cosigned(copy.checkpoint.encode())
    accepted = policy.accept(note, now=now, later=True)
    entries = [each.encode() for each in copy.entries]
    leaves = tuple(map(leaf_hash, entries))
    if len(leaves) != note.size or _root(leaves) != note.root:
        raise ReleaseLogError(f"its {len(leaves)} entries are not those of its checkpoint of {note.size}")
    return KnownReleases(releases=Releases.of(policy, entries), note=note, leaves=leaves, at=accepted.at)


@functools.lru_cache(maxsize=4)
def known_releases(data: bytes, policy: bytes, *, now: int) -> KnownReleases:
    """As `read_releases`, with the bytes of a policy file; remembered, since many machines are appraised in a second.

    Raises ValueError too.
    """
    return read_releases(data, read_policy(policy), now=now)


def _root(leaves: Iterable[bytes]) -> bytes:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()

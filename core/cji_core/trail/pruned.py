"""The file that stays in place of lines that were pruned: `audit.log.pruned`.

It has what the following lines are verified with: the number and hash of the last line that was removed, the peaks of
the Merkle tree so far, and the state of the rules (`cji_core.trail.rules`). For the replay ledger it has the floor
of job ids and the jobs that had not ended.

Anyone who can write the folder can write such a file. So a trail that begins after one must have a `trail_pruned` with
the digest of exactly this file: it was appended before anything was removed, and later checkpoints sign it.
"""

import hashlib
from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.digests import Hex32, Hex64, Hex96
from cji_core.documents import OneForm
from cji_core.strict import hex_decode
from cji_core.trail.chain import ChainError, Head, Record
from cji_core.trail.fields import Count, Strict
from cji_core.trail.merkle import MAX_SIZE, Frontier
from cji_core.trail.worker_events import HoldPlaced, TrailPruned

SUFFIX: Final = ".pruned"
RETENTION: Final = timedelta(days=366)
"""CJISSECPOL AU-11: a year at least."""
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_RUNNING: Final = 10_000


class UnfinishedJob(Strict, frozen=True, kw_only=True):
    """A job that had not ended: `not_after` of its header, and its attempts so far as the replay ledger counts them.

    `attempts` came by a connection, the last of any kind was `admitted`; times are in Unix seconds.
    """

    header_sha384: Hex96
    not_after: Count
    attempts: Count
    admitted: Count


class Pruned(Strict, frozen=True, kw_only=True):
    """The state after line `last`, the last one that was removed.

    `offset` is where the next line begins, in bytes since the first line ever written; `floor` is in Unix seconds.
    """

    version: Literal[1] = 1
    first_hash: Hex96
    """Of line 1, which identifies the trail."""
    last: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    hash: Hex96
    offset: Annotated[int, Meta(ge=1, le=MAX_SIZE)]
    peaks: Annotated[tuple[Hex64, ...], Meta(max_length=63)]
    floor: Count
    resumed: bool
    """Whether the floor waits for the first attestation after a resumption."""
    policy_serial: Count
    """The highest of the policies that were in force."""
    running: Annotated[dict[Hex32, UnfinishedJob], Meta(max_length=MAX_RUNNING)]
    state: msgspec.Raw
    """Of the rules, as `Watcher.save` returns it."""

    def __post_init__(self) -> None:
        if len(self.peaks) != self.last.bit_count():
            raise ValueError("peaks of another size")

    @property
    def head(self) -> Head:
        """The end of the chain that was removed."""
        return Head(seq=self.last, hash=self.hash)

    def tree(self) -> Frontier:
        """The right edge of the tree over the lines that were removed."""
        return Frontier(self.last, [hex_decode(each) for each in self.peaks])

    def encode(self) -> bytes:
        """As a file."""
        return msgspec.json.encode(self) + b"\n"

    def sha384(self) -> str:
        """The digest of the file, which `trail_pruned` has."""
        return hashlib.sha384(self.encode()).hexdigest()

    def recorded_by(self, record: Record) -> bool:
        """Whether this line records the removal of exactly these lines."""
        event = record.event
        return (
            isinstance(event, TrailPruned)
            and event.last == self.last
            and event.root == self.tree().root().hex()
            and event.kept_sha384 == self.sha384()
        )

    def awaited(self, record: Record, *, before: bool) -> bool:
        """Whether a line must still record the removal after this one; a hold on the lines needs another record."""
        event = record.event
        return not self.recorded_by(record) and (before or (isinstance(event, HoldPlaced) and event.first <= self.last))

    def unrecorded(self) -> ChainError:
        """The fault of a trail without such a line."""
        detail = f"lines 1 to {self.last} are missing, and no line records that they were removed"
        return ChainError(line=1, field="pruned", detail=detail)


_FORM: Final = OneForm(Pruned, limit=MAX_BYTES, end=b"\n")


def decode_pruned(data: bytes) -> Pruned:
    """Read the content of a file of at most 16 MiB. Raises StrictError unless it is one, in its only form."""
    return _FORM.decode(data)

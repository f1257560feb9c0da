"""The releases that workers recorded: each with its boot, its attestation and the receipt key of that boot."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cji_audit.reconcile.entry import Key
from cji_core.trail.chain import Record
from cji_core.trail.events import Attested, KeyReleased
from cji_core.trail.trail import START, Position, after, pruned_of
from cji_core.trail.worker_events import WorkerStarted


@dataclass(slots=True, kw_only=True)
class Boot:
    """One start of a worker: its line, its attestations by evidence, and the keys of its receipts."""

    worker: str
    line: int
    attested: dict[str, int] = field(default_factory=dict)
    """The line of `attested`, by the SHA-384 of the evidence."""
    receipt_keys: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Release:
    """One `key_released` of a trail."""

    trail: str
    line: int
    hash: str
    """Of its line: a copy of a trail has no releases of its own."""
    time: datetime
    key: Key
    request_id: str
    evidence_sha384: str
    policy_sha256: str
    policy_before: str | None
    boot: Boot | None
    boot_pruned: bool = False
    """Whether the start of the worker was before the first line that is there."""

    @property
    def attested_at(self) -> int | None:
        """The line of the attestation that it rests on, in the same boot."""
        return None if self.boot is None else self.boot.attested.get(self.evidence_sha384)


class Releases:
    """The releases in one trail, which may still grow; every line is verified."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        """`name` stands for the trail in places."""
        self.path, self._name = path, name or path.name
        self._position: Position = START
        self._boot: Boot | None = None
        self._boot_pruned = False
        self.until: datetime | None = None
        """The time of the last line."""

    def read(self) -> Iterator[Release]:
        """The releases that were not returned before. Raises ChainError or OSError."""
        if self._position == START:
            self._boot_pruned = pruned_of(self.path) is not None
        for position, record in after(self.path, self._position):
            self._position = position
            self.until = datetime.fromisoformat(record.time).astimezone(UTC)
            found = self._note(record)
            if found is not None:
                yield found

    def _note(self, record: Record) -> Release | None:
        event = record.event
        if isinstance(event, WorkerStarted):
            self._boot, self._boot_pruned = Boot(worker=record.worker, line=record.seq), False
        elif isinstance(event, Attested) and self._boot is not None:
            self._boot.attested[event.evidence_sha384] = record.seq
            self._boot.receipt_keys.add(event.receipt_key)
        elif isinstance(event, KeyReleased):
            return self._release(record, event)
        return None

    def _release(self, record: Record, event: KeyReleased) -> Release:
        vault, _, rest = event.kek_id.removeprefix("https://").partition("/keys/")
        name, _, version = rest.partition("/")
        return Release(
            trail=self._name,
            line=record.seq,
            hash=record.hash,
            time=datetime.fromisoformat(record.time).astimezone(UTC),
            key=Key(vault=vault.lower(), name=name.lower(), version=version.lower()),
            request_id=event.request_id,
            evidence_sha384=event.evidence_sha384,
            policy_sha256=event.policy_sha256,
            policy_before=event.policy_before,
            boot=self._boot,
            boot_pruned=self._boot_pruned,
        )

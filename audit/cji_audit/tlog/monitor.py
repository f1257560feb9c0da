"""A monitor of an agency's log: reads every leaf, and applies the log's own rules to them.

    checkpoint   the newest checkpoint is not signed, not cosigned by a quorum, or older than the policy allows
    shrunk       the log shows fewer leaves than before
    leaves       the leaves are not those of the checkpoint: two histories of the log
    view         a witness cosigned another tree than the log shows here: two histories of the log
    entry        an entry that the rules refuse: two histories of a trail, or an entry without evidence
    frozen       a trail waits for a person's decision

With the reader's token, or of a log of releases, it reads entries, and finds two histories of one trail. Without, it
reads hash tiles, and finds two histories of the log. It keeps what it read, and continues from there.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from cji_audit.errors import AuditError
from cji_audit.tlog.rules import rules_of
from cji_audit.tlog.store import MAX_KEPT_BYTES, LogStore
from cji_core.documents import decode
from cji_core.https import Client, ExchangeError
from cji_core.tlog.leaves import LeafError, decode_leaf
from cji_core.tlog.policy import Cosigned, Policy, PolicyError, Witness
from cji_core.tlog.tiles import WIDTH, Tile, split_bundle, split_hashes, tiles_of
from cji_core.trail.checkpoint import CheckpointError, parse_cosigned
from cji_core.trail.merkle import leaf_hash

MAX_FINDINGS: Final = 1000
_FOUND: Final = "findings"
_MODE: Final = "entries"


class MonitorError(AuditError):
    """The log cannot be read, or the monitor's file is of another kind."""

    code = "monitor-failed"
    status = 4
    remedy = "Check the address, the token and the network; then run it again."


class MonitorFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `index` is the entry that it is about, if it is about one."""

    kind: str
    text: str
    index: int | None = None
    trail: str | None = None


@dataclass(slots=True, kw_only=True)
class MonitorReport:
    """The result of one run. `with_entries` is False if hashes alone were read."""

    size: int
    with_entries: bool
    cosigned: dict[str, int] = field(default_factory=dict)
    findings: list[MonitorFinding] = field(default_factory=list)


def has_entries(store: LogStore) -> bool:
    """Whether a monitor keeps its file with entries, and not with hashes alone."""
    return store.meta(_MODE) == b"read"


class LeavesDifferError(AuditError):
    """The leaves are not those of the checkpoint."""

    code = "log-leaves-differ"
    remedy = "Keep both, and ask the log's operator and its witnesses."


class Monitor:
    """One reader of one log."""

    def __init__(
        self,
        store: LogStore,
        policy: Policy,
        client: Client,
        *,
        token: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`token` is the reader's; without it entries are not read. MonitorError for a store of the other kind."""
        self._store, self._policy, self._client, self._token, self._clock = store, policy, client, token, clock
        self._entries = token is not None or bool(policy.publishers)
        mode = b"read" if self._entries else b"not read"
        if (store.meta(_MODE) or mode) != mode:
            raise MonitorError("this monitor's file was made with entries, or without", remedy="Name another file.")
        store.set_meta(_MODE, mode)
        self._found: list[MonitorFinding] = decode(
            store.meta(_FOUND) or b"[]", list[MonitorFinding], limit=MAX_KEPT_BYTES
        )

    def run(self) -> MonitorReport:
        """Read what is new. Raises MonitorError if the log does not answer."""
        report = MonitorReport(size=self._store.size, with_entries=self._entries)
        found = self._newest(report)
        if found is not None:
            report.cosigned = found.seen
            self._read(report, found)
        report.size = self._store.size
        for witness in self._policy.witnesses:
            self._compare(report, witness)
        report.findings += self._found
        for trail, slot in self._store.trails():
            if slot.frozen is not None:
                report.findings.append(MonitorFinding(kind="frozen", text=slot.frozen, trail=trail))
        return report

    def export(self, folder: Path) -> int:
        """Write the newest checkpoint that a quorum cosigned, and its hash tiles (tlog-tiles); return how many."""
        note = self._store.meta("checkpoint")
        if note is None:
            raise MonitorError("no checkpoint was verified yet", remedy="Run it until the log is verified.")
        count = 0
        folder.mkdir(parents=True, exist_ok=True)
        for tile in tiles_of(parse_cosigned(note).size):
            path = folder / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(self._store.hashes(tile.level or 0, tile.first, tile.width)))
            count += 1
        (folder / "checkpoint").write_bytes(note)
        return count

    def _newest(self, report: MonitorReport) -> Cosigned | None:
        data = self._get(f"{self._policy.file.url}/checkpoint")
        try:
            note = parse_cosigned(data)
            self._policy.signed_by_log(note)
        except CheckpointError as error:
            report.findings.append(MonitorFinding(kind="checkpoint", text=str(error)))
            return None
        try:
            return self._policy.accept(note, now=int(self._clock()))
        except PolicyError as error:
            report.findings.append(MonitorFinding(kind="checkpoint", text=str(error)))
        return Cosigned(note=note, seen={}, at=0)

    def _read(self, report: MonitorReport, found: Cosigned) -> None:
        """Take the new leaves, all or none; and keep the checkpoint, if a quorum cosigned it."""
        have, note = self._store.size, found.note
        if note.size < have:
            text = f"the log shows {note.size} leaves, and {have} were there"
            report.findings.append(MonitorFinding(kind="shrunk", text=text))
            return
        known = len(self._found)
        try:
            with self._store.writing():
                self._rules = rules_of(self._policy, self._store)
                for leaf, entry in self._leaves(have, note.size):
                    self._take(leaf, entry)
                if self._store.root(note.size) != note.root:
                    raise LeavesDifferError
                if found.seen:
                    self._store.set_meta("checkpoint", note.encode())
                self._store.set_meta(_FOUND, msgspec.json.encode(self._found))
        except (LeavesDifferError, CheckpointError):
            del self._found[known:]
            text = f"its leaves from {have} to {note.size} are not those of its checkpoint"
            report.findings.append(MonitorFinding(kind="leaves", text=text))

    def _take(self, leaf: bytes, entry: bytes | None) -> None:
        if entry is None:
            self._store.append_hash(leaf)
            return
        if leaf_hash(entry) != leaf:
            raise LeavesDifferError
        index, trail = self._store.size, None
        try:
            found = decode_leaf(entry)
            trail = getattr(found, "trail", None)
            self._rules.take(found)
        except LeafError as error:
            if len(self._found) < MAX_FINDINGS:
                self._found.append(MonitorFinding(kind="entry", text=str(error), index=index, trail=trail))
        self._store.append(entry)

    def _leaves(self, start: int, end: int) -> Iterator[tuple[bytes, bytes | None]]:
        """Leaf hashes with their entries, from `start` on."""
        for index in range(start // WIDTH, -(-end // WIDTH)):
            tile = Tile(level=0, index=index, width=min(WIDTH, end - index * WIDTH))
            hashes = split_hashes(self._tile(tile), width=tile.width)
            entries: list[bytes] | list[None] = [None] * tile.width
            if self._entries:
                bundle = Tile(level=None, index=index, width=tile.width)
                entries = split_bundle(self._tile(bundle), width=tile.width)
            skip = max(0, start - tile.first)
            yield from zip(hashes[skip:], entries[skip:], strict=True)

    def _tile(self, tile: Tile) -> bytes:
        return self._get(f"{self._policy.file.url}/{tile.path}", token=self._token if tile.level is None else None)

    def _compare(self, report: MonitorReport, witness: Witness) -> None:
        """Compare what a witness shows with the leaves; one that does not answer shows nothing."""
        origin = sha256(self._policy.file.origin.encode()).hexdigest()
        try:
            note = parse_cosigned(self._get(f"{witness.url.rstrip('/')}/{origin}/checkpoint"))
            self._policy.signed_by_log(note)
            if any(key.signature_on(note) is None for key in witness.keys):
                return
        except (MonitorError, CheckpointError):
            return
        if note.size <= self._store.size and self._store.root(note.size) != note.root:
            text = f"{witness.name} cosigned another tree of {note.size} leaves, which the log's keys signed"
            report.findings.append(MonitorFinding(kind="view", text=text))

    def _get(self, url: str, *, token: str | None = None) -> bytes:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            answer = self._client.exchange("GET", url, headers=headers)
        except ExchangeError as error:
            raise MonitorError(f"the log cannot be read: {error}") from error
        if answer.status != 200:
            raise MonitorError(f"the log answers with HTTP {answer.status}")
        return answer.body

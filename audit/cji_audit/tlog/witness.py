"""A witness, C2SP tlog-witness: it cosigns a log's checkpoint if it continues the one that it cosigned before.

    POST /add-checkpoint               200 with cosignatures; 400, 403, 404, 422; 409 with the size that it has, or
                                       without, if the checkpoint has another root of this size
    GET  /<origin hash>/checkpoint     the checkpoint that it cosigned last, with its cosignatures

Contract and invariants
* The new size is durable, and checked against the old one in the same step, before a cosignature leaves.
* A checkpoint that contradicts the record, and that the log signed, is kept as a proof of its two histories.
* A witness whose own cosignature shows it more leaves than its record has was restored from a backup: it retires the
  key, for good, since it may have cosigned another history meanwhile. It comes back under a new key.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cji_audit.errors import AuditError
from cji_audit.tlog.http_server import Answer, Request
from cji_core.errors import SpecError
from cji_core.log import log
from cji_core.tlog.keys import NoteKey, NoteSigner
from cji_core.tlog.requests import SIZE_TYPE, AddCheckpoint, parse_body
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, NoteSignature, parse_cosigned
from cji_core.trail.merkle import EMPTY_ROOT, ProofError, verify_consistency

MAX_LOGS: Final = 1024
MAX_CONFLICTS: Final = 1000
_WAIT_S: Final = 5.0
"""For a reader, whose transactions are short."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflict (
  n INTEGER PRIMARY KEY, origin TEXT, size INTEGER, root BLOB, at INTEGER, had BLOB, got BLOB,
  UNIQUE (origin, size, root)
);
CREATE TABLE IF NOT EXISTS retired (key_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""


class WitnessStateError(AuditError):
    """The state of a witness cannot be used, or its key was retired."""

    code = "witness-state"
    remedy = "Make a new key: cji witness key. Give its vkeys to the logs; never go back to the old one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two checkpoints of one log that do not fit each other; both are signed by it."""

    origin: str
    at: int
    had: bytes
    got: bytes


class WitnessState:
    """The memory of a witness, in one SQLite file. One process writes it; others may read."""

    def __init__(self, path: Path, *, reads: bool = False) -> None:
        """With `reads`, nothing is made or changed. Raises WitnessStateError."""
        self._lock = threading.RLock()
        uri = f"{path.absolute().as_uri()}?mode={'ro' if reads else 'rwc'}"
        try:
            self._db = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=_WAIT_S)
            if reads:
                self.sizes()
                return
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise WitnessStateError(f"{path} cannot be used: {error}", remedy="Name the state of a witness.") from error

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Nobody else writes, in this process or another, until the block ends; then it is durable, or undone.

        Raises sqlite3.Error if somebody else writes, or a reader holds the file for five seconds.
        """
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite has ended it after some errors, such as a full disk
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def checkpoint(self, origin: str) -> Checkpoint | None:
        """The checkpoint that was cosigned last."""
        rows = self._all("SELECT note FROM log WHERE origin = ?", origin)
        return parse_cosigned(rows[0][0]) if rows else None

    def keep(self, note: Checkpoint) -> None:
        """Make a cosigned checkpoint durable."""
        values = (note.origin, note.size, note.encode())
        self._all("INSERT OR REPLACE INTO log VALUES (?, ?, ?)", *values)

    def conflict(self, had: Checkpoint, got: Checkpoint, *, at: int) -> None:
        """Keep two checkpoints that contradict each other; the first ones of at most a thousand."""
        if self._all("SELECT COUNT(*) FROM conflict")[0][0] < MAX_CONFLICTS:
            sql = "INSERT OR IGNORE INTO conflict (origin, size, root, at, had, got) VALUES (?, ?, ?, ?, ?, ?)"
            self._all(sql, had.origin, got.size, got.root, at, had.encode(), got.encode())

    def conflicts(self) -> list[Conflict]:
        """All of them."""
        rows = self._all("SELECT origin, at, had, got FROM conflict ORDER BY n")
        return [Conflict(origin=origin, at=at, had=had, got=got) for origin, at, had, got in rows]

    def sizes(self) -> list[tuple[str, int]]:
        """Each log with the size that was cosigned last."""
        return [(origin, size) for origin, size in self._all("SELECT origin, size FROM log ORDER BY origin")]

    def retire(self, keys: Sequence[NoteKey], *, at: int) -> None:
        """Never sign with these keys again."""
        for each in keys:
            self._all("INSERT OR IGNORE INTO retired VALUES (?, ?)", each.vkey, at)

    def is_retired(self, key: NoteKey) -> bool:
        """Whether this key must not sign."""
        return bool(self._all("SELECT 1 FROM retired WHERE key_id = ?", key.vkey))

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()


class Witness:
    """Answers requests under one name, for the logs whose keys it was given."""

    def __init__(
        self,
        state: WitnessState,
        signers: Sequence[NoteSigner],
        logs: Mapping[str, Sequence[NoteKey]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`logs` are the keys of each by its origin. Raises WitnessStateError if the key was retired."""
        self._state, self._signers, self._clock = state, signers, clock
        self._logs = dict(logs)
        self._keys = [each.key for each in signers]
        self._hashes = {sha256(origin.encode()).hexdigest(): origin for origin in logs}
        if any(map(state.is_retired, self._keys)):
            raise WitnessStateError("this key was retired: the witness was restored from a backup")

    def __call__(self, request: Request) -> Answer:
        """The answer to a request."""
        if request.method == "POST":
            return self._added(request.body) if request.path.endswith("/add-checkpoint") else Answer(status=404)
        prefix, _, name = request.path.rpartition("/")
        origin = self._hashes.get(prefix.rpartition("/")[2])
        found = self._state.checkpoint(origin) if origin is not None and name == "checkpoint" else None
        return Answer(status=404) if found is None else Answer(status=200, body=found.encode())

    def _added(self, body: bytes) -> Answer:
        try:
            request = parse_body(body)
        except CheckpointError:
            return Answer(status=400)
        keys = self._logs.get(request.note.origin)
        if keys is None:
            return Answer(status=404)
        try:
            signed = [key for key in keys if key.signature_on(request.note) is not None]
            own = [key for key in self._keys if key.signature_on(request.note) is not None]
        except CheckpointError:
            return Answer(status=403)
        if not signed:
            return Answer(status=403)
        if request.old > request.note.size:
            return Answer(status=400)
        with self._state.deciding():
            return self._cosigned(request, signed=signed, own=own)

    def _cosigned(self, request: AddCheckpoint, *, signed: Sequence[NoteKey], own: Sequence[NoteKey]) -> Answer:
        had, note = self._state.checkpoint(request.note.origin), request.note
        size = 0 if had is None else had.size
        if any(map(self._state.is_retired, self._keys)):
            return Answer(status=503)
        if own and (note.size > size or (had is not None and note.size == size and note.root != had.root)):
            self._state.retire(self._keys, at=int(self._clock()))
            log("witness retired", what="its own cosignature is newer than its record", remedy=WitnessStateError.remedy)
            return Answer(status=503)
        other = had is not None and note.size == had.size and note.root != had.root
        if had is not None and other:
            self._contradicted(had, note)
        if request.old != size:
            return Answer(status=409, body=b"%d\n" % size, kind=SIZE_TYPE)
        if other:
            return Answer(status=409)
        if not _consistent(request, had):
            return Answer(status=422)
        return self._sign(note, signed)

    def _sign(self, note: Checkpoint, signed: Sequence[NoteKey]) -> Answer:
        try:
            cosignatures = tuple(each.sign(note, at=int(self._clock())) for each in self._signers)
        except SpecError as error:
            log("witness cannot sign", what=str(error), remedy=f"{error.remedy} Then restart the witness.")
            return Answer(status=503)
        ids = {(each.name, each.key_id) for each in signed}
        of_log = tuple(each for each in note.signatures if (each.name, each.key_id) in ids)
        self._state.keep(_with(note, (*of_log, *cosignatures)))
        return Answer(status=200, body="".join(each.line() for each in cosignatures).encode())

    def _contradicted(self, had: Checkpoint, got: Checkpoint) -> None:
        log(
            "log has two histories",
            what=f"of {had.size} leaves",
            remedy="cji witness status --json has both checkpoints.",
        )
        self._state.conflict(had, got, at=int(self._clock()))


def _consistent(request: AddCheckpoint, had: Checkpoint | None) -> bool:
    note = request.note
    if note.size == 0:
        return note.root == EMPTY_ROOT and not request.proof
    if had is None or had.size == 0:
        return not request.proof
    try:
        verify_consistency(earlier=had.size, earlier_root=had.root, size=note.size, root=note.root, proof=request.proof)
    except ProofError:
        return False
    return True


def _with(note: Checkpoint, signatures: tuple[NoteSignature, ...]) -> Checkpoint:
    return Checkpoint(origin=note.origin, size=note.size, root=note.root, text=note.text, signatures=signatures)

"""The replay ledger: the audit trail's index by job, in SQLite, so that neither memory nor start grows with history.

Contract and invariants
* The trail is the truth, and the ledger is a function of its lines alone, their times included. It records the last
  line that it has applied (`Mark`) and is never ahead of the trail on disk, so a power failure costs a replay of the
  lines after the mark and nothing else. Therefore lines are committed in groups, each group with one fsync.
* It has one entry per admitted job: header digest, state, the offset of its last line, the number of attempts that came
  by a connection and the time of the last one. Refusals are not indexed.
* It counts the jobs of each submitter and requesting agency by the UTC day of their first admission, for `DAYS` days.
* An entry leaves a day after its header's not_after; until then its receipt can be fetched. `floor` is the latest
  not_after of the entries that left: a header created no later than that is not accepted, because its job id might have
  been used. So a clock that is set forward and back again does not make an old job new.
* It keeps the highest serial of a policy that was in force.
* It keeps the right edge of the trail's Merkle tree, so a checkpoint reads no line again.
* After `TrailResumed` job ids may be missing, so the floor rises to the time of the next `Attested`, and until then no
  header is accepted. The operator's clock may be slow; that of an attestation is compared with the token's times.
* Offsets are in bytes since the first line ever written. If lines were pruned, it begins after them, with the floor
  that they leave; the entries of jobs whose lines were pruned leave with them.

SQLite keeps the write-ahead log and takes the file for itself (EXCLUSIVE); a second process gets an error.
"""

import enum
import os
import sqlite3
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cji_core.strict import hex_decode
from cji_core.trail.chain import GENESIS, Head, Record
from cji_core.trail.events import Attested, Event, JobAdmitted, JobCompleted, JobEnded
from cji_core.trail.fields import unix_seconds
from cji_core.trail.fleet_events import AttemptSuperseded
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.pruned import Pruned
from cji_core.trail.segments import Identity
from cji_core.trail.task_events import TaskAdmitted
from cji_core.trail.worker_events import FilesReloaded, TrailAnchored, TrailCheckpoint, TrailResumed, WorkerStarted
from cji_worker.errors import WorkerError

_VERSION: Final = 4
_SCHEMA: Final = """
CREATE TABLE job (
    id BLOB PRIMARY KEY,
    header_sha384 BLOB NOT NULL,
    state INTEGER NOT NULL,
    line INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    admitted INTEGER NOT NULL,
    admission INTEGER,
    base INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX job_unfinished ON job (line) WHERE state = 0;
CREATE INDEX job_leaving ON job (not_after) WHERE state <> 0;
CREATE TABLE admission (
    day INTEGER NOT NULL, submitter TEXT NOT NULL, ori TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    PRIMARY KEY (day, submitter, ori)
) STRICT, WITHOUT ROWID;
CREATE TABLE mark (
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    line INTEGER NOT NULL,
    size INTEGER NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    receipt INTEGER,
    admission INTEGER,
    base INTEGER,
    anchor INTEGER,
    floor INTEGER NOT NULL,
    resumed INTEGER NOT NULL,
    policy_serial INTEGER NOT NULL,
    tree BLOB NOT NULL,
    uncovered INTEGER NOT NULL
) STRICT;
"""
RETENTION_S: Final = 24 * 3600  # after not_after
GROUP: Final = 1000  # lines; what a start has to replay after a crash, at most
_LEAVING: Final = 64  # entries that leave with each admission, at most
DAYS: Final = 31
DAY_S: Final = 24 * 3600


class JobState(enum.IntEnum):
    """State of the last attempt of an admitted job."""

    ADMITTED = 0  # no end recorded: running, or its process died
    ENDED = 1  # or its receipt was superseded
    COMPLETED = 2
    IN_PARTS = 3  # tasks of it ran here; whether they are finished here is open

    @property
    def may_begin(self) -> bool:
        """Whether another attempt at the job, or a task of it, may begin."""
        return self in {JobState.ENDED, JobState.IN_PARTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """The entry of one admitted job; `line` is the offset of the line that records its state.

    `attempts` came by a connection of the submitter's; the last one was admitted at `admitted`, in Unix seconds.
    `admission` is the offset of the line that admitted it, `base` that of the receipt that a short one is like.
    """

    state: JobState
    header_sha384: bytes
    line: int
    attempts: int
    admitted: int
    admission: int | None = None
    base: int | None = None


@dataclass(slots=True, kw_only=True)
class Mark:
    """The last line that was applied, and where to find others. Offsets are in bytes, `floor` in Unix seconds."""

    head: Head = GENESIS
    line: int = 0
    size: int = 0
    """Offset of the end of that line."""
    file: Identity = 0, 0
    """The file with that line."""
    receipt: int | None = None
    """Offset of the line with the last receipt."""
    admission: int | None = None
    """Offset of the line that admitted its job."""
    base: int | None = None
    """Offset of the line with the last whole receipt, which short ones are like."""
    anchor: int | None = None
    """Offset of the last `TrailAnchored`."""
    floor: int = 0
    resumed: bool = False
    """Whether the floor waits for the first `Attested` after a `TrailResumed`."""
    policy_serial: int = 0
    """The highest of the policies that were in force."""
    tree: Frontier = field(default_factory=Frontier)
    """Of all lines until this one."""
    uncovered: bool = False
    """Whether lines other than anchors follow the last `TrailCheckpoint`."""


class ReplayLedgerDamagedError(WorkerError):
    """The file is not a ledger, or SQLite finds it damaged."""

    code = "ledger-damaged"
    remedy = "Run `cji audit resume`, which rebuilds the ledger from the trail."


@dataclass(slots=True)
class ReplayLedger:
    """An open ledger. Every method raises sqlite3.Error; the caller then closes it and opens it again."""

    path: Path
    mark: Mark = field(init=False)
    _database: sqlite3.Connection = field(init=False, repr=False)
    _pending: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Open the file, or create it with mode 0600. Raises OSError, sqlite3.Error or ReplayLedgerDamagedError."""
        require_own_file(self.path)
        self._database = sqlite3.connect(self.path, timeout=1, isolation_level=None)
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._database.execute(f"PRAGMA {pragma}")
            for pragma in ("cache_size = -8192", "mmap_size = 0", "temp_store = MEMORY"):
                self._database.execute(f"PRAGMA {pragma}")
            self.mark = self._read_mark()
        except ReplayLedgerDamagedError:
            self.close()
            raise
        except sqlite3.DatabaseError as error:
            self.close()
            if is_damage(error):
                raise ReplayLedgerDamagedError from error
            raise

    def entry(self, job_id: bytes) -> JobEntry | None:
        """The entry of one admitted job, None if it never was one or has left."""
        query = "SELECT state, header_sha384, line, attempts, admitted, admission, base FROM job WHERE id = ?"
        found = self._database.execute(query, (job_id,)).fetchone()
        if found is None:
            return None
        state, header_sha384, line, attempts, admitted, admission, base = found
        return JobEntry(
            state=JobState(state),
            header_sha384=header_sha384,
            line=line,
            attempts=attempts,
            admitted=admitted,
            admission=admission,
            base=base,
        )

    def admitted(self, *, time: int, submitter: str, ori: str) -> int:
        """Jobs of this submitter for this requesting agency, first admitted on the UTC day of `time` (Unix seconds)."""
        query = "SELECT jobs FROM admission WHERE day = ? AND submitter = ? AND ori = ?"
        found = self._database.execute(query, (time // DAY_S, submitter, ori)).fetchone()
        return 0 if found is None else int(found[0])

    def unfinished(self) -> list[int]:
        """Offsets of the admissions without an end, in their order."""
        rows = self._database.execute("SELECT line FROM job INDEXED BY job_unfinished WHERE state = 0 ORDER BY line")
        return [line for (line,) in rows]

    def last_completions(self, most: int) -> list[tuple[int, int | None, int | None]]:
        """Offsets of the lines of the last receipts that count, of admission and base; the newest first."""
        query = "SELECT line, admission, base FROM job WHERE state = ? ORDER BY line DESC LIMIT ?"
        return self._database.execute(query, (JobState.COMPLETED, most)).fetchall()

    def begin_after(self, pruned: Pruned) -> None:
        """Begin a new ledger after lines that were pruned."""
        self._begin()
        self._database.executemany(
            "INSERT INTO job VALUES (?, ?, ?, 0, ?, ?, ?, NULL, NULL)",
            [
                (
                    hex_decode(job_id),
                    hex_decode(job.header_sha384),
                    JobState.ADMITTED,
                    job.not_after,
                    job.attempts,
                    job.admitted,
                )
                for job_id, job in pruned.running.items()
            ],
        )
        self.mark = Mark(
            head=pruned.head,
            line=pruned.offset,
            size=pruned.offset,
            floor=pruned.floor,
            resumed=pruned.resumed,
            policy_serial=pruned.policy_serial,
            tree=pruned.tree(),
        )
        self.commit()

    def forget(self, pruned: Pruned) -> None:
        """Remove the entries of jobs whose lines were pruned; their ids are below the floor from now on."""
        self._begin()
        self._database.execute("DELETE FROM job WHERE state <> 0 AND line < ?", (pruned.offset,))
        for name in ("admission", "base"):
            self._database.execute(f"UPDATE job SET {name} = NULL WHERE {name} < ?", (pruned.offset,))  # noqa: S608
        self.mark.floor = max(self.mark.floor, pruned.floor)
        self.commit()

    def apply(self, record: Record, data: bytes, *, line: int, file: Identity, group: int = GROUP) -> None:
        """Apply the line at offset `line` in `file`, whose bytes are `data`: it follows the mark and is on disk.

        Commits after every `group` lines.
        """
        self._begin()
        self._apply(record.event, line, unix_seconds(record.time))
        self.mark.head, self.mark.line, self.mark.size = Head(seq=record.seq, hash=record.hash), line, line + len(data)
        self.mark.file = file
        self.mark.tree.append(leaf_hash(data))
        if self._pending >= group:
            self.commit()

    def commit(self) -> None:
        """Make everything that was applied durable."""
        if not self._pending:
            return
        mark = self.mark
        place = (mark.head.seq, mark.head.hash, mark.line, mark.size, *mark.file)
        found = (
            mark.receipt,
            mark.admission,
            mark.base,
            mark.anchor,
            mark.floor,
            mark.resumed,
            mark.policy_serial,
            mark.tree.encode(),
            mark.uncovered,
        )
        self._database.execute("DELETE FROM mark")
        self._database.execute(
            "INSERT INTO mark VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*place, *found)
        )
        self._database.execute("COMMIT")
        self._pending = 0

    def close(self) -> None:
        """Close without committing."""
        self._database.close()

    def _begin(self) -> None:
        if not self._pending:
            self._database.execute("BEGIN IMMEDIATE")
        self._pending += 1

    def _read_mark(self) -> Mark:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        (objects,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version == 0 and objects == 0:
            self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise ReplayLedgerDamagedError
        row = self._database.execute("SELECT * FROM mark").fetchone()
        if row is None:
            return Mark()
        seq, digest, line, size, device, inode, receipt, admission, base, *others = row
        anchor, floor, resumed, policy_serial, tree, uncovered = others
        frontier = _frontier(tree, seq)
        return Mark(
            head=Head(seq=seq, hash=digest),
            line=line,
            size=size,
            file=(device, inode),
            receipt=receipt,
            admission=admission,
            base=base,
            anchor=anchor,
            floor=floor,
            resumed=bool(resumed),
            policy_serial=policy_serial,
            tree=frontier,
            uncovered=bool(uncovered),
        )

    def _apply(self, event: Event, line: int, time: int) -> None:
        match event:
            case JobAdmitted():
                known = self.entry(hex_decode(event.job_id))
                attempts = (known.attempts if known else 0) + (event.attempt is None)
                self._put(event, JobState.ADMITTED, line, attempts=attempts, admitted=time)
                if known is None:  # else it counted with its first attempt, or its first task
                    self._count(time // DAY_S, event)
                self._leave(time - RETENTION_S)
            case TaskAdmitted() if self.entry(hex_decode(event.job_id)) is None:
                self._put(event, JobState.IN_PARTS, line, attempts=0, admitted=time)
                self._count(time // DAY_S, event)
                self._leave(time - RETENTION_S)
            case JobCompleted() | JobEnded() | AttemptSuperseded():
                state = JobState.COMPLETED if isinstance(event, JobCompleted) else JobState.ENDED
                job_id = hex_decode(event.job_id)
                if isinstance(event, JobCompleted):
                    known = self.entry(job_id)
                    self.mark.receipt, self.mark.admission = line, known.admission if known else None
                    if isinstance(event.receipt, str):
                        self.mark.base = line
                self._database.execute(
                    "UPDATE job SET state = ?, line = ?, base = ? WHERE id = ?", (state, line, self.mark.base, job_id)
                )
            case TrailAnchored():
                self.mark.anchor = line
                return
            case TrailCheckpoint():
                self.mark.uncovered = False
                return
            case TrailResumed():
                self.mark.resumed = True
            case Attested() if self.mark.resumed:
                self.mark.floor, self.mark.resumed = max(self.mark.floor, time), False
            case WorkerStarted() | FilesReloaded():
                self.mark.policy_serial = max(self.mark.policy_serial, event.policy_serial)
            case _:
                pass
        self.mark.uncovered = True

    def _put(
        self, event: JobAdmitted | TaskAdmitted, state: JobState, line: int, *, attempts: int, admitted: int
    ) -> None:
        job_id, header_sha384 = hex_decode(event.job_id), hex_decode(event.header_sha384)
        self._database.execute(
            "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (job_id, header_sha384, state, line, unix_seconds(event.not_after), attempts, admitted, line),
        )

    def _count(self, day: int, event: JobAdmitted | TaskAdmitted) -> None:
        self._database.execute(
            "INSERT INTO admission VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1",
            (day, event.submitter, event.requesting_ori),
        )
        self._database.execute("DELETE FROM admission WHERE day < ?", (day - DAYS,))

    def _leave(self, before: int) -> None:
        """Remove some entries whose header ended before this moment."""
        query = "SELECT id, not_after FROM job WHERE state <> 0 AND not_after < ? ORDER BY not_after LIMIT ?"
        leaving = self._database.execute(query, (before, _LEAVING)).fetchall()
        if leaving:
            self._database.executemany("DELETE FROM job WHERE id = ?", ((job_id,) for job_id, _ in leaving))
            self.mark.floor = max(self.mark.floor, leaving[-1][1])


def _frontier(data: bytes, size: int) -> Frontier:
    try:
        tree = Frontier.decode(data)
    except ValueError as error:
        raise ReplayLedgerDamagedError from error
    if tree.size != size:
        raise ReplayLedgerDamagedError
    return tree


def remove_replay_ledger(path: Path) -> None:
    """Remove a ledger that will be built again."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def is_full(error: sqlite3.Error) -> bool:
    """Whether only room is missing."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite finds the file damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def require_own_file(path: Path) -> None:
    """Make the file if there is none (mode 0600). Raises PermissionError if others can write it, and OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) or mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError("the replay ledger must be a regular file that only its owner can write")
    finally:
        os.close(fd)

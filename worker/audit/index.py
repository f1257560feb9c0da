"""An auditor's index of a trail: what `cji audit search` and `cji audit prove` look up instead of reading it all again.

A SQLite file of the auditor's own, made in one pass that verifies and examines every line, and continued from where it
ended. It has one row per line with the columns of a search, the leaf hashes in blocks of 256, and the nodes of the
Merkle tree above them, so a proof reads a few dozen rows.

It is bound to its trail by length, last line and root: a trail that is shorter, or has another line there, is refused
by name. A line that is shown or proven is read from the trail, and must have the leaf hash that was verified.

The operator stands in a job's admission alone; here the job's end has it too.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Self

from worker.audit.chain import MAX_LINE_BYTES, ChainError, Record, read
from worker.audit.index_search import SCHEMA as SEARCH_SCHEMA
from worker.audit.index_search import Row, Rows
from worker.audit.inspection import Inspection
from worker.audit.merkle import HASH_BYTES, Frontier, leaf_hash, root_of
from worker.audit.trail import lines, verified
from worker.audit.worker_events import TrailCheckpoint

_IDENTITY: Final = {"application_id": 0x636A6941, "user_version": 1}
_GROUP: Final = 50_000  # lines in a transaction
_LEVEL: Final = 8  # of a block's root
_BLOCK: Final = 1 << _LEVEL  # leaves
_SCHEMA: Final = f"""
{SEARCH_SCHEMA}
CREATE TABLE block (number INTEGER PRIMARY KEY, leaves BLOB NOT NULL) STRICT;
CREATE TABLE node (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL, receipt_key TEXT NOT NULL) STRICT;
CREATE TABLE mark (line INTEGER NOT NULL, size INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
"""


class IndexUnusableError(Exception):
    """The file is not an index of this version, is damaged, or is in use."""


class KeptCheckpoint(NamedTuple):
    """A checkpoint as the trail records it."""

    size: int
    note: str
    receipt_key: str


class TrailIndex:
    """An open index. Methods raise IndexUnusableError, and ChainError or OSError for the trail.

    `inspection` is the state after the last indexed line, which ends at byte `size`; `rows` is what a search reads.
    """

    inspection: Inspection
    rows: Rows
    size: int
    _line: int

    def __init__(self, trail: Path, path: Path) -> None:
        """Open the index at `path`, or make a new one (mode 0600), and compare it with the trail."""
        self.trail = trail
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, timeout=2, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise IndexUnusableError(f"{path} cannot be opened") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise IndexUnusableError(f"{path} is damaged or in use by another command") from error
        except (ChainError, OSError, IndexUnusableError):
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What `update` did not finish is continued next time."""
        self._database.close()

    def update(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Verify and index what the trail has beyond the last indexed line; `progress` gets bytes.

        Raises ChainError for the first wrong line; close the index then.
        """
        begun = self.size
        try:
            while self._group():
                progress(self.size - begun)
                begun = self.size
            progress(self.size - begun)
        except sqlite3.Error as error:
            raise IndexUnusableError("the index cannot be written") from error

    def line(self, seq: int) -> tuple[bytes, Record]:
        """One line of the trail as it was indexed. KeyError if it is not there, ChainError if it was changed since."""
        row = self._database.execute("SELECT offset FROM line WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise KeyError(seq)
        with self.trail.open("rb") as file:
            file.seek(row[0])
            data = file.readline(MAX_LINE_BYTES + 1)
        self._require_indexed(seq, data)
        return data, read(data, number=seq)

    def lines(self, first: int, last: int) -> Iterator[bytes]:
        """The lines `first` to `last` of the trail as they were indexed. KeyError or ChainError, as `line`."""
        row = self._database.execute("SELECT offset FROM line WHERE seq = ?", (first,)).fetchone()
        if row is None:
            raise KeyError(first)
        for seq, data in zip(range(first, last + 1), lines(self.trail, offset=row[0]), strict=False):
            self._require_indexed(seq, data)
            yield data

    def _require_indexed(self, seq: int, data: bytes) -> None:
        if leaf_hash(data) != self.subtree(seq - 1, 0):
            raise ChainError(line=seq, field="line", detail="changed since it was indexed")

    def subtree(self, start: int, level: int) -> bytes:
        """The root of the complete subtree over the leaves `start` to `start + 2**level`: `merkle.Subtree`."""
        if level >= _LEVEL:
            query, key = "SELECT hash FROM node WHERE level = ? AND number = ?", (level, start >> level)
            found: tuple[bytes] | None = self._database.execute(query, key).fetchone()
            if found is None:
                raise ValueError("no such subtree")
            return found[0]
        leaves = self._block(start >> _LEVEL)
        first = start % _BLOCK * HASH_BYTES
        part = leaves[first : first + (HASH_BYTES << level)]
        if len(part) != HASH_BYTES << level:
            raise ValueError("no such subtree")
        return _folded(part)

    def root(self, size: int) -> bytes:
        """The root of the tree of the first `size` lines, at least one."""
        return root_of(0, size, self.subtree)

    def checkpoint_after(self, seq: int) -> KeptCheckpoint | None:
        """The first checkpoint that covers this line; None if there is none yet."""
        return self._checkpoint("WHERE size >= ? ORDER BY size LIMIT 1", seq)

    def last_checkpoint(self) -> KeptCheckpoint | None:
        """The last checkpoint in the trail."""
        return self._checkpoint("WHERE size >= ? ORDER BY size DESC LIMIT 1", 0)

    def has_origin(self, origin: str) -> bool:
        """Whether any checkpoint in the trail has this origin."""
        return self._checkpoint("WHERE substr(note, 1, ?2) = ?1 LIMIT 1", f"{origin}\n", len(origin) + 1) is not None

    def _checkpoint(self, where: str, *values: int | str) -> KeptCheckpoint | None:
        query = f"SELECT size, note, receipt_key FROM checkpoint {where}"  # noqa: S608 - of the three above
        found = self._database.execute(query, values).fetchone()
        return None if found is None else KeptCheckpoint(*found)

    def _prepare(self) -> None:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
            self._database.execute(f"PRAGMA {pragma}")
        identity = tuple(self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in _IDENTITY)
        (objects,) = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if identity == (0, 0) and not objects:
            numbers = "".join(f"PRAGMA {name} = {value};" for name, value in _IDENTITY.items())
            self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {numbers} COMMIT;")
        elif identity != tuple(_IDENTITY.values()):
            raise IndexUnusableError("The file is not an index of this version")
        self.rows = Rows(self._database)
        self._read_mark()

    def _read_mark(self) -> None:
        row = self._database.execute("SELECT line, size, state FROM mark").fetchone()
        state: bytes | None
        self._line, self.size, state = row or (0, 0, None)
        try:
            self.inspection = Inspection() if state is None else Inspection.load(state)
        except ValueError as error:
            raise IndexUnusableError("The index is damaged") from error
        if state is not None:
            self._require_same_trail()

    def _require_same_trail(self) -> None:
        head = self.inspection.state.head
        with self.trail.open("rb") as file:
            file.seek(self._line)
            data = file.readline(MAX_LINE_BYTES + 1)
        if self._line + len(data) != self.size or leaf_hash(data) != self.subtree(head.seq - 1, 0):
            detail = "the index has another line here: the trail was cut off, rolled back or replaced"
            raise ChainError(line=head.seq, field="index", detail=detail)

    def _block(self, number: int) -> bytes:
        found = self._database.execute("SELECT leaves FROM block WHERE number = ?", (number,)).fetchone()
        return bytes(found[0]) if found else b""

    def _group(self) -> bool:
        """Index up to `_GROUP` lines in one transaction; return whether there may be more."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            taken = self._take()
            values = (self._line, self.size, self.inspection.save())
            self._database.execute("DELETE FROM mark")
            if self.size:
                self._database.execute("INSERT INTO mark VALUES (?, ?, ?)", values)
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        return taken == _GROUP

    def _take(self) -> int:
        """Write the rows of the next lines; return how many there were."""
        inspection, start = self.inspection, self.inspection.state.head
        leaves = bytearray(self._block(start.seq >> _LEVEL)) if start.seq % _BLOCK else bytearray()
        rows: list[Row] = []
        blocks: list[tuple[int, bytes]] = []
        nodes: list[tuple[int, int, bytes]] = []
        for data, record in islice(verified(self.trail, start=start, offset=self.size), _GROUP):
            completed, operator = inspection.take(data, record)
            at = record.seq - 1
            leaves += completed[0]
            if len(completed) > _LEVEL:
                blocks.append((at >> _LEVEL, bytes(leaves)))
                leaves.clear()
                nodes += [(level, at >> level, completed[level]) for level in range(_LEVEL, len(completed))]
            rows.append(self.rows.row(record, offset=self.size, operator=operator))
            if isinstance(record.event, TrailCheckpoint):
                self._keep_checkpoint(at, record.event)
            self._line, self.size = self.size, self.size + len(data)
        if leaves:
            blocks.append(((start.seq + len(rows) - 1) >> _LEVEL, bytes(leaves)))
        self.rows.add(rows)
        self._database.executemany("INSERT OR REPLACE INTO block VALUES (?, ?)", blocks)
        self._database.executemany("INSERT INTO node VALUES (?, ?, ?)", nodes)
        return len(rows)

    def _keep_checkpoint(self, size: int, event: TrailCheckpoint) -> None:
        self._database.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", (size, event.note, event.receipt_key))


def _folded(leaves: bytes) -> bytes:
    """The root over a few leaf hashes."""
    tree = Frontier()
    for start in range(0, len(leaves), HASH_BYTES):
        tree.append(leaves[start : start + HASH_BYTES])
    return tree.root()

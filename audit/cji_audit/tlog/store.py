"""The data of a log, or of a monitor's copy of one: one SQLite file, durable before anything is answered.

It has the hashes of the levels of tiles, the entries, the slots of the trails, and what the log last published. A
monitor that gets no entries keeps the hashes alone.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_audit.errors import AuditError
from cji_core.documents import decode
from cji_core.tlog.slots import Slot
from cji_core.tlog.tiles import HEIGHT, completed, subtrees
from cji_core.trail.merkle import Frontier, Subtree, leaf_hash, root_of

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hash (level INTEGER, n INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (n INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS slot (trail TEXT PRIMARY KEY, slot BLOB NOT NULL, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS witness (name TEXT PRIMARY KEY, keys TEXT NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (sha384 TEXT PRIMARY KEY, file BLOB NOT NULL) WITHOUT ROWID;
"""
_VERSION: Final = 1
MAX_KEPT_BYTES: Final = 64 << 20
"""Of a value that this program wrote itself; a larger one is a damaged file."""


class StoreError(AuditError):
    """A store that cannot be used, with a remedy."""

    code = "log-store"
    remedy = "Restore the newest copy. Its witnesses refuse an older one."


class LogStore:
    """One log's data. Several threads may use it; one at a time writes."""

    def __init__(self, path: Path, *, origin: str) -> None:
        """Open or make the file. Raises StoreError for one of another log, or a damaged one."""
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            if self.meta("origin") is None:
                self.set_meta("origin", origin.encode())
                self.set_meta("version", b"%d" % _VERSION)
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be used: {error}") from error
        if self.meta("origin") != origin.encode() or self.meta("version") != b"%d" % _VERSION:
            raise StoreError(f"{path} is of another log, or of another version of this software")
        self._tree = self._loaded(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._tree.size

    @property
    def subtree(self) -> Subtree:
        """The complete subtrees, for proofs."""
        return subtrees(self.hashes)

    def root(self, size: int) -> bytes:
        """The root of the tree of the first `size` leaves."""
        return root_of(0, size, self.subtree) if size else Frontier().root()

    def meta(self, name: str) -> bytes | None:
        """A named value."""
        return self._one("SELECT value FROM meta WHERE name = ?", name)

    def set_meta(self, name: str, value: bytes) -> None:
        """Keep a named value."""
        self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it is durable at the end of the block, or nothing."""
        with self._lock:
            tree = Frontier(self._tree.size, self._tree.peaks)
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._tree = tree
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def append(self, entry: bytes) -> int:
        """Add an entry within `writing`; return its index."""
        index = self.append_hash(leaf_hash(entry))
        self._run("INSERT INTO entry VALUES (?, ?)", index, entry)
        return index

    def append_hash(self, leaf: bytes) -> int:
        """Add a leaf of which the entry is not known, within `writing`; return its index."""
        index = self._tree.size
        for level, number, node in completed(self._tree, leaf):
            self._run("INSERT INTO hash VALUES (?, ?, ?)", level, number, node)
        return index

    def hashes(self, level: int, first: int, count: int) -> list[bytes]:
        """Hashes of one level of tiles. KeyError if the tree does not have them all."""
        sql = "SELECT hash FROM hash WHERE level = ? AND n >= ? AND n < ? ORDER BY n"
        found = [row[0] for row in self._all(sql, level, first, first + count)]
        if len(found) != count:
            raise KeyError((level, first, count))
        return found

    def entries(self, first: int, count: int) -> list[bytes]:
        """Entries in their order. KeyError if not all are there."""
        found = [
            row[0]
            for row in self._all("SELECT entry FROM entry WHERE n >= ? AND n < ? ORDER BY n", first, first + count)
        ]
        if len(found) != count:
            raise KeyError((first, count))
        return found

    def slot(self, trail: str) -> Slot | None:
        """The slot of a trail."""
        data = self._one("SELECT slot FROM slot WHERE trail = ?", trail)
        return None if data is None else decode(data, Slot, limit=MAX_KEPT_BYTES)

    def put_slot(self, trail: str, slot: Slot) -> None:
        """Keep a slot, as of the next entry; within `writing`, before that entry is added."""
        self._run("INSERT OR REPLACE INTO slot VALUES (?, ?, ?)", trail, msgspec.json.encode(slot), self._tree.size)

    def slot_entry(self, trail: str) -> int | None:
        """The index of a trail's last entry."""
        row = self._all("SELECT n FROM slot WHERE trail = ?", trail)
        return int(row[0][0]) if row else None

    def trails(self) -> list[tuple[str, Slot]]:
        """All slots, in the order of their last entries."""
        rows = self._all("SELECT trail, slot FROM slot ORDER BY n")
        return [(trail, decode(slot, Slot, limit=MAX_KEPT_BYTES)) for trail, slot in rows]

    def witnessed(self, name: str, keys: str) -> int:
        """The size that a witness last cosigned with these keys, 0 without one."""
        row = self._all("SELECT size FROM witness WHERE name = ? AND keys = ?", name, keys)
        return int(row[0][0]) if row else 0

    def set_witnessed(self, name: str, keys: str, size: int) -> None:
        """Keep the size that a witness cosigned."""
        self._run("INSERT OR REPLACE INTO witness VALUES (?, ?, ?)", name, keys, size)

    def put_evidence(self, digest: str, file: bytes) -> None:
        """Keep an evidence file under its digest."""
        self._run("INSERT OR IGNORE INTO evidence VALUES (?, ?)", digest, file)

    def evidence(self) -> Iterator[tuple[str, bytes]]:
        """Every evidence file, with its digest."""
        for (digest,) in self._all("SELECT sha384 FROM evidence ORDER BY sha384"):
            file = self._one("SELECT file FROM evidence WHERE sha384 = ?", digest)
            if file is not None:
                yield digest, file

    def _loaded(self, path: Path) -> Frontier:
        count = self._all("SELECT COALESCE(MAX(n) + 1, 0), COUNT(*) FROM hash WHERE level = 0")[0]
        size, rows = int(count[0]), int(count[1])
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        start, peaks = 0, []
        try:
            if rows != size:
                raise KeyError(size)
            for level in levels:
                peaks.append(self.subtree(start, level))
                start += 1 << level
            for level in range(1, 8):  # a level that lacks a hash, or has one too many, is found here
                wanted = size >> (HEIGHT * level)
                if self._all("SELECT COUNT(*) FROM hash WHERE level = ?", level)[0][0] != wanted:
                    raise KeyError(level)
        except KeyError:
            raise StoreError(f"{path} is damaged: hashes are missing") from None
        return Frontier(size, peaks)

    def _one(self, sql: str, *values: object) -> bytes | None:
        rows = self._all(sql, *values)
        return bytes(rows[0][0]) if rows else None

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _run(self, sql: str, *values: object) -> None:
        with self._lock:
            self._db.execute(sql, values)

"""An auditor's index of a trail: what `cji audit search` and `cji audit prove` look up instead of reading it all again.

A SQLite file of the auditor's own, made in one pass that verifies and examines every line, and continued from where it
ended. It has one row per line with the columns of a search, the leaf hashes in blocks of 256, and the nodes of the
Merkle tree above them, so a proof reads a few dozen rows.

It is bound to its trail by length, last line and root: a trail that is shorter, or has another line there, is refused
by name. A line that is shown or proven is read from the trail, and must have the leaf hash that was verified.

If lines were pruned before it was made, it begins after them, with the peaks of their tree: every subtree that a proof
of a later line needs is one of these, of later lines, or of both. An index that is older keeps what it knows of them.

The operator stands in a job's admission alone; here the job's end has it too.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Self

from cji_core.errors import CoreError
from cji_core.trail.chain import ChainError, Record, read
from cji_core.trail.index_search import SCHEMA as SEARCH_SCHEMA
from cji_core.trail.index_search import Row, Rows
from cji_core.trail.merkle import HASH_BYTES, Frontier, leaf_hash, node_hash, root_of
from cji_core.trail.pruned import Pruned
from cji_core.trail.rules import Watcher
from cji_core.trail.segments import PrunedError
from cji_core.trail.trail import line_at, lines, opened, pruned_of
from cji_core.trail.worker_events import HoldPlaced, TrailCheckpoint, TrailPruned

_BLOCK_LEVEL: Final = 8
"""Of a block's root."""
_BLOCK_LEAVES: Final = 1 << _BLOCK_LEVEL
_Nodes = list[tuple[int, int, bytes]]
"""Level, number in its level, and hash."""

_IDENTITY: Final = {"application_id": 0x636A6941, "user_version": 2}
_GROUP: Final = 50_000  # lines in a transaction
_SCHEMA: Final = f"""
{SEARCH_SCHEMA}
CREATE TABLE block (number INTEGER PRIMARY KEY, leaves BLOB NOT NULL) STRICT;
CREATE TABLE node (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL, receipt_key TEXT NOT NULL) STRICT;
CREATE TABLE mark (line INTEGER NOT NULL, size INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
"""


class _Tree:
    """The tree of all lines; of those before `first()`, only the peaks."""

    def __init__(self, database: sqlite3.Connection, *, first: Callable[[], int]) -> None:
        """`first` gives the number of the first line that is indexed."""
        self._database, self._first = database, first

    def block(self, number: int) -> bytes:
        """The leaf hashes of a block, as far as there are any."""
        found = self._database.execute("SELECT leaves FROM block WHERE number = ?", (number,)).fetchone()
        return bytes(found[0]) if found else b""

    def add(self, blocks: list[tuple[int, bytes]], nodes: _Nodes) -> None:
        """Write blocks, which may be there in part, and new nodes."""
        self._database.executemany("INSERT OR REPLACE INTO block VALUES (?, ?)", blocks)
        self._database.executemany("INSERT INTO node VALUES (?, ?, ?)", nodes)

    def subtree(self, start: int, level: int) -> bytes:
        """The root of the complete subtree over the leaves `start` to `start + 2**level`: `merkle.Subtree`."""
        if level >= _BLOCK_LEVEL or start + 1 < self._first():
            query, key = "SELECT hash FROM node WHERE level = ? AND number = ?", (level, start >> level)
            found: tuple[bytes] | None = self._database.execute(query, key).fetchone()
            if found is not None:
                return found[0]
            if level == 0 or not start + 1 < self._first() <= start + (1 << level):
                raise ValueError("no such subtree")
            half = 1 << (level - 1)
            return node_hash(self.subtree(start, level - 1), self.subtree(start + half, level - 1))
        leaves = self.block(start >> _BLOCK_LEVEL)
        at = start % _BLOCK_LEAVES * HASH_BYTES
        part = leaves[at : at + (HASH_BYTES << level)]
        if len(part) != HASH_BYTES << level:
            raise ValueError("no such subtree")
        return _folded(part)

    def root(self, size: int) -> bytes:
        """The root of the tree of the first `size` lines, at least one."""
        return root_of(0, size, self.subtree)


def _peaks_of(tree: Frontier) -> Iterator[tuple[int, int, bytes]]:
    """Level, number and hash of each peak."""
    start = 0
    for level, peak in zip(tree.levels(), tree.peaks, strict=True):
        yield level, start >> level, peak
        start += 1 << level


def _folded(leaves: bytes) -> bytes:
    """The root over a few leaf hashes."""
    tree = Frontier()
    for start in range(0, len(leaves), HASH_BYTES):
        tree.append(leaves[start : start + HASH_BYTES])
    return tree.root()


class IndexUnusableError(CoreError):
    """The file is not an index of this version, is damaged, or is in use."""

    code = "index-unusable"
    remedy = "Make the index again from the trail."


class KeptCheckpoint(NamedTuple):
    """A checkpoint as the trail records it."""

    size: int
    note: str
    receipt_key: str


class TrailIndex:
    """An open index. Methods raise IndexUnusableError, and ChainError or OSError for the trail.

    `watcher` is the state after the last indexed line, which ends at byte `size`; `rows` is what a search reads,
    `tree` what a proof reads.
    """

    watcher: Watcher
    rows: Rows
    tree: _Tree
    size: int
    _line: int
    _peaks: _Nodes
    """Of the tree before the first line, until they are written."""

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
            self._require_recorded()
        except PrunedError as error:
            raise IndexUnusableError(f"the index ends before the trail begins: {error}") from error
        except sqlite3.Error as error:
            raise IndexUnusableError("the index cannot be written") from error

    @property
    def first(self) -> int:
        """The number of the first line that is indexed."""
        (found,) = self._database.execute("SELECT min(seq) FROM line").fetchone()
        return 1 if found is None else int(found)

    def pruned(self) -> Pruned | None:
        """The state after the lines of the trail that were pruned; None if none were."""
        return pruned_of(self.trail)

    def line(self, seq: int) -> tuple[bytes, Record]:
        """One line of the trail as it was indexed.

        KeyError if it is not there, or was pruned. ChainError if it was changed since.
        """
        with opened(self.trail) as trail, _missing_if_pruned(seq):
            data = trail.line_at(self._offset(seq))
        self._require_indexed(seq, data)
        return data, read(data, number=seq)

    def lines(self, first: int, last: int) -> Iterator[bytes]:
        """The lines `first` to `last` of the trail as they were indexed. KeyError or ChainError, as `line`."""
        found = lines(self.trail, offset=self._offset(first))
        for seq in range(first, last + 1):
            with _missing_if_pruned(seq):
                data = next(found, b"")
            self._require_indexed(seq, data)
            yield data

    def _offset(self, seq: int) -> int:
        row = self._database.execute("SELECT offset FROM line WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise KeyError(seq)
        return int(row[0])

    def _require_indexed(self, seq: int, data: bytes) -> None:
        if leaf_hash(data) != self.tree.subtree(seq - 1, 0):
            raise ChainError(line=seq, field="line", detail="changed since it was indexed")

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
        self.tree = _Tree(self._database, first=lambda: self.first)
        self._read_mark()

    def _read_mark(self) -> None:
        row = self._database.execute("SELECT line, size, state FROM mark").fetchone()
        self._peaks = []
        state: bytes | None
        self._line, self.size, state = row or (0, 0, None)
        if state is None:
            self._begin()
            return
        try:
            self.watcher = Watcher.load(state)
        except ValueError as error:
            raise IndexUnusableError("The index is damaged") from error
        self._require_same_trail()

    def _begin(self) -> None:
        """Before the first line that is there."""
        pruned = pruned_of(self.trail)
        self.watcher = Watcher.after(pruned)
        if pruned is not None:
            self._line = self.size = pruned.offset
            self._peaks = list(_peaks_of(self.watcher.tree))

    def _require_same_trail(self) -> None:
        head = self.watcher.state.head
        pruned = pruned_of(self.trail)
        if pruned is not None and self._line < pruned.offset:
            raise IndexUnusableError(f"the index ends before the trail begins: lines until {pruned.last} were pruned")
        data = line_at(self.trail, self._line)
        if self._line + len(data) != self.size or leaf_hash(data) != self.tree.subtree(head.seq - 1, 0):
            detail = "the index has another line here: the trail was cut off, rolled back or replaced"
            raise ChainError(line=head.seq, field="index", detail=detail)

    def _group(self) -> bool:
        """Index up to `_GROUP` lines in one transaction; return whether there may be more."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            taken = self._take()
            values = (self._line, self.size, self.watcher.save())
            self._database.execute("DELETE FROM mark")
            if self._line < self.size:
                self._database.execute("INSERT INTO mark VALUES (?, ?, ?)", values)
            self._database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        return taken == _GROUP

    def _take(self) -> int:
        """Write the rows of the next lines; return how many there were."""
        watcher, start = self.watcher, self.watcher.state.head
        leaves = bytearray(self.tree.block(start.seq >> _BLOCK_LEVEL)) if start.seq % _BLOCK_LEAVES else bytearray()
        if self._peaks:  # the first lines after those that were pruned, whose leaves nothing asks for
            leaves = bytearray(start.seq % _BLOCK_LEAVES * HASH_BYTES)
        rows: list[Row] = []
        blocks: list[tuple[int, bytes]] = []
        nodes = [*self._peaks]
        for data, record in islice(self._new_lines(), _GROUP):
            watcher.take(data, record)
            completed = watcher.nodes
            at = record.seq - 1
            leaves += completed[0]
            if len(completed) > _BLOCK_LEVEL:
                blocks.append((at >> _BLOCK_LEVEL, bytes(leaves)))
                leaves.clear()
                nodes += [(level, at >> level, completed[level]) for level in range(_BLOCK_LEVEL, len(completed))]
            rows.append(self.rows.row(record, offset=self.size, operator=watcher.operator))
            if isinstance(record.event, TrailCheckpoint):
                self._keep_checkpoint(at, record.event)
            self._line, self.size = self.size, self.size + len(data)
        if not rows:
            return 0
        if leaves:
            blocks.append(((start.seq + len(rows) - 1) >> _BLOCK_LEVEL, bytes(leaves)))
        self.rows.add(rows)
        self.tree.add(blocks, nodes)
        self._peaks = []
        return len(rows)

    def _new_lines(self) -> Iterator[tuple[bytes, Record]]:
        with opened(self.trail) as trail:
            yield from trail.verified(start=self.watcher.state.head, offset=self.size)

    def _require_recorded(self) -> None:
        """Raise ChainError if the index begins after lines that were pruned, and no line records that."""
        pruned = pruned_of(self.trail)
        if pruned is None or pruned.last + 1 != self.first:
            return
        kinds = "SELECT seq FROM line WHERE kind IN (SELECT id FROM term WHERE name = 'kind' AND value IN (?, ?))"
        tags = (str(kind.__struct_config__.tag) for kind in (TrailPruned, HoldPlaced))
        awaited = True
        for (seq,) in self._database.execute(f"{kinds} ORDER BY seq", tuple(tags)).fetchall():
            awaited = pruned.awaited(self.line(seq)[1], before=awaited)
        if awaited:
            raise pruned.unrecorded()

    def _keep_checkpoint(self, size: int, event: TrailCheckpoint) -> None:
        self._database.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", (size, event.note, event.receipt_key))


@contextmanager
def _missing_if_pruned(seq: int) -> Iterator[None]:
    try:
        yield
    except PrunedError as error:
        raise KeyError(seq) from error

"""The Merkle tree in an auditor's index: leaf hashes in blocks of 256, and the nodes above them."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from cji_core.trail.merkle import HASH_BYTES, Frontier, node_hash, root_of

BLOCK_LEVEL: Final = 8
"""Of a block's root."""
BLOCK_LEAVES: Final = 1 << BLOCK_LEVEL
SCHEMA: Final = """
CREATE TABLE block (number INTEGER PRIMARY KEY, leaves BLOB NOT NULL) STRICT;
CREATE TABLE node (
    level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;
"""

Nodes = list[tuple[int, int, bytes]]
"""Level, number in its level, and hash."""


class Tree:
    """The tree of all lines; of those before `first()`, only the peaks."""

    def __init__(self, database: sqlite3.Connection, *, first: Callable[[], int]) -> None:
        """`first` gives the number of the first line that is indexed."""
        self._database, self._first = database, first

    def block(self, number: int) -> bytes:
        """The leaf hashes of a block, as far as there are any."""
        found = self._database.execute("SELECT leaves FROM block WHERE number = ?", (number,)).fetchone()
        return bytes(found[0]) if found else b""

    def add(self, blocks: list[tuple[int, bytes]], nodes: Nodes) -> None:
        """Write blocks, which may be there in part, and new nodes."""
        self._database.executemany("INSERT OR REPLACE INTO block VALUES (?, ?)", blocks)
        self._database.executemany("INSERT INTO node VALUES (?, ?, ?)", nodes)

    def subtree(self, start: int, level: int) -> bytes:
        """The root of the complete subtree over the leaves `start` to `start + 2**level`: `merkle.Subtree`."""
        if level >= BLOCK_LEVEL or start + 1 < self._first():
            query, key = "SELECT hash FROM node WHERE level = ? AND number = ?", (level, start >> level)
            found: tuple[bytes] | None = self._database.execute(query, key).fetchone()
            if found is not None:
                return found[0]
            if level == 0 or not start + 1 < self._first() <= start + (1 << level):
                raise ValueError("no such subtree")
            half = 1 << (level - 1)
            return node_hash(self.subtree(start, level - 1), self.subtree(start + half, level - 1))
        leaves = self.block(start >> BLOCK_LEVEL)
        at = start % BLOCK_LEAVES * HASH_BYTES
        part = leaves[at : at + (HASH_BYTES << level)]
        if len(part) != HASH_BYTES << level:
            raise ValueError("no such subtree")
        return _folded(part)

    def root(self, size: int) -> bytes:
        """The root of the tree of the first `size` lines, at least one."""
        return root_of(0, size, self.subtree)


def peaks(tree: Frontier) -> Iterator[tuple[int, int, bytes]]:
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

"""The file of the replay ledger: its tables, how it is made and removed, and what SQLite's errors say of it."""

import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

VERSION: Final = 2
SCHEMA: Final = """
CREATE TABLE job (
    id BLOB PRIMARY KEY,
    header_sha384 BLOB NOT NULL,
    state INTEGER NOT NULL,
    line INTEGER NOT NULL,
    not_after INTEGER NOT NULL
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
    anchor INTEGER,
    floor INTEGER NOT NULL,
    tree BLOB NOT NULL,
    uncovered INTEGER NOT NULL
) STRICT;
"""


def remove_ledger(path: Path) -> None:
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

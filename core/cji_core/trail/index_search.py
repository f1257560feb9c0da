"""The rows of an auditor's index, and a search in them.

A row has the line's number, place and time, and columns whose values are few (`COLUMNS`): each is the number of a text
in `term`, so a search compares numbers, and a prefix is looked up among the texts once. The job id is a column of its
own. A search reads all rows in order and counts them all; it returns as many as its limit.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cji_core.strict import hex_decode
from cji_core.trail.chain import Record

COLUMNS: Final = ("kind", "submitter", "ori", "operator", "purpose", "reason")
MAX_LIMIT: Final = 10_000
_AFTER_ALL: Final = "\U0010ffff"
_FIELDS: Final = {
    "kind": "kind",
    "submitter": "submitter",
    "ori": "requesting_ori",
    "operator": "operator_id",
    "purpose": "purpose_code",
}
_REASONS: Final = ("reason", "cause")

SCHEMA: Final = f"""
CREATE TABLE line (
    seq INTEGER PRIMARY KEY,
    offset INTEGER NOT NULL,
    time TEXT NOT NULL,
    {", ".join(f"{name} INTEGER" for name in COLUMNS)},
    job BLOB
) STRICT;
CREATE INDEX line_job ON line (job) WHERE job IS NOT NULL;
CREATE TABLE term (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (name, value)) STRICT;
"""

Row = tuple[int | str | bytes | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The conditions of a search: a line must meet every one that is set.

    A text is the whole value, or its beginning and an asterisk. `since` and `until` are times as in the trail, the
    latter excluded, or their beginnings. `prefix` is the beginning of a job id or of any column.
    """

    columns: dict[str, str] = field(default_factory=dict)
    job: str | None = None
    prefix: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 50
    newest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One line of a result: `columns` in the order of `COLUMNS`."""

    line: int
    time: str
    columns: tuple[str | None, ...]
    job: str | None


class Rows:
    """The rows in an open index. Methods raise sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._terms: dict[tuple[str, str], int] = {}

    def row(self, record: Record, *, offset: int, operator: str | None) -> Row:
        """The row of one line."""
        event = record.event
        values = [getattr(event, name, None) for name in _FIELDS.values()]
        values[3] = operator or values[3]
        reason = next((found for name in _REASONS if (found := getattr(event, name, None)) is not None), None)
        terms = [
            None if value is None else self._term(name, str(value))
            for name, value in zip(COLUMNS, (*values, reason), strict=True)
        ]
        job = getattr(event, "job_id", None)
        return record.seq, offset, record.time, *terms, None if job is None else hex_decode(job)

    def add(self, rows: Sequence[Row]) -> None:
        """Add them, in the caller's transaction."""
        self._database.executemany(f"INSERT INTO line VALUES ({', '.join('?' * (4 + len(COLUMNS)))})", rows)  # noqa: S608

    def search(self, query: Query) -> tuple[int, list[Found]]:
        """How many lines match, and the first of them, or the last if `newest`. Raises ValueError for a bad query."""
        if not 0 <= query.limit <= MAX_LIMIT:
            raise ValueError(f"limit: 0 to {MAX_LIMIT}")
        where, values = _conditions(query)
        # only names from this module are put into the text; all values are bound
        (count,) = self._database.execute(f"SELECT count(*) FROM line WHERE {where}", values).fetchone()  # noqa: S608
        columns = ", ".join(f"(SELECT value FROM term WHERE id = {name})" for name in COLUMNS)  # noqa: S608
        order = "DESC" if query.newest else "ASC"
        text = f"SELECT seq, time, job, {columns} FROM line WHERE {where} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        found = self._database.execute(text, (*values, query.limit))
        return count, [
            Found(line=seq, time=time, columns=tuple(texts), job=None if job is None else job.hex())
            for seq, time, job, *texts in found
        ]

    def span(self, since: str, until: str) -> tuple[int, int] | None:
        """The first and the last line between these times, the latter excluded; None if there is none."""
        query = "SELECT min(seq), max(seq) FROM line WHERE time >= ? AND time < ?"
        first, last = self._database.execute(query, (since, until)).fetchone()
        return None if first is None else (first, last)

    def lines_of(self, job_id: bytes) -> list[tuple[int, str]]:
        """The lines of one job with their kinds, in order."""
        query = "SELECT seq, value FROM line JOIN term ON term.id = kind WHERE job = ? ORDER BY seq"
        return self._database.execute(query, (job_id,)).fetchall()

    def _term(self, name: str, value: str) -> int:
        known = self._terms.get((name, value))
        if known is None:
            self._database.execute("INSERT OR IGNORE INTO term (name, value) VALUES (?, ?)", (name, value))
            query = "SELECT id FROM term WHERE name = ? AND value = ?"
            (known,) = self._database.execute(query, (name, value)).fetchone()
            self._terms[name, value] = int(known)
        return int(known)


def _conditions(query: Query) -> tuple[str, list[str | bytes]]:
    conditions: list[str] = []
    values: list[str | bytes] = []

    def require(condition: str, *bound: str | bytes) -> None:
        conditions.append(condition)
        values.extend(bound)

    if query.since is not None:
        require("time >= ?", query.since)
    if query.until is not None:
        require("time < ?", query.until)
    if query.job is not None:
        require("job BETWEEN ? AND ?", *_job_range(query.job))
    for name, text in query.columns.items():
        if name not in COLUMNS:
            raise ValueError(name)
        low, high = _range(text)
        require(f"{name} IN (SELECT id FROM term WHERE name = ? AND value BETWEEN ? AND ?)", name, low, high)  # noqa: S608
    if query.prefix is not None:
        terms = "(SELECT id FROM term WHERE value BETWEEN ? AND ?)"
        low, high = _range(f"{query.prefix}*")
        anywhere = [f"{name} IN {terms}" for name in COLUMNS]
        bound: list[str | bytes] = [low, high] * len(COLUMNS)
        try:
            bound += _job_range(f"{query.prefix}*")
            anywhere.append("job BETWEEN ? AND ?")
        except ValueError:
            pass  # no job id begins like this
        require(f"({' OR '.join(anywhere)})", *bound)
    return " AND ".join(conditions) or "1", values


def _range(text: str) -> tuple[str, str]:
    return (text[:-1], text[:-1] + _AFTER_ALL) if text.endswith("*") else (text, text)


def _job_range(text: str) -> tuple[bytes, bytes]:
    """The first and the last job id that the text permits. Raises ValueError if it is not one, or its beginning."""
    digits = text.removesuffix("*")
    if len(digits) > 32 or (len(digits) < 32 and not text.endswith("*")):
        raise ValueError("a job id has 32 hexadecimal digits; write * after its beginning")
    try:
        return hex_decode(digits.ljust(32, "0")), hex_decode(digits.ljust(32, "f"))
    except ValueError:
        raise ValueError("a job id has hexadecimal digits in lower case only") from None

"""How far a trail was delivered: one small file per destination, written by the deliverer and read by the keyholder.

    {"version":1,"destination":"sentinel","seq":4711,"hash":"<96 hex>","offset":1234567}

`offset` is the byte at which that line begins, counted from the first line ever written. A file is replaced as a whole,
and its content is on disk before it takes its name. The keyholder reads it as another process's claim: bounded, of one
shape, and true only if the trail has exactly this line there.

A sink's file names the last line that it got, the log's the last line that its newest cosigned checkpoint covers.
Anchors and checkpoints do not wait: the log never has those that follow the last line of an idle worker.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from cji_core.digests import Hex96
from cji_core.documents import decode
from cji_core.durable import replace_file
from cji_core.errors import CoreError
from cji_core.format.configuration.worker import DestinationName
from cji_core.strict import StrictError
from cji_core.trail.chain import ChainError, read
from cji_core.trail.fields import Count, OverdueCause, unix_seconds
from cji_core.trail.trail import START, Position, line_at, require_line
from cji_core.trail.worker_events import waits

MAX_BYTES: Final = 1024
MOST_SKIPPED: Final = 8
_SUFFIX: Final = ".delivered"
LineAt = Callable[[int], bytes]
"""The line of the trail that begins at an offset, the first that is there for 0, with its line feed; empty at the end.
May raise OSError."""


class CursorError(CoreError):
    """The file of a destination cannot be read, or does not have the form of one."""

    code = "cursor-invalid"
    remedy = "Restore the state folder of the deliverer."


class _Cursor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    destination: DestinationName
    seq: Count
    hash: Hex96
    offset: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of a destination: the last delivered line, and since when a line waits (seconds since 1970).

    `cause` is the fault of its file: then `waiting_since` is that of the trail's first line, or None for a trail
    without lines.
    """

    seq: int
    waiting_since: int | None
    cause: OverdueCause | None
    complete: bool = False
    """Whether no line follows, anchors and checkpoints included."""

    def overdue(self, now: datetime, *, most_seconds: int) -> OverdueCause | None:
        """Why this destination is overdue; None if it is not. A file that contradicts the trail always is."""
        if self.cause == "contradicted":
            return self.cause
        if self.waiting_since is None or now.timestamp() - self.waiting_since <= most_seconds:
            return None
        return self.cause or "late"

    def seconds(self, now: datetime) -> int:
        """Age of the oldest line that waits, in whole seconds."""
        return 0 if self.waiting_since is None else max(0, int(now.timestamp()) - self.waiting_since)


def write_position(folder: Path, destination: str, position: Position) -> None:
    """Replace the file of a destination durably. Raises OSError."""
    cursor = _Cursor(version=1, destination=destination, seq=position.seq, hash=position.hash, offset=position.offset)
    replace_file(_path(folder, destination), msgspec.json.encode(cursor) + b"\n")


def read_position(folder: Path, destination: str) -> Position | None:
    """The position in a destination's file; None if there is no file. Raises CursorError."""
    try:
        fd = os.open(_path(folder, destination), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CursorError from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise CursorError
        data = os.read(fd, MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise CursorError
        cursor = decode(data, _Cursor, limit=MAX_BYTES)
    except (OSError, StrictError) as error:
        raise CursorError from error
    finally:
        os.close(fd)
    position = Position(seq=cursor.seq, hash=cursor.hash, offset=cursor.offset)
    if cursor.destination != destination or (cursor.seq == 0 and position != START):
        raise CursorError
    return position


def standing(folder: Path, destination: str, line_at: LineAt) -> Standing:
    """Compare a destination's file with the trail. Raises OSError if the trail cannot be read."""
    try:
        position = read_position(folder, destination)
    except CursorError:
        return Standing(seq=0, waiting_since=_time_of(line_at(0)), cause="unreadable")
    if position is None or position == START:
        first = line_at(0)
        return Standing(seq=0, waiting_since=_time_of(first), cause=None, complete=not first)
    line = line_at(position.offset)
    try:
        require_line(line, position)
    except ChainError:
        return Standing(seq=0, waiting_since=_time_of(line_at(0)), cause="contradicted")
    following = position.offset + len(line)
    waiting_since, complete = _waiting(line_at, following), not line_at(following)
    return Standing(seq=position.seq, waiting_since=waiting_since, cause=None, complete=complete)


def line_at_of(trail: Path) -> LineAt:
    """Lines of the trail at `trail`, for a reader that does not hold it open."""

    def found(offset: int) -> bytes:
        try:
            return line_at(trail, offset)
        except FileNotFoundError:  # before a worker's first start
            return b""
        except ChainError as error:  # its segments are not in order
            raise OSError(str(error)) from error

    return found


def _path(folder: Path, destination: str) -> Path:
    return folder / (destination + _SUFFIX)


def _waiting(line_at: LineAt, offset: int) -> int | None:
    """The time of the first line from an offset on other than an anchor or a checkpoint; None if there is none."""
    for _ in range(MOST_SKIPPED):
        line = line_at(offset)
        try:
            if waits(read(line).event):
                break
        except ChainError:
            break
        offset += len(line)
    return _time_of(line)


def _time_of(line: bytes) -> int | None:
    """The time of a line; None at the end of the trail, and for a line that is being written."""
    if not line.endswith(b"\n"):
        return None
    try:
        return unix_seconds(read(line).time)
    except (ChainError, ValueError):
        return 0  # a line that nobody can deliver has waited for ever


def own_evidence(trail: Path) -> Path:
    """The folder in which a worker leaves evidence of its starts, with the receipt keys that sign checkpoints."""
    return trail.parent / "receipt-evidence"

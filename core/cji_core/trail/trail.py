"""Reading a trail, for an audit: no replay ledger, no lock, and the worker may be running.

A trail is named by the path of its current file. Closed segments and the file of pruned lines are found beside it
(`cji_core.trail.segments`), and all of it is read as one sequence of lines. A reader that began before a rotation reads
the file that it has open to its end, and finds the next one when it looks again.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cji_core.trail.chain import GENESIS, MAX_LINE_BYTES, ChainError, Head, Record, read, verify_next
from cji_core.trail.pruned import Pruned
from cji_core.trail.segments import Closed, PrunedError, Segment, closed

_BUFFER_BYTES: Final = 1 << 20
_FIRST: Final = b'{"seq":'
_BLANK: Final = ord(" ")
_LOOKS: Final = 8
"""Until the current file and the closed segments are of one moment; a worker rotates once a minute at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A line by its number and hash, and the byte at which it begins: a place to continue reading from."""

    seq: int
    hash: str
    offset: int


START: Final = Position(seq=GENESIS.seq, hash=GENESIS.hash, offset=0)
"""Before the first line."""


class Trail:
    """The files of a trail at one moment. The current file may grow."""

    def __init__(self, before: Closed, current: BinaryIO | None) -> None:
        """`current` is None if a crash came between the closing of a segment and the next file."""
        self._before, self._current = before, current

    @property
    def pruned(self) -> Pruned | None:
        """The state after the lines that were pruned; None if none were."""
        return self._before.pruned

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The closed segments."""
        return self._before.segments

    @property
    def begin(self) -> int:
        """Offset of the first line that is there."""
        return self._before.begin

    @property
    def head(self) -> Head:
        """The line before the first one that is there."""
        return self._before.head

    def size(self) -> int:
        """Bytes of all its files that are there."""
        length = 0 if self._current is None else self._current.seek(0, 2)
        return self._before.end - self.begin + length

    def line_at(self, offset: int) -> bytes:
        """The line that begins at an offset, with its line feed; empty at the end. Raises PrunedError or OSError."""
        segment = self._before.at(offset)
        if segment is not None:
            return segment.line_at(offset)
        if self._current is None:
            return b""
        self._current.seek(offset - self._before.end)
        return self._current.readline(MAX_LINE_BYTES + 1)

    def lines(self, offset: int = 0) -> Iterator[bytes]:
        """The lines from an offset on; from the first that is there for 0. See `lines` of this module."""
        for _, part in self._parts(offset):
            yield from part

    def verified(self, *, start: Head = GENESIS, offset: int = 0) -> Iterator[tuple[bytes, Record]]:
        """See `verified` of this module. From the first line to the last, pruned lines must be recorded as well."""
        head, pruned = start, None
        if not offset:
            head, pruned = self.head, self.pruned
        awaited = pruned is not None
        for name, part in self._parts(offset):
            for line in part:
                try:
                    head, record = verify_next(line, head=head, number=head.seq + 1)
                except ChainError as error:
                    raise _named(error, name) from error
                if pruned is not None:
                    awaited = pruned.awaited(record, before=awaited)
                yield line, record
        if pruned is not None and awaited:
            raise pruned.unrecorded()

    def after(self, position: Position) -> Iterator[tuple[Position, Record]]:
        """See `after` of this module."""
        head, offset = Head(seq=position.seq, hash=position.hash), position.offset
        if position == START:
            head, offset = self.head, self.begin
        elif head == self.head:  # the last line that was pruned
            offset = self.begin
        else:
            line = self.line_at(offset)
            require_line(line, position)
            offset += len(line)
        for name, part in self._parts(offset):
            for line in part:
                try:
                    head, record = verify_next(line, head=head, number=head.seq + 1)
                except ChainError as error:
                    raise _named(error, name) from error
                yield Position(seq=record.seq, hash=record.hash, offset=offset), record
                offset += len(line)

    def _parts(self, offset: int) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The lines of each file from an offset on, with its name, which is empty if the trail is one file."""
        offset = offset or self.begin
        for segment in self._before.after(offset):
            yield segment.path.name, segment.lines(max(offset, segment.begin))
        if self._current is not None:
            self._current.seek(max(0, offset - self._before.end))
            name = "the current file" if self._before.segments else ""
            yield name, _whole_lines(self._current)


@contextmanager
def opened(file: Path) -> Iterator[Trail]:
    """The trail whose current file is `file`. Raises ChainError for its segments, and OSError."""
    if file.is_symlink():
        file = file.resolve()
    before, current = _look(file)
    try:
        yield Trail(before, current)
    finally:
        if current is not None:
            current.close()


def lines(file: Path, *, offset: int = 0) -> Iterator[bytes]:
    """The lines of a trail from `offset`, with line feeds; a last one without was never acknowledged and is left out.

    A line that is too long is returned as its first part, which no reader accepts, and so are bytes at the end that are
    not the beginning of a line. Raises ChainError for segments that
    are missing or not in their order, PrunedError and OSError.
    """
    with opened(file) as trail:
        yield from trail.lines(offset)


def verified(file: Path, *, start: Head = GENESIS, offset: int = 0) -> Iterator[tuple[bytes, Record]]:
    """Each line with its record, in order, once it is known to continue the chain. Raises ChainError or OSError.

    `offset` is where the line after `start` begins; without it, from the first line that is there.

    What was returned before a ChainError is in an unbroken chain; what follows is not to be used.
    """
    with opened(file) as trail:
        yield from trail.verified(start=start, offset=offset)


def after(file: Path, position: Position) -> Generator[tuple[Position, Record], None, None]:
    """Each line after `position`, as `verified` returns them, without reading those before it.

    The line at `position` must still be the same: a trail that was cut, replaced or rewritten up to there is a
    ChainError before anything is returned. Raises PrunedError if it was pruned, and OSError.
    """
    with opened(file) as trail:
        yield from trail.after(position)


def last(file: Path) -> Position:
    """The position of the last whole line; START if there is none. Raises ChainError or OSError."""
    with opened(file) as trail:
        end = trail.begin + trail.size()
        for reach in (MAX_LINE_BYTES, 2 * MAX_LINE_BYTES):  # the last line may be one that is being written
            offset = max(trail.begin, end - reach)
            found = START
            if offset > trail.begin:
                offset += len(trail.line_at(offset))  # the rest of a line
            for line in trail.lines(offset) if offset < end else ():
                record = read(line)
                found = Position(seq=record.seq, hash=record.hash, offset=offset)
                offset += len(line)
            if found != START:
                return found
    return START


def line_at(file: Path, offset: int) -> bytes:
    """The line at an offset, the first that is there for 0; empty at the end, and for a line that was pruned."""
    try:
        with opened(file) as trail:
            return trail.line_at(offset or trail.begin)
    except PrunedError:
        return b""


def pruned_of(file: Path) -> Pruned | None:
    """The state after the lines of a trail that were pruned; None if none were. Raises ChainError or OSError."""
    with opened(file) as trail:
        return trail.pruned


def size_of(file: Path) -> int:
    """Bytes of all files of a trail. Raises ChainError or OSError."""
    with opened(file) as trail:
        return trail.size()


def file_lines(file: Path) -> Iterator[bytes]:
    """The lines of one file outside a trail, such as those of an export. Raises OSError."""
    with file.open("rb", buffering=_BUFFER_BYTES) as stream:
        yield from _whole_lines(stream)


def require_line(line: bytes, position: Position) -> None:
    """Raise ChainError unless `line`, read from its offset, is the one at this position."""
    if not line:
        raise ChainError(line=position.seq, field="end", detail="the trail ends before this line")
    record = read(line, number=position.seq)
    if (record.seq, record.hash) != (position.seq, position.hash):
        raise ChainError(line=position.seq, field="hash", detail="another line is in its place")


def _look(file: Path) -> tuple[Closed, BinaryIO | None]:
    """The current file and what precedes it, of one moment: the worker may be closing a segment."""
    for _ in range(_LOOKS):
        current = _current(file)
        try:
            before = closed(file)
            if current is None and not before.segments:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
        except FileNotFoundError:
            if current is None:
                raise
            current.close()  # a segment was pruned in between
            continue
        except BaseException:
            if current is not None:
                current.close()
            raise
        if current is None:
            return before, None
        status = os.fstat(current.fileno())
        if (status.st_dev, status.st_ino) not in {each.identity for each in before.segments}:
            return before, current
        current.close()  # it was closed in between
    raise ChainError(line=1, field="segment", detail="a segment and the current file are the same file")


def _current(file: Path) -> BinaryIO | None:
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # never wait for the other end of a pipe
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return open(fd, "rb", buffering=_BUFFER_BYTES)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE_BYTES + 1):
        torn = not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES
        if torn and _is_beginning(line if stream.tell() == len(line) else line.rstrip(b"\0")):
            return
        yield line


def _is_beginning(line: bytes) -> bool:
    """Whether this can be the beginning of a line: all that a write that did not end leaves, before NULs at most.

    It has no control character, and is not a line whose line feed alone is another byte.
    """
    if line[: len(_FIRST)] != _FIRST[: len(line)] or min(line, default=_BLANK) < _BLANK:
        return False
    try:
        read(line[:-1] + b"\n")
    except ChainError:
        return True
    return False


def _named(error: ChainError, name: str) -> ChainError:
    """The fault with the name of its file, if the trail has several."""
    if not name:
        return error
    return ChainError(line=error.line, field=error.field, detail=f"{error.detail}, in {name}".removeprefix(", "))

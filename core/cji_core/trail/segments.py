"""The files of a trail, in the order of their lines.

    audit.log.pruned       what stays of lines 1 to 4711, if they were removed (`cji_core.trail.pruned`)
    audit.log.4712-9000    closed segments, named by their first and last line
    audit.log.9001-15000
    audit.log              the current file, which grows

Together they are one sequence of lines: chain, tree and numbers go on across them. An offset is a number of bytes since
the first line ever written, so neither rotation nor pruning moves a line.

A segment that is missing, doubled or renamed is a ChainError(`segment`) at the first line that it concerns. One whose
content is another does not continue the chain. A segment whose lines were pruned, and that a crash left behind, is
not looked at.
"""

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cji_core.errors import CoreError
from cji_core.strict import StrictError
from cji_core.trail.chain import GENESIS, MAX_LINE_BYTES, ChainError, Head, read
from cji_core.trail.pruned import MAX_BYTES, SUFFIX, Pruned, decode_pruned

MAX_SEGMENTS: Final = 10_000
_BUFFER_BYTES: Final = 1 << 20
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RANGE: Final = re.compile(r"([1-9][0-9]{0,18})-([1-9][0-9]{0,18})")

Identity = tuple[int, int]
"""Device and inode of a file."""


class PrunedError(CoreError, OSError):
    """The lines from an offset on were pruned since."""

    code = "trail-pruned"
    remedy = "Name the folder of the archived segments too."


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A closed segment: its first and last line, its first byte in the trail, its length, and which file it is."""

    path: Path
    first: int
    last: int
    begin: int
    size: int
    identity: Identity

    @property
    def end(self) -> int:
        """Offset of the line after it."""
        return self.begin + self.size

    def line_at(self, offset: int) -> bytes:
        """The line that begins at an offset in this segment. Raises OSError."""
        with self._opened(offset) as stream:
            return stream.readline(MAX_LINE_BYTES + 1)

    def lines(self, offset: int) -> Iterator[bytes]:
        """Its lines from an offset on. Raises OSError, and ChainError if it does not end with its last line."""
        line = b""
        with self._opened(offset) as stream:
            while following := stream.readline(MAX_LINE_BYTES + 1):
                line = following
                yield line
        try:
            found = read(line, number=self.last).seq
        except ChainError:
            found = -1
        if found != self.last:
            detail = f"{self.path.name} does not end with line {self.last}"
            raise ChainError(line=self.last, field="segment", detail=detail)

    def _opened(self, offset: int) -> BinaryIO:
        fd = os.open(self.path, _FLAGS)
        stream = open(fd, "rb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - the caller closes it
        stream.seek(offset - self.begin)
        return stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """All that precedes the current file."""

    pruned: Pruned | None
    segments: tuple[Segment, ...]

    @property
    def head(self) -> Head:
        """The line before the first one that is there."""
        return GENESIS if self.pruned is None else self.pruned.head

    @property
    def begin(self) -> int:
        """Offset of the first line that is there."""
        return 0 if self.pruned is None else self.pruned.offset

    @property
    def end(self) -> int:
        """Offset of the first line of the current file."""
        return self.segments[-1].end if self.segments else self.begin

    @property
    def last(self) -> int:
        """Number of the line before the current file."""
        return self.segments[-1].last if self.segments else self.head.seq

    def at(self, offset: int) -> Segment | None:
        """The segment with this byte; None if it is in the current file. Raises PrunedError."""
        if offset < self.begin:
            raise PrunedError(f"the lines until line {self.head.seq} were pruned")
        number = bisect_right(self.segments, offset, key=lambda each: each.end)
        return self.segments[number] if number < len(self.segments) else None

    def after(self, offset: int) -> tuple[Segment, ...]:
        """The segment with this byte, and those after it. Raises PrunedError."""
        found = self.at(offset)
        return () if found is None else self.segments[self.segments.index(found) :]


def segment_path(trail: Path, first: int, last: int) -> Path:
    """The name of a closed segment of a trail."""
    return trail.with_name(f"{trail.name}.{first}-{last}")


def closed(trail: Path) -> Closed:
    """All that precedes the current file of this trail. Raises ChainError or OSError."""
    pruned = _read_pruned(trail)
    found = Closed(pruned=pruned, segments=())
    segments: list[Segment] = []
    for first, last, path in _named(trail):
        if last <= found.head.seq:
            continue
        before = segments[-1].last if segments else found.head.seq
        if first != before + 1:
            raise _misplaced(path, first, before, segments[-1].path.name if segments else None)
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ChainError(line=first, field="segment", detail=f"{path.name} is not a regular file")
        begin = segments[-1].end if segments else found.begin
        identity = status.st_dev, status.st_ino
        segments.append(Segment(path=path, first=first, last=last, begin=begin, size=status.st_size, identity=identity))
    return Closed(pruned=pruned, segments=tuple(segments))


def has_room_for_another(trail: Path) -> bool:
    """Whether one more file can be closed: a trail of more segments is refused. Raises ChainError or OSError."""
    return len(_named(trail)) < MAX_SEGMENTS


def left_behind(trail: Path, pruned: Pruned) -> list[Path]:
    """Segments whose lines were pruned. Raises ChainError or OSError."""
    return [path for _, last, path in _named(trail) if last <= pruned.last]


def _named(trail: Path) -> list[tuple[int, int, Path]]:
    """The closed segments by their names, in the order of their lines. Raises ChainError for a name of no lines."""
    found = []
    prefix = f"{trail.name}."
    with os.scandir(trail.parent) as entries:
        for entry in entries:
            match = _RANGE.fullmatch(entry.name[len(prefix) :]) if entry.name.startswith(prefix) else None
            if match is None:
                continue
            first, last = int(match[1]), int(match[2])
            if last < first:
                raise ChainError(line=first, field="segment", detail=f"{entry.name} ends before it begins")
            found.append((first, last, trail.with_name(entry.name)))
            if len(found) > MAX_SEGMENTS:
                raise ChainError(line=first, field="segment", detail=f"more than {MAX_SEGMENTS} segments")
    return sorted(found)


def _misplaced(path: Path, first: int, before: int, previous: str | None) -> ChainError:
    if first > before + 1:
        what = f"lines {before + 1} to {first - 1} are missing before {path.name}"
        return ChainError(line=before + 1, field="segment", detail=what)
    other = previous or "the lines that were pruned"
    return ChainError(line=first, field="segment", detail=f"{path.name} overlaps {other}, which ends at line {before}")


def _read_pruned(trail: Path) -> Pruned | None:
    """The file in place of pruned lines; None if there are none. Raises ChainError for another content."""
    path = trail.with_name(trail.name + SUFFIX)
    try:
        fd = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        return decode_pruned(data)
    except StrictError as error:
        raise ChainError(line=1, field="pruned", detail=f"{path.name} cannot be read") from error

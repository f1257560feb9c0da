"""Reading a trail from its file, by whoever audits it: no ledger, no lock, and the worker may be running."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from worker.audit.chain import GENESIS, MAX_LINE_BYTES, ChainError, Head, Record, read, verify_next

_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A line by its number and hash, and the byte at which it begins: a place to continue reading from."""

    seq: int
    hash: str
    offset: int


START: Final = Position(seq=GENESIS.seq, hash=GENESIS.hash, offset=0)
"""Before the first line."""


def lines(file: Path, *, offset: int = 0) -> Iterator[bytes]:
    """The lines of a trail from `offset`, with line feeds; a last one without was never acknowledged and is left out.

    A line that is too long is returned as its first part, which no reader accepts. Raises OSError.
    """
    with file.open("rb", buffering=_BUFFER_BYTES) as stream:
        stream.seek(offset)
        yield from _lines(stream)


def verified(file: Path, *, start: Head = GENESIS, offset: int = 0) -> Iterator[tuple[bytes, Record]]:
    """Each line with its record, in order, once it is known to continue the chain. Raises ChainError or OSError.

    `offset` is where the line after `start` begins.

    What was returned before a ChainError is in an unbroken chain; what follows is not to be used.
    """
    head = start
    for line in lines(file, offset=offset):
        head, record = verify_next(line, head=head, number=head.seq + 1)
        yield line, record


def after(file: Path, position: Position) -> Generator[tuple[Position, Record], None, None]:
    """Each line after `position`, as `verified` returns them, without reading those before it.

    The line at `position` must still be the same: a trail that was cut, replaced or rewritten up to there is a
    ChainError before anything is returned. Raises OSError.
    """
    with file.open("rb", buffering=_BUFFER_BYTES) as stream:
        stream.seek(position.offset)
        offset = position.offset
        if position != START:
            line = stream.readline(MAX_LINE_BYTES + 1)
            require_line(line, position)
            offset += len(line)
        head = Head(seq=position.seq, hash=position.hash)
        for line in _lines(stream):
            head, record = verify_next(line, head=head, number=head.seq + 1)
            yield Position(seq=record.seq, hash=record.hash, offset=offset), record
            offset += len(line)


def require_line(line: bytes, position: Position) -> None:
    """Raise ChainError unless `line`, read from its offset, is the one at this position."""
    if not line:
        raise ChainError(line=position.seq, field="end", detail="the trail ends before this line")
    record = read(line, number=position.seq)
    if (record.seq, record.hash) != (position.seq, position.hash):
        raise ChainError(line=position.seq, field="hash", detail="another line is in its place")


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
            return
        yield line

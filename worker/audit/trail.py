"""Reading a trail from its file, by whoever audits it: no ledger, no lock, and the worker may be running."""

from collections.abc import Iterator
from pathlib import Path

from worker.audit.chain import GENESIS, MAX_LINE_BYTES, Head, Record, verify_next


def lines(file: Path, *, offset: int = 0) -> Iterator[bytes]:
    """The lines of a trail from `offset`, with line feeds; a last one without was never acknowledged and is left out.

    A line that is too long is returned as its first part, which no reader accepts. Raises OSError.
    """
    with file.open("rb", buffering=1 << 20) as stream:
        stream.seek(offset)
        while line := stream.readline(MAX_LINE_BYTES + 1):
            if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                return
            yield line


def verified(file: Path, *, start: Head = GENESIS, offset: int = 0) -> Iterator[tuple[bytes, Record]]:
    """Each line with its record, in order, once it is known to continue the chain. Raises ChainError or OSError.

    `offset` is where the line after `start` begins.

    What was returned before a ChainError is in an unbroken chain; what follows is not to be used.
    """
    head = start
    for line in lines(file, offset=offset):
        head, record = verify_next(line, head=head, number=head.seq + 1)
        yield line, record

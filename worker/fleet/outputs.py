"""The outputs of an attempt on their way to Blob Storage: blocks of several segments, committed at the end.

Nothing is visible before `commit`, which is called once the receipt is there. Memory is a block for each open output.
"""

from dataclasses import dataclass, field
from typing import Final

from worker.fleet import names
from worker.fleet.errors import BlobChangedError
from worker.fleet.store import Blobs
from worker.job import LIMITS

_BLOCK_BYTES: Final = 4 << 20
_MAX_BLOCKS: Final = 50_000
_MAX_OUTPUTS: Final = 1024


class TooManyBlocksError(Exception):
    """An output is larger than a blob can be."""


@dataclass(slots=True)
class _Output:
    blocks: int = 0
    bytes: int = 0
    pending: bytearray = field(default_factory=bytearray)


class Outputs:
    """The outputs of one attempt."""

    def __init__(self, results: Blobs, *, job: str, attempt: str) -> None:
        self._results, self._job, self._attempt = results, job, attempt
        self._found: dict[int, _Output] = {}

    def opened(self, result_header: bytes) -> None:
        """The result header. Raises BlobChangedError, StoreAwayError."""
        name = names.result_header(self._job, self._attempt)
        header = result_header[: LIMITS.header_bytes]
        if not self._results.create(name, header) and self._results.read(name, most=LIMITS.header_bytes) != header:
            raise BlobChangedError("a result header of this attempt is there")

    def take(self, part: int, data: bytes) -> None:
        """The next segment of a part. Raises StoreAwayError, TooManyBlocksError."""
        if part not in self._found and len(self._found) >= _MAX_OUTPUTS:
            raise TooManyBlocksError
        output = self._found.setdefault(part, _Output())
        output.pending += data
        if len(output.pending) >= _BLOCK_BYTES:
            self._stage(part, output)

    def commit(self) -> None:
        """Make every output visible. Raises BlobChangedError, StoreAwayError."""
        for part, output in sorted(self._found.items()):
            if output.pending:
                self._stage(part, output)
            name = names.output(self._job, self._attempt, part)
            try:
                self._results.commit(name, output.blocks)
            except BlobChangedError:  # a commit whose answer was lost: nobody else has this attempt's name
                if self._results.version(name).size != output.bytes:
                    raise

    def _stage(self, part: int, output: _Output) -> None:
        if output.blocks >= _MAX_BLOCKS:
            raise TooManyBlocksError
        self._results.stage(names.output(self._job, self._attempt, part), output.blocks, bytes(output.pending))
        output.blocks += 1
        output.bytes += len(output.pending)
        output.pending.clear()

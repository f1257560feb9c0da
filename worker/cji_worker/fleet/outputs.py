"""The outputs of an attempt on their way to Blob Storage: blocks of several segments, committed at the end.

Nothing is visible before `commit`, which is called once the receipt is there. Memory is a block for each open output.
"""

from dataclasses import dataclass, field
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS
from cji_core.pool import names
from cji_core.pool.errors import BlobChangedError
from cji_core.pool.store import MAX_BLOCKS, Blobs

_BLOCK_BYTES: Final = 4 << 20
_MAX_OUTPUTS: Final = 1024


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

    def put_header(self, result_header: bytes) -> None:
        """The result header, which comes with the receipt. Raises BlobChangedError, StoreAwayError."""
        name = names.result_header(self._job, self._attempt)
        header = result_header[: LIMITS.header_bytes]
        if not self._results.create(name, header) and self._results.read(name, most=LIMITS.header_bytes) != header:
            raise BlobChangedError("a result header of this attempt is there")

    def take(self, part: int, data: bytes) -> None:
        """The next segment of a part. Raises StoreAwayError; LIMIT_EXCEEDED for too many."""
        if part not in self._found and len(self._found) >= _MAX_OUTPUTS:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
        output = self._found.setdefault(part, _Output())
        output.pending += data
        if len(output.pending) >= _BLOCK_BYTES:
            self._stage(part, output)

    def commit(self) -> int:
        """Make every output visible; returns their bytes. Raises BlobChangedError, StoreAwayError; LIMIT_EXCEEDED."""
        for part, output in sorted(self._found.items()):
            if output.pending:
                self._stage(part, output)
            self._results.commit(names.output(self._job, self._attempt, part), output.blocks, size=output.bytes)
        return sum(output.bytes for output in self._found.values())

    def _stage(self, part: int, output: _Output) -> None:
        if output.blocks >= MAX_BLOCKS:
            raise Refusal(Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE)
        self._results.stage(names.output(self._job, self._attempt, part), output.blocks, bytes(output.pending))
        output.blocks += 1
        output.bytes += len(output.pending)
        output.pending.clear()

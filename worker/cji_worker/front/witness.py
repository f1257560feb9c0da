"""The front as a witness of one job: everything that passes it is counted and digested, in both directions.

The cell may be hostile. So the order of the outputs is checked here: the digest of the result header first and once,
then the segments of each part in order, each of a possible length, up to one last segment. Anything else is
CELL_FAILED. A task has no result header, and streams instead of parts, the first of which have the segments of shuffle
streams.
The caller's order was checked before (`cji_core.format.job.state`).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS
from cji_worker.ipc import PartDigester
from cji_worker.ipc.messages import CHUNK, SealedPart, Witnessed, WitnessedStreams

_SHA384_BYTES: Final = 48
_NOT_LAST: Final = b"\xff\xff\xff\xff"
"""The first bytes of a segment that others follow (docs/format.md §3)."""


@dataclass(slots=True)
class _Output:
    digester: PartDigester = field(default_factory=PartDigester)
    segments: int = 0
    ended: bool = False


class Witness:
    """Everything that passed of one job. Set `finished` once `Finish` was sent to the cell."""

    def __init__(self, *, inputs: int, outputs: int, small_outputs: int | None = None) -> None:
        """The numbers of parts, as the keyholder gave them; of a task, with the number of its shuffle streams."""
        self._small_outputs, self._opened = small_outputs, False
        self._inputs = [PartDigester() for _ in range(inputs)]
        self._outputs = [_Output() for _ in range(outputs)]
        self._result_header_sha384 = hashlib.sha384().digest()
        self.finished = False

    def received(self, part: int, data: memoryview) -> None:
        """A segment of the caller's."""
        self._inputs[part].add(data)

    def opened(self, result_header_sha384: bytes) -> None:
        """The digest of the cell's result header."""
        _require(
            not self._opened and len(result_header_sha384) == (_SHA384_BYTES if self._small_outputs is None else 0)
        )
        self._opened = True
        self._result_header_sha384 = result_header_sha384 or self._result_header_sha384

    def is_result_header(self, data: bytes) -> bool:
        """Whether this is the result header that the cell named before its first output."""
        return hashlib.sha384(data).digest() == self._result_header_sha384

    def sent(self, part: int, index: int, data: memoryview) -> bool:
        """A segment of the cell's, in memory that the cell cannot change. Whether it is the last of its part."""
        _require(self._opened and 0 <= part < len(self._outputs))
        output = self._outputs[part]
        _require(not output.ended and index == output.segments)
        at = LIMITS.floe_header_bytes if index == 0 else 0
        size = len(data) - at
        output.ended = bytes(data[at : at + len(_NOT_LAST)]) != _NOT_LAST
        full = LIMITS.shuffle_segment_bytes if self.is_small(part) else LIMITS.segment_bytes
        least = LIMITS.segment_min_bytes if output.ended else full
        _require(least <= size <= full)
        output.segments += 1
        output.digester.add(data)
        return output.ended

    def is_small(self, part: int) -> bool:
        """Whether this output is a shuffle stream."""
        return self._small_outputs is not None and part < self._small_outputs

    def streams(self, call: int) -> list[WitnessedStreams]:
        """The statement about the streams of a task, in as many messages as it takes; none of a job."""
        self._require_complete()
        if self._small_outputs is None:
            return []
        inputs, outputs = self._sealed()
        starts = range(0, max(len(inputs), len(outputs)), CHUNK)
        return [
            WitnessedStreams(call=call, inputs=inputs[at : at + CHUNK], outputs=outputs[at : at + CHUNK])
            for at in starts
        ]

    def statement(self, call: int) -> Witnessed:
        """The statement about this job, once both directions are complete; for a task, the end of its `streams`."""
        self._require_complete()
        inputs, outputs = self._sealed() if self._small_outputs is None else ((), ())
        return Witnessed(call=call, inputs=inputs, outputs=outputs, result_header_sha384=self._result_header_sha384)

    def _require_complete(self) -> None:
        _require(self.finished and self._opened and all(output.ended for output in self._outputs))

    def _sealed(self) -> tuple[tuple[SealedPart, ...], tuple[SealedPart, ...]]:
        inputs = tuple(part.sealed() for part in self._inputs)
        return inputs, tuple(output.digester.sealed() for output in self._outputs)


def _require(holds: bool) -> None:
    if not holds:
        raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)

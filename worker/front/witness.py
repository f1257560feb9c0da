"""The front as a witness of one job: everything that passes it is counted and digested, in both directions.

The cell may be hostile. So the order of the outputs is checked here: the result header first and once, then the
segments of each part in order, each of a possible length, up to one last segment. Anything else is CELL_FAILED.
The caller's order was checked before (`worker.job.state`).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from worker.errors import Reason, Refusal, Stage
from worker.ipc import PartDigester
from worker.ipc.messages import Witnessed
from worker.job import LIMITS

_NOT_LAST: Final = b"\xff\xff\xff\xff"
"""The first bytes of a segment that others follow (docs/format.md §3)."""


@dataclass(slots=True)
class _Output:
    digester: PartDigester = field(default_factory=PartDigester)
    segments: int = 0
    ended: bool = False


class Witness:
    """Everything that passed of one job. Set `finished` once `Finish` was sent to the cell."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        """The numbers of parts, as the keyholder gave them."""
        self._inputs = [PartDigester() for _ in range(inputs)]
        self._outputs = [_Output() for _ in range(outputs)]
        self._result_header_sha384 = b""
        self.finished = False

    def received(self, part: int, data: memoryview) -> None:
        """A segment of the caller's."""
        self._inputs[part].add(data)

    def opened(self, result_header: bytes) -> None:
        """The cell's result header."""
        _require(not self._result_header_sha384 and 0 < len(result_header) <= LIMITS.header_bytes)
        self._result_header_sha384 = hashlib.sha384(result_header).digest()

    def sent(self, part: int, index: int, data: memoryview) -> bool:
        """A segment of the cell's, in memory that the cell cannot change. Whether it is the last of its part."""
        _require(bool(self._result_header_sha384) and 0 <= part < len(self._outputs))
        output = self._outputs[part]
        _require(not output.ended and index == output.segments)
        at = LIMITS.floe_header_bytes if index == 0 else 0
        size = len(data) - at
        output.ended = bytes(data[at : at + len(_NOT_LAST)]) != _NOT_LAST
        least = LIMITS.segment_min_bytes if output.ended else LIMITS.segment_bytes
        _require(least <= size <= LIMITS.segment_bytes)
        output.segments += 1
        output.digester.add(data)
        return output.ended

    def statement(self, call: int) -> Witnessed:
        """The statement about this job, once both directions are complete."""
        _require(self.finished and all(output.ended for output in self._outputs))
        return Witnessed(
            call=call,
            inputs=tuple(part.sealed() for part in self._inputs),
            outputs=tuple(output.digester.sealed() for output in self._outputs),
            result_header_sha384=self._result_header_sha384,
        )


def _require(holds: bool) -> None:
    if not holds:
        raise Refusal(Reason.CELL_FAILED, stage=Stage.COMPUTE)

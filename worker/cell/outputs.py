"""The output parts of a job: Arrow streams that are sealed while they are written, and held back at their ends."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from worker.cell.streams import OutputStream
from worker.errors import Reason, Refusal, Stage
from worker.ipc.messages import SealedPart
from worker.job import LIMITS
from worker.records import END_OF_STREAM, RowStatus, StreamWriter

__all__ = ["OutputParts"]

_RESULT: Final = "result"
_STATUS: Final = "row_status"


class OutputParts:
    """A `worker.cell.pipeline.Sink`: `begin` once, write, `finish`, and after the commit `release`."""

    def __init__(self, streams: Mapping[str, OutputStream]) -> None:
        """`streams` by name, in part order."""
        self._streams = streams
        self._writers: dict[str, StreamWriter] = {}
        self.counted: dict[str, int] = {}
        """Rows so far, by the name of the part."""

    def begin(self, schemas: Mapping[str, pa.Schema]) -> None:
        """The schema of every part is known; INTERNAL when they are not those of the streams."""
        if schemas.keys() != self._streams.keys():
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
        self.counted = dict.fromkeys(self._streams, 0)
        for name, stream in self._streams.items():
            self._writers[name] = StreamWriter(schemas[name], max_batch_bytes=LIMITS.batch_bytes)
            stream.write(_bytes(self._writers[name].schema_message()))

    def result(self, batch: pa.RecordBatch) -> None:
        """More of the result."""
        self.part(_RESULT, batch)

    def status(self, status: RowStatus) -> None:
        """The status of the next rows of the input."""
        if len(status.status):
            self.part(_STATUS, status.to_batch(self.counted[_STATUS]))

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        """More of any part."""
        for message in self._writers[name].batch_messages(batch):
            self._streams[name].write(_bytes(message))
        self.counted[name] += batch.num_rows

    def finish(self, *, padded: bool) -> tuple[SealedPart, ...]:
        """Seal everything, the last segments without sending them; what will have gone out, in part order."""
        for stream in self._streams.values():
            stream.write(memoryview(END_OF_STREAM))
            if padded:
                stream.pad()
        return tuple(stream.finish() for stream in self._streams.values())

    def release(self) -> None:
        """Send the last segments."""
        for stream in self._streams.values():
            stream.release()


def _bytes(message: pa.Buffer) -> memoryview:
    return memoryview(message).cast("B")

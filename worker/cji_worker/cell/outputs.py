"""The output parts of a job: Arrow streams, sealed as they are written."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job import LIMITS
from cji_core.format.records import END_OF_STREAM, RowStatus, StreamWriter, arrow
from cji_worker.cell.columns import OutputColumns
from cji_worker.cell.streams import OutputStream
from cji_worker.ipc.messages import CountedPart

_RESULT: Final = "result"
_STATUS: Final = "row_status"


class OutputParts:
    """A `cji_worker.cell.pipeline.Sink`: `begin` once, write, `finish`."""

    def __init__(self, streams: Mapping[str, OutputStream], columns: Mapping[str, OutputColumns]) -> None:
        """`streams` by name, in part order; the sealed columns of those that have any."""
        self._streams, self._columns = streams, columns
        self._writers: dict[str, StreamWriter] = {}
        self._schemas: dict[str, pa.Schema] = {}
        self.counted: dict[str, int] = dict.fromkeys(streams, 0)
        """Rows so far, by the name of the part."""

    def begin(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Start every part with its schema. Raises INTERNAL if the parts are not those of the streams."""
        if schemas.keys() != self._streams.keys():
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
        for name in self._streams:
            self.begin_part(name, schemas[name])

    def begin_part(self, name: str, schema: pa.Schema) -> None:
        """Start one part, of a task, whose parts begin with their first batch."""
        self._schemas[name] = schema
        written = self._columns[name].schema(schema) if name in self._columns else schema
        self._writers[name] = StreamWriter(written, max_batch_bytes=LIMITS.batch_bytes)
        self._streams[name].write(_bytes(self._writers[name].schema_message()))

    def has_begun(self, name: str) -> bool:
        """Whether this part was started."""
        return name in self._writers

    def result(self, batch: pa.RecordBatch) -> None:
        """Write more of the result."""
        self.part(_RESULT, batch)

    def status(self, status: RowStatus) -> None:
        """Write the status of the next rows of the input."""
        if len(status.status):
            self.part(_STATUS, status.to_batch(self.counted[_STATUS]))

    def part(self, name: str, batch: pa.RecordBatch) -> None:
        """Write more of any part; bytes where its schema has text are written as that."""
        plain = arrow.with_text(batch, self._schemas[name])
        for sealed in self._columns[name].seal(plain) if name in self._columns else (plain,):
            for message in self._writers[name].batch_messages(sealed):
                self._streams[name].write(_bytes(message))
        self.counted[name] += batch.num_rows

    def finish(self, *, padded: bool) -> tuple[CountedPart, ...]:
        """Seal and send what is left; return the counts of the complete parts, in part order."""
        for stream in self._streams.values():
            stream.write(memoryview(END_OF_STREAM))
            if padded:
                stream.pad()
        return tuple(stream.finish() for stream in self._streams.values())


def _bytes(message: pa.Buffer) -> memoryview:
    return memoryview(message).cast("B")

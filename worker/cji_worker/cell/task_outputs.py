"""The output streams of a task: shuffle streams to its consumers, and its shards of the job's outputs."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from cji_core.format.envelope import SHUFFLE_SEGMENT_BYTES, output_aad, padding
from cji_core.format.job import LIMITS
from cji_core.format.records import END_OF_STREAM, RowStatus, StreamWriter, carrying
from cji_core.operations.stages.stage import RESULT_OUTPUT
from cji_core.operations.stages.stage import Stage as PartStage
from cji_core.operations.stages.streams import TO_ALL, PartStream, TaskStreams
from cji_worker.cell.columns import OutputColumns
from cji_worker.cell.outputs import OutputParts
from cji_worker.cell.streams import Emit, OutputStream, sealing_buffer
from cji_worker.cell.task_keys import TaskKeys
from cji_worker.ipc.messages import CountedPart

_ROW_STATUS: Final = "row_status"
_FIRST_BYTES: Final = 4096
"""Room of each shuffle stream at first: most of them are short, and there may be thousands."""


class TaskOutputs:
    """All output streams of one task. Each keeps less than a segment of plaintext; the rest has left, sealed."""

    def __init__(
        self,
        *,
        job: TaskStreams,
        stage: PartStage,
        number: int,
        keys: TaskKeys,
        emit: Emit,
        inputs: Mapping[str, pa.Schema],
        columns: Mapping[str, OutputColumns],
    ) -> None:
        """`inputs` are the schemas of the job's inputs by name, as far as they are known: more as edges are read.

        Shuffle streams carry those that are known now. `columns` are the sealed ones of the job's outputs.
        """
        self._stage, self._inputs, self._all_inputs = stage, inputs, frozenset(job.inputs)
        self._schemas = {output.name: output.schema for output in job.outputs}
        scratch = sealing_buffer(SHUFFLE_SEGMENT_BYTES)
        self._writers = {
            edge.name: StreamWriter(carrying(edge.schema, inputs), max_batch_bytes=LIMITS.batch_bytes)
            for edge in stage.writes
        }
        self._shuffled: dict[str, dict[int, OutputStream]] = {edge.name: {} for edge in stage.writes}
        parts = dict[str, OutputStream]()
        for ordinal, stream in enumerate(job.written_by(stage, number)):
            if isinstance(stream, PartStream):
                aad = output_aad(keys.result_header_sha384, stream.part)
                parts[stream.name] = OutputStream(part=ordinal, key=keys.result_key, aad=aad, emit=emit)
                continue
            key, aad = keys.of(stream)
            output = OutputStream(
                part=ordinal,
                key=key,
                aad=aad,
                emit=emit,
                segment=SHUFFLE_SEGMENT_BYTES,
                stage_bytes=_FIRST_BYTES,
                own=scratch,
            )
            name = job.stages.edges[stream.edge].name
            output.write(memoryview(self._writers[name].schema_message()).cast("B"))
            self._shuffled[name][0 if stream.consumer == TO_ALL else stream.consumer] = output
        self._names, self._parts = tuple(parts), OutputParts(parts, columns)

    def write(self, edge: str, batch: pa.RecordBatch, to: int) -> None:
        """Append to the stream of the edge to this consumer."""
        stream = self._shuffled[edge][to]
        for first in range(0, batch.num_rows, LIMITS.batch_rows):
            for message in self._writers[edge].batch_messages(batch.slice(first, LIMITS.batch_rows)):
                stream.write(memoryview(message).cast("B"))

    def output(self, name: str, batch: pa.RecordBatch) -> None:
        """Append to the shard of an output."""
        if name not in self._names or name not in self._stage.outputs:
            raise ValueError(f"{self._stage.name} does not write {name}")
        if not self._parts.has_begun(name):
            self._parts.begin_part(name, batch.schema if name == RESULT_OUTPUT else self._schema_of(name))
        self._parts.part(name, batch)

    def status(self, status: RowStatus) -> None:
        """Append to the shard of the row status."""
        if _ROW_STATUS not in self._names:
            raise ValueError(f"{self._stage.name} does not give the status of rows")
        if not self._parts.has_begun(_ROW_STATUS):
            self._parts.begin_part(_ROW_STATUS, self._schema_of(_ROW_STATUS))
        self._parts.status(status)

    def finish(self, *, padded: bool) -> tuple[list[CountedPart], tuple[int, ...]]:
        """Seal what is left: the counts of all streams in their order, and the rows of the shards of outputs.

        Shuffle streams are always padded, shards of outputs if the job's are.
        """
        for name in self._names:
            if not self._parts.has_begun(name):
                self._parts.begin_part(name, self._schema_of(name))
        counted = list[CountedPart]()
        for streams in self._shuffled.values():
            for stream in streams.values():
                stream.write(memoryview(END_OF_STREAM))
                stream.zeros(padding(stream.plain_bytes))
                counted.append(stream.finish())
        counted += self._parts.finish(padded=padded)
        return counted, tuple(self._parts.counted[name] for name in self._names)

    def _schema_of(self, name: str) -> pa.Schema:
        schema = self._schemas[name]
        if any(column.of for column in schema.columns.values()) and self._inputs.keys() != self._all_inputs:
            raise ValueError(f"{self._stage.name} writes {name} before it knows the columns of all inputs")
        return schema.made_from(self._inputs.values())

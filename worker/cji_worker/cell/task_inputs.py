"""The input streams of a task: unsealed one after the other, as its stage asks for them."""

import itertools
from collections.abc import Iterator

import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import SHUFFLE_SEGMENT_BYTES, input_aad
from cji_core.format.job import LIMITS, Header
from cji_core.format.records import StreamReader, check_schema
from cji_core.format.records.arrow import own
from cji_core.operations.stages.stage import Stage as PartStage
from cji_core.operations.stages.streams import EdgeStream, Stream, TaskStreams
from cji_worker.cell.allowance import Allowance
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.columns import InputColumns, JobColumns
from cji_worker.cell.streams import InputStream
from cji_worker.cell.task_keys import TaskKeys
from cji_worker.ipc.messages import CountedPart, Finish, InputFreed


class TaskInputs:
    """All input streams of one task, which must come complete and in order. A batch of records lasts until the next."""

    def __init__(
        self,
        channels: CellChannels,
        *,
        header: Header,
        window: memoryview,
        allowance: Allowance,
        job: TaskStreams,
        stage: PartStage,
        number: int,
    ) -> None:
        """Get ready; `open` comes first."""
        self._channels, self._header, self._window, self._allowance = channels, header, window, allowance
        self._job, self._stage, self._number = job, stage, number
        self._streams: tuple[Stream, ...] = job.read_by(stage, number)
        self._to_read = list(stage.reads)
        self._records: Iterator[pa.RecordBatch] | None = None
        self._primed: Iterator[tuple[int, pa.RecordBatch]] | None = None
        """The first edge of a stage that reads no records, with its first batch read."""
        self._reading: Iterator[object] = iter(())
        self.counted: list[CountedPart] = []
        """Of the streams that are complete."""
        self.schemas: dict[str, pa.Schema] = {}
        """Of the inputs by name, as far as they were read here or carried by an edge that was."""
        self.rows = 0
        """Records so far."""

    @property
    def schema(self) -> pa.Schema | None:
        """Of the records, once `open` has found it: in them, or carried by the first edge."""
        return self.schemas.get(self._header.inputs[-1].name)

    def open(self, keys: TaskKeys, columns: JobColumns) -> dict[str, list[pa.RecordBatch]]:
        """Read the side tables of the stage, which are returned whole, and the schema of the records."""
        self._keys, self._columns = keys, columns
        sides = {name: list(self._side(name)) for name in self._job.inputs[:-1] if name in self._stage.sides}
        if self._stage.records:
            self._records = self._open_records()
        elif self._to_read:
            batches = self._read(self._to_read[0])
            self._primed = itertools.chain(list(itertools.islice(batches, 1)), batches)
        return sides

    def records(self) -> Iterator[pa.RecordBatch]:
        """The batches of the task's shard; once."""
        records, self._records = self._records, None
        if records is None:
            raise ValueError(f"{self._stage.name} reads no records, or has read them")
        self._reading = records
        return records

    def read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(producer, batch) of the streams of the stage's next edge."""
        if not self._to_read or self._to_read.pop(0) != edge:
            raise ValueError(f"{edge} is not the next edge of {self._stage.name}")
        self._drain()
        batches, self._primed = self._primed or self._read(edge), None
        self._reading = batches
        return batches

    def finish(self) -> None:
        """Read to its end what the stage left. Raises ValueError for an edge that it did not read at all."""
        self._drain()
        if self._to_read:
            raise ValueError(f"{self._stage.name} left an edge unread")
        if len(self.counted) != len(self._streams) or not isinstance(self._channels.await_input(), Finish):
            raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)

    def _drain(self) -> None:
        for _ in itertools.chain(self._records or (), self._reading):
            pass
        self._records, self._reading = None, iter(())

    def _side(self, name: str) -> Iterator[pa.RecordBatch]:
        """The batches of a side table, in memory of their own: as many rows as the header declares, if it does."""
        number, part = next(each for each in enumerate(self._header.inputs) if each[1].name == name)
        reader, columns, rows = self._reader(), self._columns.of_input(number), 0
        for batch in self._pull(reader, of_job=True):
            check_schema(part.schema, columns.schema(batch.schema))
            self._allowance.take_rows(batch.num_rows)
            rows += batch.num_rows
            yield from map(own, columns.open_good(batch))
        columns.finish(strict=True)
        if reader.schema is not None:
            self._learn(name, columns.schema(reader.schema))
        if part.rows_declared not in {None, rows}:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)

    def _open_records(self) -> Iterator[pa.RecordBatch]:
        reader, columns = self._reader(), self._columns.of_shard(self._number)
        pulled = self._pull(reader, of_job=True)
        first = list(itertools.islice(pulled, 1))
        if reader.schema is None:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
        self._learn(self._header.inputs[-1].name, columns.schema(reader.schema))
        return self._opened_rows(itertools.chain(first, pulled), columns)

    def _opened_rows(self, batches: Iterator[pa.RecordBatch], columns: InputColumns) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._allowance.take_rows(batch.num_rows)
            self.rows += batch.num_rows
            yield from columns.open_good(batch)
        columns.finish(strict=True)

    def _read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        number, schema = next((at, each.schema) for at, each in enumerate(self._job.stages.edges) if each.name == edge)
        while isinstance(stream := self._next(), EdgeStream) and stream.edge == number:
            reader = self._reader(only=schema, padded=True)
            batches = self._pull(reader)
            first = list(itertools.islice(batches, 1))
            self._take_schemas(reader)
            for batch in itertools.chain(first, batches):
                yield stream.producer, own(batch)  # stages keep what they read of an edge

    def _take_schemas(self, reader: StreamReader) -> None:
        for name, carried in reader.carried.items():
            self._learn(name, pa.ipc.read_schema(pa.py_buffer(carried)))

    def _learn(self, name: str, schema: pa.Schema) -> None:
        """An input's schema, which is one and the same wherever it is found."""
        if name not in self.schemas:
            declared = next((part.schema for part in self._header.inputs if part.name == name), "")
            check_schema(declared, schema)
            self.schemas[name] = schema
        if not schema.equals(self.schemas[name], check_metadata=True):
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)

    def _next(self) -> Stream | None:
        at = len(self.counted)
        return self._streams[at] if at < len(self._streams) else None

    def _reader(self, *, only: pa.Schema | None = None, padded: bool = False) -> StreamReader:
        return StreamReader(
            self._window,
            max_batch_rows=LIMITS.batch_rows,
            max_batch_bytes=LIMITS.batch_bytes,
            only=only,
            padded=padded,
        )

    def _pull(self, reader: StreamReader, *, of_job: bool = False) -> Iterator[pa.RecordBatch]:
        """The batches of the next input stream, to its end."""
        stream = self._open_next(reader)
        while not stream.complete:
            message = self._channels.await_input()
            if isinstance(message, Finish):
                raise Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
            if message.part != len(self.counted):
                raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
            if of_job:
                self._allowance.take_bytes(message.length)
            stream.unseal(self._channels.ring.input(message.slot)[: message.length])
            self._channels.data.send(InputFreed(slot=message.slot))
            yield from stream.batches()
        self.counted.append(stream.finish())

    def _open_next(self, reader: StreamReader) -> InputStream:
        stream = self._next()
        assert stream is not None  # noqa: S101 - a stage reads no more streams than it has
        if isinstance(stream, EdgeStream):
            key, aad = self._keys.of(stream)
            return InputStream(key=key, aad=aad, reader=reader, segment=SHUFFLE_SEGMENT_BYTES)
        return InputStream(key=self._keys.dek, aad=input_aad(self._header.sha384, stream.part), reader=reader)

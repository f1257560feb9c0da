"""One job, from the keys to the summary.

    open      header parsed again, keys taken from their slot, result header made
    stream    segment -> window -> batch -> operations -> outputs, one batch at a time
    finish    last segment of the input verified, counts reconciled, outputs sealed but for their last segments
    commit    the keyholder has the audit event on disk: the last segments leave

Any refusal goes to the keyholder as a Reason and ends the cell.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from worker import compute
from worker.cell.result import make_result_header
from worker.cell.streams import InputStream, OutputStream
from worker.cell.wires import Wires
from worker.envelope import input_aad, output_aad, sha384
from worker.errors import Reason, Refusal, Stage
from worker.ipc import KeySlot
from worker.ipc.messages import (
    CellFailed,
    Finish,
    InputFreed,
    Opened,
    OutputReady,
    OutputsDone,
    ProgressMade,
    Summary,
)
from worker.job import LIMITS, Header, SizeClass, parse
from worker.records import END_OF_STREAM, ROW_STATUS_SCHEMA, RowStatus, StreamReader, StreamWriter

__all__ = ["CHUNK_ROWS", "Job", "run_job"]

CHUNK_ROWS: Final = 16_384
"""Rows that operations see at once: their columns and temporaries stay in the L2 cache, and in few pages."""


def run_job(wires: Wires, *, slot: KeySlot, window: memoryview) -> int:
    """Wait for this cell's job and run it; returns the exit status of the cell."""
    message = wires.await_open()
    try:
        Job(wires, header=parse(message.header), worker_id=message.worker_id, keys=slot.take(), window=window).run()
    except Refusal as refusal:
        wires.control.send(CellFailed(reason=refusal.reason, stage=refusal.stage))
        return 1
    except MemoryError:
        wires.control.send(CellFailed(reason=Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE))
        return 1
    return 0


class Job:
    """The state of the one job of this process."""

    def __init__(self, wires: Wires, *, header: Header, worker_id: str, keys: list[bytes], window: memoryview) -> None:
        self._wires, self._header = wires, header
        dek, *self._project_keys = keys
        if len(header.inputs) != 1:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.OPEN)
        self._schema_id = header.inputs[0].schema
        result, result_key = make_result_header(
            header, worker_id=worker_id, outputs=compute.output_parts(header.operations, self._schema_id)
        )
        self._result_header = result
        digest = sha384(result)
        self._input = InputStream(
            key=dek,
            aad=input_aad(header.sha384, 0),
            reader=StreamReader(window, max_batch_rows=LIMITS.batch_rows, max_batch_bytes=LIMITS.batch_bytes),
        )
        self._result, self._status = (
            OutputStream(part=part, key=result_key, aad=output_aad(digest, part), emit=self._emit) for part in (0, 1)
        )
        self._rows = 0
        self._writer: StreamWriter | None = None
        self._status_writer = StreamWriter(ROW_STATUS_SCHEMA, max_batch_bytes=LIMITS.batch_bytes)
        self._operations: list[compute.BatchOperation] = []
        self._per_cent = 0

    def run(self) -> None:
        """The way of the job."""
        self._wires.data.send(Opened(result_header=self._result_header))
        self._write(self._status, self._status_writer.schema_message())
        while not isinstance(message := self._wires.await_input(), Finish):
            if message.part != 0 or not 0 <= message.length <= len(self._wires.ring.input(message.slot)):
                raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
            self._input.unseal(self._wires.ring.input(message.slot)[: message.length])
            self._wires.data.send(InputFreed(slot=message.slot))
            for batch in self._input.batches():
                for first in range(0, batch.num_rows, CHUNK_ROWS):
                    self._process(batch.slice(first, CHUNK_ROWS))
        self._finish()

    def _process(self, batch: pa.RecordBatch) -> None:
        self._prepare()
        rows = batch.num_rows
        status = RowStatus.all_ok(rows)
        origin = np.arange(batch.num_columns, dtype=np.int16)
        for operation in self._operations:
            batch, found = operation.apply(batch)
            status = status.merge(found.traced(origin))
            origin = origin[operation.sources]
        if batch.num_rows != rows or sum(status.counts()) != rows:
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
        assert self._writer is not None  # noqa: S101 - made by _prepare
        for message in self._writer.batch_messages(batch):
            self._write(self._result, message)
        for message in self._status_writer.batch_messages(status.to_batch(self._rows)):
            self._write(self._status, message)
        self._rows += rows
        self._tell_progress()

    def _prepare(self) -> None:
        """Once the input's schema is known: build the operations, each on the output schema of the one before."""
        if self._writer is not None:
            return
        schema, schema_id = self._input.reader.schema, self._schema_id
        if schema is None:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
        keys = iter(self._project_keys)
        for operation in self._header.operations:
            key = next(keys) if compute.project_of(operation) else None
            prepared = compute.prepare(operation, schema_id, schema, key)
            self._operations.append(prepared)
            schema, schema_id = prepared.output_schema, prepared.output_schema_id
        self._writer = StreamWriter(schema, max_batch_bytes=LIMITS.batch_bytes)
        self._write(self._result, self._writer.schema_message())

    def _finish(self) -> None:
        received = self._input.finish()
        self._prepare()  # 0 rows is a valid job
        declared = self._header.inputs[0].rows_declared
        if declared is not None and declared != self._rows:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
        outputs = (self._result, self._status)
        for stream in outputs:
            stream.write(memoryview(END_OF_STREAM))
            if self._header.size_class == SizeClass.POWER_OF_TWO:
                stream.pad()
        sealed = tuple(stream.finish() for stream in outputs)
        self._wires.control.send(
            Summary(
                inputs=(received,),
                outputs=sealed,
                result_header=self._result_header,
                rows_in=self._rows,
                rows_out=self._rows,
                chri_rows_out=self._rows if self._schema_id.startswith("chri_") else 0,
                subjects_out=self._rows,
            )
        )
        self._wires.await_commit()
        for stream in outputs:
            stream.release()
        self._wires.data.send(OutputsDone())

    def _write(self, stream: OutputStream, message: pa.Buffer) -> None:
        stream.write(memoryview(message).cast("B"))

    def _emit(self, part: int, index: int, sealed: memoryview) -> None:
        slot = self._wires.await_output_slot()
        self._wires.ring.output(slot)[: len(sealed)] = sealed
        self._wires.data.send(OutputReady(slot=slot, part=part, index=index, length=len(sealed)))

    def _tell_progress(self) -> None:
        declared = self._header.inputs[0].rows_declared
        if declared:
            per_cent = min(self._rows * 100 // declared, 100)
            if per_cent > self._per_cent:
                self._per_cent = per_cent
                self._wires.data.send(ProgressMade(stage="rows", per_cent=per_cent))

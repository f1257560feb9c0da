"""One job, from its header to the summary.

    ready     header parsed again, result header made, while the keyholder writes the admission
    open      keys taken from their slot
    sides     the inputs before the records are kept whole
    stream    segment -> window -> batch -> opened columns -> operations -> outputs, batch by batch, shard after shard
    finish    last segment of every input verified, counts reconciled, outputs sealed and passed to the front
    vouch     the counts go to the keyholder

The front holds the last segments back until the receipt is on disk. Any refusal goes to the keyholder as a Reason and
ends the cell.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import pyarrow as pa

from cji_core.errors import Denied, Limit, Reason, Refusal, Stage
from cji_core.format.envelope import ATTRIBUTION, DEK_BYTES, input_aad, open_box, output_aad, sha384, wrap_result_key
from cji_core.format.job import LIMITS, Attribution, Header, InputPart, OutputPart, SizeClass, parse
from cji_core.format.job.result_header import result_header
from cji_core.format.records import StreamReader, arrow, check_schema
from cji_core.jose import parse_recipient
from cji_core.operations.registry import Plan, plan
from cji_core.operations.tables import Tables
from cji_operations.operation import Context, JobContext, PreparedOperation, WithReference
from cji_operations.registry import prepare, stage_functions
from cji_worker.cell.allowance import Allowance
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.columns import JobColumns
from cji_worker.cell.outputs import OutputParts
from cji_worker.cell.pipeline import Pipeline
from cji_worker.cell.streams import InputStream, OutputStream, sealing_buffer
from cji_worker.cell.task import CellTask
from cji_worker.column_faults import CellsRefused
from cji_worker.ipc import ChannelClosed, KeySlot
from cji_worker.ipc.messages import (
    CellFailed,
    CountedPart,
    Finish,
    InputFreed,
    Opened,
    OpenJob,
    OutputsDone,
    Summary,
)
from cji_worker.memory import Region

_STAGE_BYTES: Final = 32 << 10
"""Of an output's plaintext at first: a small job opens no more memory, which would be wiped after it."""


def run_job(
    channels: CellChannels, *, key_slot: KeySlot, window: memoryview, reference_slots: Sequence[Region], tables: Tables
) -> int:
    """Wait for this cell's job and run it; returns the exit status of the cell."""
    message = channels.await_open()
    for number, other in enumerate(reference_slots):
        if number != message.reference_slot:
            other.unmap()
    try:
        header = parse(message.header)
        planned = plan(header.operations, header.input_schemas, tables)
        number = message.reference_slot
        context = Context(
            job=job_context(header, None),
            tables=tables,
            reference_slot=_reference_slot(planned, reference_slots[number]) if number >= 0 else None,
        )
        if message.task is None:
            job = CellJob(channels, message, header=header, planned=planned, window=window, context=context)
            channels.await_keys()
            job.run(JobKeys.of(planned, key_slot.take()))
            return 0
        (only,) = planned.operations
        task = CellTask(
            channels,
            message,
            message.task,
            header=header,
            planned=planned,
            functions=stage_functions(only),
            window=window,
            context=context,
        )
        channels.await_keys()
        keys = JobKeys.of(planned, key_slot.take())
        project_key = next(iter(keys.projects), None)
        task.run(
            keys.dek, _opened(context, header, keys.dek, project_key=project_key), JobColumns(header, keys.columns)
        )
    except Refusal as refusal:
        channels.control.send(_failed(refusal))
        return 1
    except MemoryError:
        channels.control.send(CellFailed(reason=Reason.LIMIT_EXCEEDED, stage=Stage.COMPUTE, limit=Limit.CELL_MEMORY))
        return 1
    except ChannelClosed:
        return 0  # a peer gave the job up
    return 0


def _failed(refusal: Refusal) -> CellFailed:
    return CellFailed(
        reason=refusal.reason,
        stage=refusal.stage,
        limit=refusal.limit,
        denied_by=refusal.by if isinstance(refusal, Denied) else None,
        cells=refusal.place if isinstance(refusal, CellsRefused) else None,
    )


def _reference_slot(planned: Plan, region: Region) -> memoryview:
    """The memory of this job's reference; it can only be read unless the job is to fill it."""
    if planned.reference is None or not planned.reference.seconds:
        region.protect()
    return region.view()


class CellJob:
    """The state of the one job of this process."""

    def __init__(
        self,
        channels: CellChannels,
        message: OpenJob,
        *,
        header: Header,
        planned: Plan,
        window: memoryview,
        context: Context,
    ) -> None:
        """`context` is the same for all operations, but for their keys and the side tables, which are read first."""
        self._channels, self._header, self._plan, self._window = channels, header, planned, window
        self._context = context
        self._allowance = Allowance(rows=message.max_rows, max_bytes=message.max_bytes)
        outputs = [OutputPart(name=part.name, schema=part.schema.schema_id) for part in planned.outputs]
        result_key = os.urandom(DEK_BYTES)
        self._result_header = result_header(
            header,
            worker_id=message.worker_id,
            outputs=outputs,
            wrapped_keys=[
                wrap_result_key(parse_recipient(recipient.jwk, header.suite), result_key, header.sha384)
                for recipient in header.recipients
            ],
        )
        digest, own = sha384(self._result_header), sealing_buffer()
        self._streams = {
            output.name: OutputStream(
                part=part,
                key=result_key,
                aad=output_aad(digest, part),
                emit=self._channels.emit,
                stage_bytes=_STAGE_BYTES,
                own=own,
            )
            for part, output in enumerate(outputs)
        }
        self._parts = header.parts
        self._received: list[CountedPart] = []
        self._sides: dict[str, list[pa.RecordBatch]] = {part.name: [] for part in header.inputs[:-1]}
        self._side_schemas: dict[str, pa.Schema] = {}
        self._rows = 0
        self._schema: pa.Schema | None = None
        self._pipeline: Pipeline | None = None

    def run(self, keys: "JobKeys") -> None:
        """The way of the job."""
        self._dek, self._project_keys = keys.dek, keys.projects
        self._columns = JobColumns(self._header, keys.columns)
        self._outputs = OutputParts(self._streams, self._columns.outputs)
        self._context = _opened(self._context, self._header, self._dek)
        self._input = self._next_input()
        self._channels.data.send(Opened(result_header_sha384=sha384(self._result_header)))
        while not isinstance(message := self._channels.await_input(), Finish):
            if message.part == len(self._received) + 1:
                self._end_input()
                self._input = self._next_input()
            if message.part != len(self._received):
                raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
            self._allowance.take_bytes(message.length)
            self._input.unseal(self._channels.ring.input(message.slot)[: message.length])
            self._channels.data.send(InputFreed(slot=message.slot))
            for batch in self._input.batches():
                self._take(batch)
        self._finish()

    # ------------------------------------------------------------------ in

    @property
    def _part(self) -> InputPart:
        """The input of which a part is being read."""
        return self._parts[len(self._received)]

    @property
    def _is_side(self) -> bool:
        return len(self._received) + 1 < len(self._header.inputs)

    def _next_input(self) -> InputStream:
        part = len(self._received)
        if part >= len(self._parts):
            raise Refusal(Reason.SEGMENT_INVALID, stage=Stage.UNSEAL)
        if part < len(self._header.inputs):
            self._input_columns = self._columns.of_input(part)
        else:
            self._input_columns.next_part()
        return InputStream(
            key=self._dek,
            aad=input_aad(self._header.sha384, part),
            reader=StreamReader(self._window, max_batch_rows=LIMITS.batch_rows, max_batch_bytes=LIMITS.batch_bytes),
        )

    def _end_input(self) -> None:
        """The part that is being read is whole."""
        received = self._input.finish()
        is_last = self._is_side or len(self._received) + 1 == len(self._parts)
        if is_last:
            self._input_columns.finish(strict=self._is_side)
        if self._is_side:
            self._check_side()
            rows = sum(batch.num_rows for batch in self._sides[self._part.name])
        else:
            self._prepared()  # 0 rows is a valid job
            rows = self._rows
        if is_last and self._part.rows_declared not in {None, rows}:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.COMPUTE)
        self._received.append(received)

    def _take(self, batch: pa.RecordBatch) -> None:
        self._allowance.take_rows(batch.num_rows)
        if self._is_side:
            self._check_side()
            self._sides[self._part.name] += map(arrow.own, self._input_columns.open_good(batch))
            return
        pipeline = self._prepared()
        for rows in self._input_columns.open(batch):
            pipeline.push(rows.batch, rows.status, rows.kept)
        self._rows += batch.num_rows
        if self._part.rows_declared:
            self._channels.report("rows", min(self._rows * 100 // self._part.rows_declared, 100))

    def _schema_of_input(self) -> pa.Schema:
        """The schema of the stream that is being read, opened."""
        if self._input.reader.schema is None:
            raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
        return self._input_columns.schema(self._input.reader.schema)

    def _check_side(self) -> None:
        schema = self._side_schemas[self._part.name] = self._schema_of_input()
        check_schema(self._part.schema, schema)

    def _prepared(self) -> Pipeline:
        """The pipeline, once the records' schema is known; every shard must have the same."""
        schema = self._schema_of_input()
        if self._pipeline is None:
            self._pipeline, self._schema = self._new_pipeline(schema), schema
        elif schema is not self._schema:
            if not schema.equals(self._schema, check_metadata=True):
                raise Refusal(Reason.SCHEMA_MISMATCH, stage=Stage.UNSEAL)
            self._schema = schema
        return self._pipeline

    def _new_pipeline(self, schema: pa.Schema) -> Pipeline:
        """The operations, each prepared for the output schema of the one before."""
        columns, operations, keys = len(schema), list[PreparedOperation](), iter(self._project_keys)
        schemas = {part.name: part.schema.arrow for part in self._plan.outputs}
        for planned in self._plan.operations:
            key = None if planned.signature.project is None else next(keys)
            context = replace(self._context, project_key=key, sides=self._sides)
            operations.append(prepare(planned, schema, context))
            inputs = [*self._side_schemas.values(), schema]
            inputs += [operations[-1].reference_schema] if isinstance(operations[-1], WithReference) else []
            schemas |= {part.name: part.schema.made_from(inputs) for part in planned.signature.parts}
            schema = operations[-1].output_schema
        self._outputs.begin(schemas | {self._plan.outputs[0].name: schema})
        return Pipeline(
            operations,
            columns=columns,
            sink=self._outputs,
            progress=self._channels.report,
            input_rows=[at for at, each in enumerate(self._plan.operations) if each.operation.input_rows],
        )

    # ------------------------------------------------------------------ out

    def _finish(self) -> None:
        self._end_input()
        if len(self._received) != len(self._parts):
            raise Refusal(Reason.INCOMPLETE, stage=Stage.UNSEAL)
        self._prepared().finish()
        if self._outputs.counted["row_status"] != self._rows:
            raise Refusal(Reason.INTERNAL, stage=Stage.COMPUTE)
        sealed = self._outputs.finish(padded=self._header.size_class == SizeClass.POWER_OF_TWO)
        self._channels.data.send(OutputsDone())
        self._channels.control.send(
            Summary(
                inputs=tuple(self._received),
                outputs=sealed,
                result_header=self._result_header,
                rows_in=self._rows,
                rows_out=tuple(self._outputs.counted.values()),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobKeys:
    """The keys of a job, in the order in which they come: its data key, its projects' keys, its columns' keys."""

    dek: bytes
    projects: Sequence[bytes]
    columns: Sequence[bytes]

    @classmethod
    def of(cls, planned: Plan, keys: Sequence[bytes]) -> Self:
        """All keys of the slot."""
        dek, *others = keys
        projects = len(planned.projects)
        return cls(dek=dek, projects=others[:projects], columns=others[projects:])


def _opened(context: Context, header: Header, dek: bytes, *, project_key: bytes | None = None) -> Context:
    """The context with the opened attribution."""
    attribution = Attribution.decode(open_box(dek, ATTRIBUTION, header.sealed_attribution))
    return replace(context, job=job_context(header, attribution), project_key=project_key)


def job_context(header: Header, attribution: Attribution | None) -> JobContext:
    """The job as its operations see it; without the attribution until that is open."""
    return JobContext(
        purpose_code=header.purpose_code,
        requesting_ori=header.requesting_ori,
        requestor=attribution.requestor if attribution else "",
        secondary_recipient=attribution.secondary_recipient if attribution else "",
        created=header.created,
    )

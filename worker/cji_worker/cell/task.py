"""One task of a job in parts: a stage's function between sealed streams.

The cell derives the names of all its streams from header, plan and task (`cji_core.operations.stages.streams`). The
streams that it is given must be exactly these, complete and in order, or they do not open. The cell of the task that
plans also makes the result key and the result header.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import DEK_BYTES, seal_result_key, wrap_result_key
from cji_core.format.job import Header, OutputPart, SizeClass, encode_plan, parse_plan, plan_facts
from cji_core.format.job.result_header import result_header
from cji_core.format.records import RowStatus
from cji_core.jose import parse_recipient
from cji_core.operations.registry import Plan
from cji_core.operations.stages.streams import TaskStreams
from cji_operations.kernels.hashing import Hashes
from cji_operations.operation import Context
from cji_operations.progress import ProgressCallback
from cji_operations.stages.task import StageFunctions
from cji_worker.cell.allowance import Allowance
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.columns import JobColumns
from cji_worker.cell.task_inputs import TaskInputs
from cji_worker.cell.task_keys import TaskKeys
from cji_worker.cell.task_outputs import TaskOutputs
from cji_worker.ipc.messages import (
    CHUNK,
    CountedPart,
    CountedStreams,
    Opened,
    OpenJob,
    OutputsDone,
    Summary,
    TaskOrder,
)


class CellTask:
    """The state of the one task of this process; to its stage it is a `cji_operations.stages.task.Task`."""

    def __init__(
        self,
        channels: CellChannels,
        message: OpenJob,
        order: TaskOrder,
        *,
        header: Header,
        planned: Plan,
        functions: StageFunctions,
        window: memoryview,
        context: Context,
    ) -> None:
        """`functions` are those of the stages. An order that does not fit is refused here too."""
        self._channels, self._header, self._planned, self._functions = channels, header, planned, functions
        (self._operation,) = planned.operations
        self._context = context
        job = TaskStreams.of_job(planned, header)
        self._plan = parse_plan(order.plan) if order.plan else None
        if self._plan is not None:
            job = job.under({name: self._plan.tasks[name] for name in job.to_plan})
        stage = job.stage(order.stage)
        if stage is None or order.task >= job.tasks[stage.name]:
            raise Refusal(Reason.BAD_PARAMETERS, stage=Stage.ADMIT)
        self._job, self._stage, self._number = job, stage, order.task
        self._inputs = TaskInputs(
            channels,
            header=header,
            window=window,
            allowance=Allowance(rows=message.max_rows, max_bytes=message.max_bytes),
            job=job,
            stage=stage,
            number=self._number,
        )
        self._made_plan = b""

    def run(self, dek: bytes, context: Context, columns: JobColumns) -> None:
        """The way of the task; `context` is the operation's, with its keys and without side tables."""
        keys = TaskKeys(dek, header_sha384=self._header.sha384, plan=self._plan)
        self._dek, self._keys, self._context = dek, keys, context
        self._channels.data.send(Opened(result_header_sha384=b""))
        self._context = replace(context, sides=self._inputs.open(keys, columns))
        self._outputs = TaskOutputs(
            job=self._job,
            stage=self._stage,
            number=self._number,
            keys=keys,
            emit=self._channels.emit,
            inputs=self._inputs.schemas,
            columns=columns.outputs,
        )
        self._functions[self._stage.name](self)
        self._inputs.finish()
        if self._stage.plans and not self._made_plan:
            raise ValueError(f"{self._stage.name} did not plan")
        counted, rows = self._outputs.finish(padded=self._header.size_class == SizeClass.POWER_OF_TWO)
        self._channels.data.send(OutputsDone())
        self._vouch(counted, rows)

    # ------------------------------------------------------------------ `cji_operations.stages.task.Task`

    @property
    def number(self) -> int:
        """See `Task`, as for all that follow."""
        return self._number

    @property
    def tasks(self) -> Mapping[str, int]:
        """Known so far."""
        return self._job.tasks

    @property
    def parameters(self) -> Any:
        """Of the operation."""
        return self._operation.parameters

    @property
    def schema(self) -> pa.Schema:
        """Of the records."""
        if self._inputs.schema is None:
            raise ValueError(f"{self._stage.name} reads no records")
        return self._inputs.schema

    @property
    def context(self) -> Context:
        """With the side tables of the stage."""
        return self._context

    @property
    def progress(self) -> ProgressCallback:
        """Of this task."""
        return self._channels.report

    def records(self) -> Iterator[pa.RecordBatch]:
        """The batches of its shard."""
        return self._inputs.records()

    def read(self, edge: str) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(producer, batch) of an edge."""
        return self._inputs.read(edge)

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        """Append to a shuffle stream."""
        self._outputs.write(edge, batch, to)

    def bucket_hash(self, hashes: Hashes) -> Hashes:
        """Keyed by the job's data key and header."""
        return self._keys.bucket_hash(hashes)

    def plan(self, tasks: Mapping[str, int]) -> None:
        """Decide the tasks of planned stages; the result key and header are made with the plan."""
        if not self._stage.plans or self._made_plan:
            raise ValueError(f"{self._stage.name} does not plan, or has planned")
        self._job = self._job.under(tasks)
        self._made_plan = self._new_plan()

    def output(self, name: str, batch: pa.RecordBatch) -> None:
        """Append to the shard of an output."""
        self._outputs.output(name, batch)

    def status(self, status: RowStatus) -> None:
        """Append to the shard of the row status."""
        self._outputs.status(status)

    # ------------------------------------------------------------------

    def _new_plan(self) -> bytes:
        result_key, header = os.urandom(DEK_BYTES), self._header
        outputs = [
            OutputPart(name=part.name, schema=part.schema.schema_id, shards=shards)
            for part, shards in zip(self._planned.outputs, self._job.output_shards(), strict=True)
        ]
        keys = [
            wrap_result_key(parse_recipient(recipient.jwk, header.suite), result_key, header.sha384)
            for recipient in header.recipients
        ]
        data = result_header(header, worker_id=header.audience, outputs=outputs, wrapped_keys=keys)
        facts = plan_facts(header.sha384, self._job.tasks, data)
        return encode_plan(facts, seal_result_key(self._dek, facts, result_key))

    def _vouch(self, outputs: list[CountedPart], rows: tuple[int, ...]) -> None:
        inputs = self._inputs.counted
        for first in range(0, max(len(inputs), len(outputs)), CHUNK):
            end = first + CHUNK
            self._channels.control.send(
                CountedStreams(inputs=tuple(inputs[first:end]), outputs=tuple(outputs[first:end]))
            )
        self._channels.control.send(
            Summary(
                inputs=(),
                outputs=(),
                result_header=b"",
                rows_in=self._inputs.rows,
                rows_out=rows,
                plan=self._made_plan,
            )
        )

"""A whole job in parts in this process: every task by the code of a cell, with stand-ins for front and keyholder.

For the self-test, which must not fork or start threads, and for tests. All streams are sealed as between cells.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cji_core.format.job import LIMITS, Header, parse_plan
from cji_core.operations.registry import Plan
from cji_core.operations.stages.stage import Stage
from cji_core.operations.stages.streams import EdgeStream, PartStream, TaskStreams
from cji_operations.operation import Context
from cji_operations.stages.task import StageFunctions
from cji_worker.cell.channels import CellChannels, Control, Data
from cji_worker.cell.columns import JobColumns
from cji_worker.cell.task import CellTask
from cji_worker.ipc import Ring
from cji_worker.ipc.messages import (
    CountedStreams,
    Finish,
    FrontFromCell,
    InputReady,
    KeyholderFromCell,
    OpenJob,
    OutputReady,
    Summary,
    TaskOrder,
)
from cji_worker.ipc.ring import SLOT_BYTES, SLOTS

Segments = list[bytes]


class PlainRing(Ring):
    """A ring in ordinary memory."""

    __slots__ = ()

    def __init__(self) -> None:
        self._view = np.empty(2 * SLOTS * SLOT_BYTES, np.uint8).data

    def close(self) -> None:
        """Release the memory."""
        self._view.release()


class _Data(Data):
    """The messages from a cell to its front."""

    __slots__ = ("outputs", "ring")

    def __init__(self, ring: Ring, outputs: int) -> None:
        self.ring, self.outputs = ring, [Segments() for _ in range(outputs)]

    def send(self, message: FrontFromCell, fds: Sequence[int] = ()) -> None:  # noqa: ARG002 - as of a channel
        if isinstance(message, OutputReady):
            self.outputs[message.part].append(bytes(self.ring.output(message.slot)[: message.length]))


class _Control(Control):
    """The messages from a cell to its keyholder."""

    __slots__ = ("counted", "summary")

    def __init__(self) -> None:
        self.counted: list[CountedStreams] = []
        self.summary: Summary | None = None

    def send(self, message: KeyholderFromCell, fds: Sequence[int] = ()) -> None:  # noqa: ARG002 - as of a channel
        if isinstance(message, CountedStreams):
            self.counted.append(message)
        elif isinstance(message, Summary):
            self.summary = message


class _Channels(CellChannels):
    """A front that has every input at hand, and takes every output at once."""

    def __init__(self, ring: Ring, inputs: Sequence[Segments], *, outputs: int) -> None:
        self.ring = ring
        self.to_front, self.to_keyholder = _Data(ring, outputs), _Control()
        self.data, self.control = self.to_front, self.to_keyholder
        self._waiting = deque((part, data) for part, segments in enumerate(inputs) for data in segments)

    def await_input(self) -> InputReady | Finish:
        if not self._waiting:
            return Finish()
        part, data = self._waiting.popleft()
        self.ring.input(0)[: len(data)] = data
        return InputReady(slot=0, part=part, length=len(data))

    def await_output_slot(self) -> int:
        return 0


@dataclass(kw_only=True)
class PartsLoop:
    """The job, and everything of it between its tasks.

    `functions` are those of its stages, `parts` the sealed parts of its inputs.
    """

    header: Header
    planned: Plan
    functions: StageFunctions
    dek: bytes
    parts: dict[int, Segments]
    context: Context
    window: memoryview
    column_keys: Sequence[bytes] = ()
    plan: bytes = b""
    shuffled: dict[EdgeStream, Segments] = field(default_factory=dict)
    results: dict[int, Segments] = field(default_factory=dict)
    rows: int = 0
    streams: TaskStreams = field(init=False)
    _ring: Ring = field(default_factory=PlainRing)

    def __post_init__(self) -> None:
        """The tasks before the plan."""
        self.streams = TaskStreams.of_job(self.planned, self.header)

    def run(self) -> None:
        """Run all tasks of all stages."""
        for stage in self.streams.stages.in_order:
            for number in range(self.streams.tasks[stage.name]):
                self.run_task(stage, number)

    def run_task(self, stage: Stage, number: int) -> Summary:
        """Run one task; raises what a cell would refuse it with."""
        named = self.streams.read_by(stage, number)
        inputs = [self.parts[one.part] if isinstance(one, PartStream) else self.shuffled[one] for one in named]
        written = self.streams.written_by(stage, number)
        channels = _Channels(self._ring, inputs, outputs=len(written))
        order = TaskOrder(
            plan=self.plan if self.streams.is_planned(stage) else b"",
            stage=stage.name,
            task=number,
            streams=len(inputs),
        )
        message = OpenJob(
            header=self.header.data, worker_id="loop", max_rows=1 << 40, max_bytes=LIMITS.job_bytes, task=order
        )
        task = CellTask(
            channels,
            message,
            order,
            header=self.header,
            planned=self.planned,
            functions=self.functions,
            window=self.window,
            context=self.context,
        )
        task.run(self.dek, self.context, JobColumns(self.header, self.column_keys))
        summary = channels.to_keyholder.summary
        if summary is None:
            raise RuntimeError(f"task {number} of {stage.name} made no statement")
        if stage.plans:
            self.plan = summary.plan
            planned = parse_plan(self.plan).tasks
            self.streams = self.streams.under({name: planned[name] for name in self.streams.to_plan})
        for stream, segments in zip(written, channels.to_front.outputs, strict=True):
            if isinstance(stream, PartStream):
                self.results[stream.part] = segments
            else:
                self.shuffled[stream] = segments
        return summary

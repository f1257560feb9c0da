"""`stages`: where the CPU time of sealed stages goes beside plain ones, by kind of work.

The tasks of `link` in parts run by the code of a cell and plain, in turns, as in `fleet`. The methods of a cell that
seal, open, hash, copy and check are timed by CPU, each without what it calls of the others; what remains of a task is
its stage's function. Plain streams are written and read in the Arrow format too, which is timed as well.
docs/benchmarks.md has the table, and what would end each line.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from benchmarks import fleet
from benchmarks.generate import population
from benchmarks.harness import Result
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.format.envelope import Sealer, Unsealer
from cji_core.format.records import StreamReader
from cji_core.operations.link import Link
from cji_worker.cell import parts_loop, task_inputs
from cji_worker.cell.channels import CellChannels
from cji_worker.cell.columns import InputColumns, OutputColumns
from cji_worker.cell.streams import InputStream, OutputStream
from cji_worker.cell.task import CellTask
from cji_worker.cell.task_inputs import TaskInputs
from cji_worker.cell.task_keys import TaskKeys
from cji_worker.cell.task_outputs import TaskOutputs
from cji_worker.ipc import PartCounter

__all__ = ["run"]

_KINDS: Final[dict[str, tuple[tuple[Any, str], ...]]] = {
    "AES-256-GCM of segments": ((Unsealer, "unseal_into"), (Sealer, "seal_into")),
    "SHA-256 of tags": ((PartCounter, "add"),),
    "keys of streams": ((Unsealer, "__init__"), (Sealer, "__init__"), (TaskKeys, "of")),
    "copy of a segment from the ring": ((InputStream, "unseal"),),
    "copies into segments": ((OutputStream, "write"), (OutputStream, "_send")),
    "zeros after a stream": ((OutputStream, "zeros"), (StreamReader, "_skip_padding")),
    "headers of Arrow messages": ((StreamReader, "_read_header"),),
    "schemas of streams": ((StreamReader, "_read_schema"), (TaskInputs, "_take_schemas")),
    "batches read and validated": ((StreamReader, "_read_batch"),),
    "moves in the window": ((StreamReader, "_make_room"),),
    "batches copied out of the window": ((task_inputs, "own"),),
    "batches written": ((TaskOutputs, "write"), (TaskOutputs, "output"), (TaskOutputs, "status")),
    "messages and streams in order": ((CellTask, "read"), (CellTask, "records")),
    "columns of records and outputs": ((InputColumns, "open_good"), (OutputColumns, "seal")),
    "start of a task": ((CellTask, "__init__"), (TaskOutputs, "__init__"), (TaskInputs, "open")),
    "copy of a segment to the ring": ((CellChannels, "emit"),),
    "what stands for the front": (
        (parts_loop._Channels, "await_input"),
        (parts_loop._Data, "send"),
    ),
    "end of a task": ((TaskInputs, "finish"), (TaskOutputs, "finish"), (CellTask, "_vouch")),
}
"""Kind of work -> the methods that are timed; a method that returns an iterator is timed in each step of it."""
_ROWS: Final = 1_000_000
_FEW_ROWS: Final = 100_000
_FUNCTIONS: Final = "functions of the stages"
_PLAIN_ARROW: Final = "Arrow format of plain streams"


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; five minutes, or one with `quick`."""
    machine, rows = facts(), _FEW_ROWS if quick else _ROWS
    report.heading("stages", machine)
    clock = _Clock()
    people = population(rows, per_person=2.0)
    with report.doing(f"{rows} records"):
        untimed = fleet.of_sealed(people, Link(pairs=fleet.PAIRS))
    with (
        report.doing(f"{rows} records, each kind of work timed"),
        clock.timed(_KINDS | {_PLAIN_ARROW: ((fleet.Streamed, "write"),)}),
    ):
        cost = fleet.of_sealed(people, Link(pairs=fleet.PAIRS))
    sealed, plain, arrow = cost.seconds, cost.plain_seconds, clock.seconds.pop(_PLAIN_ARROW)
    functions = sealed - sum(clock.seconds.values())
    report.table(
        f"{rows} records in parts, {cost.tasks} tasks, CPU seconds",
        ("", "plain", "sealed", "more, of plain"),
        [
            ("all", f"{plain:.2f}", f"{sealed:.2f}", f"{(sealed - plain) / plain:.1%}"),
            (_FUNCTIONS, f"{plain - arrow:.2f}", f"{functions:.2f}", f"{(functions - plain + arrow) / plain:.1%}"),
            (_PLAIN_ARROW, f"{arrow:.2f}", "", f"{-arrow / plain:.1%}"),
            *(
                (kind, "", f"{seconds:.2f}", f"{seconds / plain:.1%}")
                for kind, seconds in sorted(clock.seconds.items(), key=lambda each: -each[1])
            ),
        ],
    )
    ratio = untimed.plain_seconds / untimed.seconds
    report.note(f"without this clock {untimed.plain_seconds:.2f} and {untimed.seconds:.2f}: plain / sealed {ratio:.3f}")
    return Result(
        name="stages",
        machine=machine,
        figures={
            f"{kind.replace(' ', '_')}_us_per_row": 1e6 * seconds / rows for kind, seconds in clock.seconds.items()
        },
        ratios={"plain": ratio},
    )


class _Clock:
    """CPU seconds by kind of work, each without what was timed inside it."""

    def __init__(self) -> None:
        self.seconds = defaultdict[str, float](float)
        self._inside = [0.0]

    @contextmanager
    def timed(self, kinds: Mapping[str, Sequence[tuple[Any, str]]]) -> Iterator[None]:
        """While the block runs, the methods are timed."""
        with ExitStack() as stack:
            for kind, methods in kinds.items():
                for owner, name in methods:
                    method = getattr(owner, name)
                    stack.callback(setattr, owner, name, method)
                    setattr(owner, name, self._timed(kind, method))
            yield

    def _timed(self, kind: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            found = self._one(kind, method, args, named)
            return self._steps(kind, found) if isinstance(found, Iterator) else found

        return timed

    def _steps(self, kind: str, steps: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while (found := self._one(kind, next, (steps, end), {})) is not end:
            yield found

    def _one(self, kind: str, method: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self._inside.append(0.0)
        started = time.thread_time()
        try:
            return method(*args, **named)
        finally:
            whole = time.thread_time() - started
            self.seconds[kind] += whole - self._inside.pop()
            self._inside[-1] += whole

"""The progress display of `cji job`: bytes sealed, sent or received; the worker's step and percentage.

On a terminal it is one line that is redrawn; in a log it is one line per step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cji_client.progress import Phase, ProgressCallback
from cji_client.progress import Progress as Event

_TRANSFERS = {Phase.SEALED: "sealing", Phase.SENT: "sending", Phase.RECEIVED: "fetching"}


@contextmanager
def shown(console: Console) -> Iterator[ProgressCallback]:
    """The callback to pass to a client as `progress`."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.fields[amount]:>9}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _line(bar)


def _line(bar: Progress) -> ProgressCallback:
    task = bar.add_task("sending", total=None, amount="")

    def report(event: Event) -> None:
        if event.phase is Phase.WORKING:
            done = event.per_cent
            bar.update(task, description=event.stage, total=100, completed=done, amount=f"{done} %", refresh=True)
        elif bar.tasks[0].total is None:  # before the first step only; then the step is more useful
            bar.update(task, description=_TRANSFERS[event.phase], amount=f"{event.bytes / 1e6:.1f} MB")

    return report


def _lines(console: Console) -> ProgressCallback:
    last = ""

    def report(event: Event) -> None:
        nonlocal last
        if event.phase is Phase.WORKING and event.stage != last:
            last = event.stage
            console.print(f"step: {last}", highlight=False)

    return report

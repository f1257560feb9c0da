"""What `cji job run` shows while it waits: how much was sent, then the worker's step and how far it is.

On a terminal it is one line that is drawn anew; elsewhere, as in a log, a line for each step as it begins.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from worker.client.result import Progress as Report

__all__ = ["shown"]


@contextmanager
def shown(console: Console) -> Iterator[Report]:
    """The function that `SyncClient.run` reports to, as `Progress` there says."""
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


def _line(bar: Progress) -> Report:
    task = bar.add_task("sending", total=None, amount="")

    def report(stage: str, amount: int) -> None:
        if stage != "sent":
            bar.update(task, description=stage, total=100, completed=amount, amount=f"{amount} %", refresh=True)
        elif bar.tasks[0].total is None:  # no step so far; while rows are read and sent, the step says more
            bar.update(task, amount=f"{amount / 1e6:.1f} MB")

    return report


def _lines(console: Console) -> Report:
    last = "sent"

    def report(stage: str, amount: int) -> None:  # noqa: ARG001 - a log has no use for every per cent
        nonlocal last
        if stage not in {"sent", last}:
            last = stage
            console.print(f"step: {stage}", highlight=False)

    return report

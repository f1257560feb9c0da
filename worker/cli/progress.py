"""The progress display of `cji job`: bytes sealed, sent or received; the worker's step and percentage.

On a terminal it is one line that is redrawn; in a log it is one line per step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from worker.client.result import Progress as Report

_TRANSFERS: Final = {"sealed": "sealing", "sent": "sending", "received": "fetching"}


@contextmanager
def shown(console: Console) -> Iterator[Report]:
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


def _line(bar: Progress) -> Report:
    task = bar.add_task("sending", total=None, amount="")

    def report(stage: str, amount: int) -> None:
        if stage not in _TRANSFERS:
            bar.update(task, description=stage, total=100, completed=amount, amount=f"{amount} %", refresh=True)
        elif bar.tasks[0].total is None:  # before the first step only; then the step is more useful
            bar.update(task, description=_TRANSFERS[stage], amount=f"{amount / 1e6:.1f} MB")

    return report


def _lines(console: Console) -> Report:
    last = ""

    def report(stage: str, amount: int) -> None:  # noqa: ARG001 - a log needs no percentages
        nonlocal last
        if stage not in {*_TRANSFERS, last}:
            last = stage
            console.print(f"step: {stage}", highlight=False)

    return report

"""The progress display of `cji job`, from the first second: its phase with rows and bytes, the worker's step.

On a terminal it is one line that is redrawn; in a log it is a line for each phase and step, and one more for each that
takes long.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cji_client.progress import Phase, ProgressCallback
from cji_client.progress import Progress as Event

_EVERY: Final = 10.0
"""Seconds between two lines of a log on one step."""


@contextmanager
def shown(console: Console, *, every: float = _EVERY) -> Iterator[ProgressCallback]:
    """The callback to pass to a client as `progress`."""
    if not console.is_terminal:
        yield _useful(_lines(console, every))
        return
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        TextColumn("{task.fields[amount]:>22}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _useful(_line(bar))


def _useful(report: ProgressCallback) -> ProgressCallback:
    """Without transfers while the worker computes: then its step is more useful."""
    per_cent: int | None = None

    def useful(event: Event) -> None:
        nonlocal per_cent
        if event.phase is Phase.RUNNING:
            per_cent = event.per_cent
        hidden = {Phase.SENDING: per_cent is not None, Phase.RECEIVING: per_cent not in (None, 100)}
        if not hidden.get(event.phase, False):
            report(event)

    return useful


def _line(bar: Progress) -> ProgressCallback:
    task = bar.add_task("", total=None, amount="")

    def report(event: Event) -> None:
        if event.phase is Phase.RUNNING:
            done = event.per_cent
            bar.update(task, description=event.stage, total=100, completed=done, amount=_amount(event), refresh=True)
        else:
            bar.update(task, description=event.phase.value, total=None, amount=_amount(event))

    return report


def _lines(console: Console, every: float) -> ProgressCallback:
    last, at = "", 0.0

    def report(event: Event) -> None:
        nonlocal last, at
        name, now = event.stage or event.phase.value, time.monotonic()
        if name == last and now < at + every:
            return
        more = f", {_amount(event)}" if name == last else ""
        console.print(f"step: {name}{more}", highlight=False)
        last, at = name, now

    return report


def _amount(event: Event) -> str:
    if event.phase is Phase.RUNNING:
        return f"{event.per_cent} %"
    rows = f"{event.rows:,} rows" if event.rows else ""
    return ", ".join(filter(None, (rows, f"{event.bytes / 1e6:.1f} MB" if event.bytes else "")))

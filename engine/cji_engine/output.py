"""The output of the conductor: an estimate, progress, and a table of the stages."""

import dataclasses
import sys
from typing import Any

import click

from cji_engine.conductor import JobRefusedError, StageReport
from cji_engine.estimate import Estimate
from cji_engine.messages import Job, Refused, Request

__all__ = ["Display", "as_json", "show_estimate", "show_stages"]

_SECONDS_PER_HOUR = 3600
_MIB = 2**20
_ROW = "{:<20} {:>6} {:>6} {:>9} {:>10} {:>9} {:>10} {:>10}"


class Display:
    """Progress on standard error: one line for each stage, which a terminal shows growing."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.reports: list[StageReport] = []
        self.estimate: Estimate | None = None
        self._live = sys.stderr.isatty()
        self._open = False

    def waiting(self, waited: int, most: int) -> None:
        """Show that no worker of the engine is there yet, each second, or, where nobody watches, once."""
        if self.quiet or (waited and not self._live):
            return
        text = f"waiting for a worker of the engine: {waited} of {most} s" if self._live else "waiting for a worker"
        click.echo(f"\r{text}" if self._live else text, err=True, nl=not self._live)
        self._open = self._live

    def progress(self, report: StageReport) -> None:
        """Show a stage after each of its tasks, or, where nobody watches, at its end."""
        if self.quiet:
            return
        ended = report.done == report.tasks
        if self._live or ended:
            text = f"{report.name}: {report.done} of {report.tasks} tasks, {report.seconds:.1f} s"
            click.echo(f"\r{text}" if self._live else text, err=True, nl=not self._live or ended)
            self._open = self._live and not ended

    def refused(self, request: Request, node: str, refused: Refused) -> None:
        """Show a refusal; the task runs again."""
        if not self.quiet:
            self.close()
            where = f"{request.stage} {request.task} on {node}"
            again = "" if refused.everywhere else "; running it again"
            click.echo(f"{where}: {refused} at {refused.stage}{again}", err=True)

    def close(self) -> None:
        """End the line that grows."""
        if self._open:
            click.echo(err=True)
            self._open = False


def show_estimate(costs: Estimate) -> None:
    """Print what a job is expected to cost."""
    click.echo(
        f"{costs.rows:,} rows in {costs.shards} shards on {costs.cells} cells. Estimate: {costs.tasks} tasks and more,"
        f" {costs.cpu_seconds / _SECONDS_PER_HOUR:.2f} CPU hours, {_duration(costs.wall_seconds)},"
        f" {costs.shuffle_bytes / _MIB:,.0f} MiB of shuffle, {costs.bytes_read / _MIB:,.0f} MiB read."
    )


def show_stages(reports: list[StageReport]) -> None:
    """Print the table of stages."""
    click.echo(_ROW.format("stage", "tasks", "tries", "seconds", "in tasks", "slowest", "MiB in", "MiB out"))
    for one in reports:
        click.echo(
            _ROW.format(
                one.name,
                one.tasks,
                one.tries,
                f"{one.seconds:.1f}",
                f"{one.task_seconds:.1f}",
                f"{one.slowest_seconds:.1f}",
                f"{one.bytes_in / _MIB:.1f}",
                f"{one.bytes_out / _MIB:.1f}",
            )
        )


def as_json(job: Job, reports: list[StageReport], *, refused: JobRefusedError | None = None) -> dict[str, Any]:
    """The outcome of a job: `refused` is null for one that has its receipt."""
    why = None
    if refused is not None:
        why = {
            "stage": refused.request.stage,
            "task": refused.request.task,
            "reason": refused.refused.reason,
            "at": refused.refused.stage,
            "limit": refused.refused.limit,
            "value": refused.refused.value,
            "tries": refused.tries,
        }
    return {
        "job": job.job,
        "header_sha384": job.header_sha384,
        "refused": why,
        "stages": [dataclasses.asdict(one) for one in reports],
    }


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

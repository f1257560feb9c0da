"""`cji job`: sealed jobs, to one worker at once or to a pool by reference."""

import click

from worker.cli.job.follow import cancel, fetch, status
from worker.cli.job.open_result import open_
from worker.cli.job.run import run
from worker.cli.job.seal import seal, send
from worker.cli.job.submit import submit

__all__ = ["job"]


@click.group()
def job() -> None:
    """Send sealed jobs to a worker, or to a pool of workers by reference."""


for verb in (run, seal, send, open_, submit, status, fetch, cancel):
    job.add_command(verb)

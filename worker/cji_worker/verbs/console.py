"""`cji console`: a read-only page, and metrics, of a running worker."""

import os
from pathlib import Path

import click

from cji_core.command.common import FILE, Failure, explained
from cji_core.errors import StartupError


@click.command()
@click.option("--config", type=FILE, required=True, help="console.toml; see docs/console.md.")
@explained
def console(config: Path) -> None:
    """Show a running worker on a page and as metrics, on this machine only, until it is interrupted.

    Readiness and what helps, time to expiry, jobs, refusals, review, sinks and witnesses: nothing of a record. It reads
    the worker's status_socket and can change nothing. Run it as a user of its own; deploy/systemd has the unit.

    \b
    Example:
      cji console --config /etc/cji/console.toml
      ssh -L 9464:127.0.0.1:9464 worker-1       # then open http://127.0.0.1:9464/
      curl http://127.0.0.1:9464/metrics        # for Prometheus
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if os.geteuid() == 0:
        raise Failure("this process is root", remedy="Run it as a user without rights, such as cji-console.", status=2)
    from cji_core.format.configuration.console import load  # noqa: PLC0415 - the libraries of metrics are for this process alone
    from cji_worker.console.process import run  # noqa: PLC0415

    try:
        run(load(config))
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error

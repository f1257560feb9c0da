"""`cji console`: the state of a running worker, on a page and as metrics, or sent to Azure Monitor."""

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
    the worker's status_socket and can change nothing. With [monitor] in its configuration it has no page, and sends
    its metrics to a data collection rule of Azure Monitor. Run it as a user of its own; deploy/systemd has the unit.

    \b
    Example:
      cji console --config /etc/cji/console.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if os.geteuid() == 0:
        raise Failure("this process is root", remedy="Run it as a user without rights, such as cji-console.", status=2)
    from cji_core.format.configuration.console import load  # noqa: PLC0415 - for this verb alone

    try:
        found = load(config)
        if found.monitor is not None:
            from cji_attestation.fetch import system_roots_file  # noqa: PLC0415 - each way has libraries of its own
            from cji_worker.console.sending import send  # noqa: PLC0415

            send(found, found.monitor, roots=system_roots_file())
        else:
            from cji_worker.console.process import run  # noqa: PLC0415

            run(found)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error

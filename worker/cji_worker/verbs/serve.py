"""`cji serve`: run a worker until it is stopped. It starts as all processes of a worker do (`cji_worker.launch`)."""

import os
import sys
from pathlib import Path

import click

from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, Failure, configuration, explained
from cji_core.command.findings import NotOk
from cji_worker.launch import command


@click.command()
@click.option("--config", type=FILE, required=True, help="worker.toml; see docs/configuration.md.")
@click.pass_context
@explained
def serve(context: click.Context, config: Path) -> None:
    """Run a worker.

    Starts the worker's processes, attests this machine, obtains the keys and serves jobs. SIGTERM drains: running jobs
    finish, new ones are refused. Logs are written to standard error, one JSON line per event.

    \b
    Example:
      cji doctor --config /etc/cji/worker.toml && cji serve --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    if not context.find_root().obj and not sys.flags.no_site:  # whatever `site` ran in this process is left behind
        os.execv(sys.executable, command("cji_core.command", *sys.argv[1:]))  # noqa: S606 - our own interpreter
    from cji_worker.supervisor import serve as serve_worker  # noqa: PLC0415 - after the exec
    from cji_worker.verbs.attested_values import check_endpoints, reference_values  # noqa: PLC0415

    loaded = configuration(config)
    trust = trust_named(context, loaded.cloud)
    try:
        reference_values(loaded)
        check_endpoints(loaded, trust)
    except NotOk as error:
        raise Failure(
            f"The configuration {config} is not valid: {error.found}", remedy=error.remedy, status=2
        ) from error
    try:
        status = serve_worker(loaded, trust=trust)
    except OSError as error:
        remedy = f"Run: cji doctor --config {config}"
        raise Failure(f"The worker cannot start: {error.strerror or error}", remedy=remedy, status=1) from error
    context.exit(status)

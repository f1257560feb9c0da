"""`cji serve`: run a worker until it is stopped."""

from pathlib import Path

import click

from cji_core.command.common import FILE, Failure, configuration, explained, trust_named
from cji_core.command.findings import NotOk
from cji_worker.supervisor import serve as serve_worker
from cji_worker.verbs.attested_values import check_endpoints, reference_values


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

"""`cji serve`: run a worker until it is stopped."""

from pathlib import Path

import click

from worker.cli.common import FILE, configuration, explained, trust_named
from worker.supervisor import serve as serve_worker


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
    context.exit(serve_worker(loaded, trust=trust_named(context, loaded.cloud)))

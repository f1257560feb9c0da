"""`cji serve`: run a worker until it is told to stop."""

from pathlib import Path

import click

from worker.cli.common import FILE, configuration, explained, trust_named
from worker.supervisor import serve as serve_worker

__all__ = ["serve"]


@click.command()
@click.option("--config", type=FILE, required=True, help="The worker's configuration, see docs/configuration.md.")
@click.pass_context
@explained
def serve(context: click.Context, config: Path) -> None:
    """Run a worker.

    Starts the three processes, attests this machine, has the keys released and serves jobs. SIGTERM drains: running
    jobs finish, new ones are refused. Logs go to standard error, one JSON line per event.

    \b
    Example:
      cji doctor --config /etc/cji/worker.toml && cji serve --config /etc/cji/worker.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    loaded = configuration(config)
    context.exit(serve_worker(loaded, trust=trust_named(context, loaded.cloud)))

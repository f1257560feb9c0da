"""`cji desk`: pages on this computer for people without a terminal."""

from pathlib import Path

import click

from cji_attestation.verbs.trusts import trust_named
from cji_client.desk.server import serve, show_in_browser
from cji_client.desk.state import Desk
from cji_client.profile import load_profile
from cji_core.command.common import FILE, explained


@click.command()
@click.option(
    "--profile", "profile_file", type=FILE, required=True, help="client.toml: the worker's address and your keys."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/CJI desk"),
    show_default=True,
    help="Your folder for sealed results, saved jobs, and what you open.",
)
@click.option("--no-browser", is_flag=True, help="Print the file that opens the desk, and open no browser.")
@click.pass_context
@explained
def desk(context: click.Context, *, profile_file: Path, folder: Path, no_browser: bool) -> None:
    """Serve pages on this computer, on which people run jobs without a terminal, and open them in a browser.

    The pages are for you alone, on this computer alone, until you press Quit or leave them idle for half an hour.
    Records stay in memory, results are kept sealed; docs/how-to/desk.md states what protects them and what does not.
    Put this command into a shortcut for those who have no terminal.

    \b
    Examples:
      cji desk --profile client.toml
      cji desk --profile client.toml --folder "D:/CJI" --no-browser
    """  # noqa: D301 - \\b is click's mark for text that it must not wrap
    profile = load_profile(profile_file)
    trust = trust_named(context, profile.cloud)
    home = folder.expanduser()

    def show(path: Path) -> None:
        if no_browser or not show_in_browser(path):
            click.echo(f"open     {path}")
        else:
            click.echo("The desk is open in your browser. It ends when you press Quit there, or Ctrl-C here.")

    serve(lambda scratch: Desk(profile, trust, home, scratch), show=show)

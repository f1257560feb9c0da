"""`cji fleet`: the processes that bring work to a worker of a pool. One file for each verb."""

import click

from cji_worker.verbs.fleet.run import run


@click.group()
def fleet() -> None:
    """Bring jobs by reference to the worker of this machine; docs/fleet.md explains how a pool works."""


fleet.add_command(run)

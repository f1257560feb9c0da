"""`cji job`: sealed jobs, to one worker at once or to a pool by reference."""

import click

from cji_core.command.verbs import Verbs

__all__ = ["job"]

_VERBS = {
    "run": "run",
    "seal": "seal",
    "send": "seal:send",
    "open": "open_result:open_",
    "submit": "submit",
    "status": "follow:status",
    "fetch": "follow:fetch",
    "cancel": "follow:cancel",
}


@click.group(cls=Verbs, package=__name__, verbs=_VERBS)
def job() -> None:
    """Send sealed jobs to a worker, or to a pool of workers by reference."""

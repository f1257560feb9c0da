"""`cji audit`: verify, search, prove, deliver, reconcile, review and hand over audit trails. One file per verb."""

from typing import Final

import click

from cji_core.command.verbs import Verbs

_VERBS: Final = {
    "verify": "verify",
    "search": "search",
    "prove": "prove",
    "verify-proof": "prove",
    "checkpoint": "prove",
    "export": "export",
    "verify-export": "export",
    "resume": "resume",
    "prune": "prune",
    "hold": "hold",
    "release": "hold",
    "reconcile": "reconcile",
    "deliver": "deliver",
    "review": "review",
    "witness": "witness",
    "packet": "packet",
}


@click.group(cls=Verbs, package=__name__, verbs=_VERBS)
def audit() -> None:
    """Verify, search, deliver and review audit trails, and prove their lines."""

"""`cji audit`: verify and review audit trails, and continue one that a worker refused. One file per verb."""

import click

from worker.cli.audit.resume import resume
from worker.cli.audit.review import review
from worker.cli.audit.verify import verify


@click.group()
def audit() -> None:
    """Verify and review audit trails."""


for _verb in (
    verify,
    resume,
    review,
):
    audit.add_command(_verb)

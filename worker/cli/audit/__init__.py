"""`cji audit`: verify, deliver and resume a worker's audit trail. One file per verb."""

import click

from worker.cli.audit.deliver import deliver
from worker.cli.audit.resume import resume
from worker.cli.audit.verify import verify


@click.group()
def audit() -> None:
    """Verify a worker's audit trail, and deliver it."""


for _verb in (
    verify,
    resume,
    deliver,
):
    audit.add_command(_verb)

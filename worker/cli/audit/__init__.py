"""`cji audit`: verify a worker's audit trail, and continue one that a worker refused to start on. One file per verb."""

import click

from worker.cli.audit.packet import packet
from worker.cli.audit.resume import resume
from worker.cli.audit.verify import verify


@click.group()
def audit() -> None:
    """Verify a worker's audit trail."""


for _verb in (
    verify,
    resume,
    packet,
):
    audit.add_command(_verb)

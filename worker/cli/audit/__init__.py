"""`cji audit`: verify, search, prove, deliver, reconcile, review and hand over audit trails. One file per verb."""

import click

from worker.cli.audit.deliver import deliver
from worker.cli.audit.export import export, verify_export
from worker.cli.audit.hold import hold, release
from worker.cli.audit.packet import packet
from worker.cli.audit.prove import checkpoint, prove, verify_proof
from worker.cli.audit.prune import prune
from worker.cli.audit.reconcile import reconcile
from worker.cli.audit.resume import resume
from worker.cli.audit.review import review
from worker.cli.audit.search import search
from worker.cli.audit.verify import verify
from worker.cli.audit.witness import witness


@click.group()
def audit() -> None:
    """Verify, search, deliver and review audit trails, and prove their lines."""


for _verb in (
    verify,
    search,
    prove,
    verify_proof,
    checkpoint,
    export,
    verify_export,
    resume,
    prune,
    hold,
    release,
    reconcile,
    deliver,
    review,
    witness,
    packet,
):
    audit.add_command(_verb)

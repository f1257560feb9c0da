"""`cji audit`: verify and search a worker's audit trail, prove its lines, resume one that was refused."""

import click

from worker.cli.audit.export import export, verify_export
from worker.cli.audit.prove import checkpoint, prove, verify_proof
from worker.cli.audit.reconcile import reconcile
from worker.cli.audit.resume import resume
from worker.cli.audit.search import search
from worker.cli.audit.verify import verify


@click.group()
def audit() -> None:
    """Verify and search a worker's audit trail, and prove its lines."""


for _verb in (
    verify,
    search,
    prove,
    verify_proof,
    checkpoint,
    export,
    verify_export,
    resume,
    reconcile,
):
    audit.add_command(_verb)

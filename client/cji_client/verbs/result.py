"""`cji result`: sealed results in folders. Verified before they are opened, without a network."""

from pathlib import Path

import click

from cji_attestation.attested import evidence_cloud
from cji_attestation.verbs.evidence_options import AT
from cji_attestation.verbs.reference_values import PROFILE
from cji_attestation.verbs.trusts import trust_named
from cji_client.result_folder import read_result_folder
from cji_client.verbs.answers import Claimed, ProvenReceipt, SealedOutput
from cji_client.verbs.job.open_result import FOLDER, open_, verified
from cji_client.verbs.receipt_rows import print_receipt
from cji_core.command.common import explained
from cji_core.command.json_output import answers, print_json


@click.group()
def result() -> None:
    """Look at, verify and open sealed results, which `--save-sealed` writes."""


@result.command()
@FOLDER
@answers(Claimed)
@explained
def info(folder: Path, *, as_json: bool) -> None:
    """Show what the result in FOLDER says of itself. Nothing is verified.

    \b
    Example:
      cji result info people.result
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    found = read_result_folder(folder)
    about = Claimed(
        verified=False,
        job=found.job.job_id.hex(),
        folder=str(folder),
        operations=found.job.operation_names,
        outputs=tuple(SealedOutput(name=o.name, schema=o.schema, shards=o.shards) for o in found.header.outputs),
        recipients=tuple(found.header.wrapped),
        worker=found.header.worker_id,
        created=found.job.created.isoformat(),
        cloud=evidence_cloud(found.evidence),
    )
    if as_json:
        print_json(about)
        return
    click.echo("not verified: `cji result verify` does that")
    click.echo(f"  job         {about.job}, sealed {about.created}")
    click.echo(f"  did         {', '.join(about.operations)}")
    click.echo(f"  outputs     {', '.join(f'{output.name} ({output.schema})' for output in about.outputs)}")
    click.echo(f"  recipients  {', '.join(about.recipients)}")


@result.command()
@FOLDER
@PROFILE
@AT
@answers(ProvenReceipt)
@click.pass_context
@explained
def verify(context: click.Context, folder: Path, *, profile: Path | None, at: str | None, as_json: bool) -> None:
    """Verify the result in FOLDER: evidence, receipt, and the digest of every part. Needs no key and no network.

    What is printed is that of `cji receipt verify`.

    \b
    Example:
      cji result verify people.result --profile client.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with verified(context, folder, profile, at) as sealed:
        trust = trust_named(context, sealed.attested.cloud)
        print_receipt(sealed.receipt, sealed.attested, trust, header=True, as_json=as_json)


result.add_command(open_)

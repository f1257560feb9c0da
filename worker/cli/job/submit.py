"""`cji job submit`: seal a job into a folder, and send it to a pool of workers by reference."""

import json
from pathlib import Path

import click
from rich.console import Console

from attestation import Trust
from worker.cli.common import FILE, explained, trust_named
from worker.cli.job.clients import pool_client, worker_client
from worker.cli.job.prepare import OPERATION, PROFILE, QUIET, SPEC, job_spec, prepare
from worker.cli.progress import shown
from worker.client import ClientProfile, JobSpec, load_profile
from worker.client.errors import SpecError
from worker.client.keys import PinnedKey
from worker.client.saved import load_job, save_job
from worker.job import Header


@click.command()
@click.argument("file", metavar="[IN]", type=FILE, required=False)
@click.option(
    "--job",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder of the sealed job: a new one with IN, an earlier one without.",
)
@SPEC
@OPERATION
@PROFILE
@QUIET
@click.option("--in-parts", is_flag=True, help="Send no ticket: `cji-cluster run` runs the job on many machines.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@explained
def submit(
    context: click.Context,
    file: Path | None,
    *,
    folder: Path,
    spec_file: Path | None,
    op: str | None,
    profile_file: Path,
    quiet: bool,
    in_parts: bool,
    as_json: bool,
) -> None:
    """Seal the records of IN into a folder and submit the job by reference: parts to Blob Storage, then a ticket.

    Without IN, the job in the folder is submitted, or continued where it stopped. A job whose ticket was sent is not
    sent again. Keep the folder: `cji job fetch` needs it. It contains nothing that opens the records.

    With --in-parts no ticket is sent. Seal the records in shards, and give the job's id and the SHA-384 of its header
    to whoever runs `cji-cluster`.

    \b
    Examples:
      cji job submit people.csv --job people.job --spec job.toml --profile client.toml
      cji job submit --job people.job --profile client.toml        # after an interruption
      cji job fetch people.job --profile client.toml --out result/ --wait 3600
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    trust = trust_named(context, profile.cloud)
    client = pool_client(profile, trust)
    console = Console(stderr=True, quiet=quiet or as_json)
    if file is None:
        if spec_file is not None or op is not None:
            raise SpecError(
                "a job that is sealed takes neither --spec nor --op", remedy="Give IN as well, or leave them out."
            )
        job = load_job(folder)
    else:
        prepared = prepare(file, job_spec(spec_file, profile, op=op, file=file), profile, console)
        sealed = prepared.seal(_pinned(profile, trust, prepared.spec))
        with shown(console) as steps:
            job = save_job(sealed, prepared.inputs, folder, submitter=profile.submitter(), progress=steps)
    with shown(console) as steps:
        client.submit(job, in_parts=in_parts, progress=steps)
    if as_json:
        click.echo(json.dumps(_described(job.header, folder)))
    elif not quiet:
        _print(job.header, folder, in_parts=in_parts)


def _described(header: Header, folder: Path) -> dict[str, str]:
    return {
        "job": header.job_id.hex(),
        "header_sha384": header.sha384.hex(),
        "folder": str(folder),
        "not_after": header.not_after.isoformat(),
    }


def _print(header: Header, folder: Path, *, in_parts: bool) -> None:
    click.echo(f"job      {header.job_id.hex()}")
    if in_parts:
        click.echo(f"header   {header.sha384.hex()}")
    click.echo(f"folder   {folder}")
    click.echo(f"expires  {header.not_after.isoformat()}")


def _pinned(profile: ClientProfile, trust: Trust, spec: JobSpec) -> PinnedKey:
    """The key that the spec pins, from the profile's file or from the worker."""
    pinned = profile.pinned_key(spec.kek_id, thumbprint=spec.kek_thumbprint, ml_kem_thumbprint=spec.ml_kem_thumbprint)
    if pinned is not None:
        return pinned
    with worker_client(profile, trust) as client:
        return client.describe().pin_for(spec)

"""`cji job seal`, `send` and `open`: one job on three machines."""

from functools import partial
from pathlib import Path

import click
from rich.console import Console

from cji_attestation.verbs.trusts import trust_named
from cji_client.bounds import held_result_bytes
from cji_client.connection import connect
from cji_client.job_folder import JobFolder, load_job, save_job
from cji_client.profile import load_profile
from cji_client.verbs.answers import Received, Sealed
from cji_client.verbs.job.ending import Ending
from cji_client.verbs.job.outputs import Destination, attest
from cji_client.verbs.job.prepare import (
    COLUMNS,
    MAX_RESULT_BYTES,
    OPERATION,
    OUT,
    PROFILE,
    QUIET,
    SAFE_CSV,
    SAVE_SEALED,
    SPEC,
    STRICT,
    job_spec,
    prepare,
    recipient_key,
)
from cji_client.verbs.job.standard_input import FORMAT, RECORDS, records_file
from cji_client.verbs.progress import shown
from cji_core.command.common import explained, prompt
from cji_core.command.json_output import answers, print_json

_FOLDER = click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.command()
@click.argument("given", metavar="IN", type=RECORDS)
@click.option("--job", "folder", type=click.Path(path_type=Path), required=True, help="A new folder for the job.")
@SPEC
@COLUMNS
@OPERATION
@PROFILE
@FORMAT
@STRICT
@QUIET
@answers(Sealed)
@click.pass_context
@explained
def seal(
    context: click.Context,
    given: Path,
    *,
    folder: Path,
    spec_file: Path | None,
    columns_file: Path | None,
    op: str | None,
    profile_file: Path,
    kind: str | None,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Seal the records of IN into a folder, and send nothing.

    Nobody can open the folder but an attested worker; it is sent with the certificate of the same submitter, by
    `cji job send`. With `kek_jwk` in the profile, no worker is needed to seal.

    \b
    Examples:
      cji job seal people.csv --job people.job --spec job.toml --profile client.toml
      export-people | cji job seal - --format csv --job people.job --spec job.toml --profile client.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    console = Console(stderr=True, quiet=quiet or as_json)
    trust = trust_named(context, profile.cloud)
    with records_file(given, kind) as file, connect(profile, trusts=[trust], passphrase=prompt) as worker:
        prepared = prepare(
            file, job_spec(spec_file, profile, op=op, file=file, columns=columns_file), console, strict=strict
        )
        sealed = worker.seal(prepared)
        with shown(console) as steps:
            job = save_job(sealed, prepared.inputs, folder, submitter=profile.submitter(), progress=steps)
    describe(job, quiet=quiet, as_json=as_json)


@click.command()
@_FOLDER
@PROFILE
@OUT
@SAFE_CSV
@SAVE_SEALED
@click.option(
    "--deadline", type=click.FloatRange(min=0, min_open=True), default=600.0, show_default=True, help="In seconds."
)
@MAX_RESULT_BYTES
@QUIET
@answers(Received)
@click.pass_context
@explained
def send(
    context: click.Context,
    folder: Path,
    *,
    profile_file: Path,
    out: Path | None,
    safe_csv: bool,
    save_sealed: Path | None,
    deadline: float,
    max_result_bytes: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run the job in FOLDER, which `cji job seal` made, on the profile's worker.

    The worker must pass attestation first. With --save-sealed alone, the result stays sealed: a recipient opens it
    elsewhere with `cji job open`, and this machine needs no key but that of its certificate. Room for the result is
    held first, and every end is explained, as by `cji job run`.

    \b
    Examples:
      cji job send people.job --profile client.toml --save-sealed people.result
      cji job send people.job --profile client.toml --out result/
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    ending = Ending(context, out=out)
    console = Console(stderr=True, quiet=quiet or as_json)
    with ending.explained():
        profile, trust = ending.met(load_profile(profile_file))
        destination = Destination(out, save_sealed, safe_csv=safe_csv)
        recipient = None if out is None else recipient_key(profile)
        job = load_job(folder)
        size = held_result_bytes(job.header, sum(part.bytes for part in job.sent), most=max_result_bytes)
        with connect(profile, trusts=[trust]) as worker:
            attested = attest(console, worker)
            call = partial(worker.send, job, attested=attested, deadline=deadline, max_result_bytes=max_result_bytes)
            result, opened = ending.carry_out(call, job.header, destination, recipient, size=size, console=console)
    destination.conclude(result, opened, quiet=quiet, as_json=as_json)


def describe(job: JobFolder, *, quiet: bool, as_json: bool, with_header: bool = False) -> None:
    """Print which job is in a folder."""
    header = job.header
    if as_json:
        print_json(
            Sealed(
                job=header.job_id.hex(),
                header_sha384=header.sha384.hex(),
                folder=str(job.folder),
                not_after=header.not_after.isoformat(),
            )
        )
    elif not quiet:
        click.echo(f"job      {header.job_id.hex()}")
        if with_header:
            click.echo(f"header   {header.sha384.hex()}")
        click.echo(f"folder   {job.folder}")
        click.echo(f"expires  {header.not_after.isoformat()}")

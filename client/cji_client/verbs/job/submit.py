"""`cji job submit`: seal a job into a folder, and send it to a pool of workers by reference."""

from pathlib import Path

import click
from rich.console import Console

from cji_client.by_reference import pool_client
from cji_client.connection import connect
from cji_client.errors import SpecError
from cji_client.job_folder import JobFolder, load_job, save_job
from cji_client.profile import load_profile
from cji_client.profile_keys import signer_named
from cji_client.reference_standing import ReferenceStanding
from cji_client.verbs.answers import Sealed
from cji_client.verbs.job.ending import Ending
from cji_client.verbs.job.prepare import COLUMNS, OPERATION, PROFILE, QUIET, SPEC, STRICT, job_spec, prepare
from cji_client.verbs.job.seal import describe
from cji_client.verbs.progress import shown
from cji_core.command.common import FILE, explained, prompt
from cji_core.command.json_output import answers


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
@COLUMNS
@OPERATION
@PROFILE
@STRICT
@QUIET
@click.option("--in-parts", is_flag=True, help="Send no ticket: `cji-cluster run` runs the job on many machines.")
@answers(Sealed)
@click.pass_context
@explained
def submit(
    context: click.Context,
    file: Path | None,
    *,
    folder: Path,
    spec_file: Path | None,
    columns_file: Path | None,
    op: str | None,
    profile_file: Path,
    strict: bool,
    quiet: bool,
    in_parts: bool,
    as_json: bool,
) -> None:
    """Seal the records of IN into a folder and submit the job by reference: parts to Blob Storage, then a ticket.

    Without IN, the job in the folder is submitted, or continued where it stopped. A job whose ticket was sent is not
    sent again. Keep the folder: `cji job fetch` needs it; nothing in it opens the records. However the command ends,
    it states what was sent, and the next command. With --in-parts no ticket is sent: seal the records in shards, and
    give the job's id and the SHA-384 of its header to the operator of `cji-cluster`.

    \b
    Examples:
      cji job submit people.csv --job people.job --spec job.toml --profile client.toml
      cji job submit --job people.job --profile client.toml        # after an interruption
      cji job fetch people.job --profile client.toml --out result/ --wait 3600
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    standing = ReferenceStanding(folder=folder)
    ending = Ending(context, standing=standing)
    console = Console(stderr=True, quiet=quiet or as_json)
    with ending.explained():
        profile, trust = ending.met(load_profile(profile_file))
        client = pool_client(profile, trust)
        if file is None:
            job = _sealed_before(folder, spec_file, columns_file, op)
        else:
            signer = signer_named(profile, prompt)
            prepared = prepare(
                file, job_spec(spec_file, profile, op=op, file=file, columns=columns_file), console, strict=strict
            )
            with connect(profile, trusts=[trust], signer=signer) as worker:
                sealed = worker.seal(prepared)
            with shown(console) as steps:
                job = save_job(sealed, prepared.inputs, folder, submitter=profile.submitter(), progress=steps)
        with shown(console) as steps:
            client.submit(job, in_parts=in_parts, progress=steps, standing=standing)
    describe(job, quiet=quiet, as_json=as_json, with_header=in_parts)


def _sealed_before(folder: Path, *of_records: Path | str | None) -> JobFolder:
    """The job in the folder; SpecError for options that are for records."""
    if any(each is not None for each in of_records):
        raise SpecError(
            "a job that is sealed takes neither --spec nor --columns nor --op",
            remedy="Give IN as well, or leave them out.",
        )
    return load_job(folder)

"""`cji job status`, `fetch` and `cancel`: a job that was submitted by reference."""

from pathlib import Path
from typing import Annotated

import click
import msgspec
from rich.console import Console

from cji_attestation.verbs.trusts import trust_named
from cji_client.by_reference import pool_client
from cji_client.connection import connect
from cji_client.errors import JobFailed
from cji_client.job_folder import JobFolder, load_job
from cji_client.job_state import JobStatus
from cji_client.profile import load_profile
from cji_client.reference_standing import ReferenceStanding
from cji_client.release import Release, ask_again
from cji_client.verbs.answers import Asked, Received
from cji_client.verbs.job.ending import Ending
from cji_client.verbs.job.job_id import job_id_of
from cji_client.verbs.job.outputs import Destination, introduce
from cji_client.verbs.job.prepare import MAX_RESULT_BYTES, OUT, PROFILE, QUIET, SAFE_CSV, SAVE_SEALED, recipient_key
from cji_client.verbs.progress import shown
from cji_core.command.common import explained
from cji_core.command.json_output import answers, member, print_document, print_json

_JOB = click.argument("job", metavar="JOB")
_FOLDER = click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
_WAIT = click.option(
    "--wait", "seconds", type=click.FloatRange(min=0), help="Wait for the end of the job for this number of seconds."
)


class JobState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji job status`: where a job stands, which proves nothing."""

    job: Annotated[str, member("job id, 32 hexadecimal digits")]
    outcome: Annotated[str, member("`released`, `not released` or `unknown`")]
    state: Annotated[
        str | None,
        member(
            "`queued`, `running`, `done`, `failed`, `cancelling`, `overdue` or `absent`; "
            "absent without [storage] in the profile, or with --direct"
        ),
    ] = None
    attempt: Annotated[str | None, member("id of the attempt; absent before the first")] = None
    stage: Annotated[str | None, member("what it is doing; absent if unknown")] = None
    per_cent: Annotated[int | None, member("how far the stage is; absent if unknown")] = None
    at: Annotated[str | None, member("time of that report; absent if there is none")] = None


@click.command()
@_JOB
@PROFILE
@_WAIT
@click.option("--direct", is_flag=True, help="Ask the worker of the profile, as for a job of `run` or `send`.")
@answers(JobState)
@click.pass_context
@explained
def status(
    context: click.Context, job: str, *, profile_file: Path, seconds: float | None, direct: bool, as_json: bool
) -> None:
    """Show where JOB stands: a folder of `cji job seal` or `submit`, or a job id of 32 hexadecimal digits.

    The states are queued, running, done, failed, cancelling, overdue, and absent. Only done and failed are final: a
    result was released, or was not and will not be; with every other state that is unknown. They are what the storage
    account shows, and prove nothing; `cji job fetch` verifies.

    A profile without [storage], or --direct, asks the profile's worker whether anything of a job that was run or sent
    was released: released, not released (until now), or unknown: ask again, or with --wait. `cji receipt get` fetches
    the receipt.

    \b
    Examples:
      cji job status people.job --profile client.toml
      cji job status 6b1f0c1e2d3a4b5c6d7e8f9001122334 --profile client.toml --wait 3600 --json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    job_id, trust = job_id_of(job), trust_named(context, profile.cloud)
    if direct or profile.storage is None:
        with connect(profile, trusts=[trust]) as worker:
            state = ask_again(lambda: worker.release(job_id), seconds=seconds or 0.0) or Release.UNKNOWN
        if as_json:
            print_document({"job": job_id.hex(), "outcome": state.value})
        else:
            click.echo(f"{job_id.hex()} {state.value}")
        return
    client = pool_client(profile, trust)
    if seconds is None:
        found = client.status(job_id)
    else:
        with shown(Console(stderr=True, quiet=as_json)) as steps:
            found = client.wait(job_id, deadline=seconds, progress=steps)
    if as_json:
        print_document(_facts(found))
    else:
        click.echo(_line(found))


@click.command()
@_FOLDER
@PROFILE
@OUT
@SAFE_CSV
@SAVE_SEALED
@_WAIT
@MAX_RESULT_BYTES
@QUIET
@answers(Received)
@click.pass_context
@explained
def fetch(
    context: click.Context,
    folder: Path,
    *,
    profile_file: Path,
    out: Path | None,
    safe_csv: bool,
    save_sealed: Path | None,
    seconds: float | None,
    max_result_bytes: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Download the result of the job in FOLDER, verify receipt and evidence, and open it.

    The files are those of `cji job run`. If the workers gave the job up, the reason is shown, and failure.jws and
    evidence.json are written into FOLDER for `cji receipt verify`. Exit status 4: the job has not finished.

    \b
    Examples:
      cji job fetch people.job --profile client.toml --out result/
      cji job fetch people.job --profile client.toml --out tokens.parquet --wait 3600
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    standing = ReferenceStanding(fetching=True)
    ending = Ending(context, standing=standing)
    console = Console(stderr=True, quiet=quiet or as_json)
    with ending.explained():
        profile, trust = ending.met(load_profile(profile_file))
        client = pool_client(profile, trust)
        destination = Destination(out, save_sealed, safe_csv=safe_csv)
        recipient = None if out is None else recipient_key(profile)
        job = load_job(folder)
        standing.met(job.header.job_id, folder, ticket_sent=job.ticket_sent)
        if seconds is not None:
            with shown(console) as steps:
                client.wait(job.header.job_id, deadline=seconds, progress=steps)
        try:
            with destination.ready():
                with shown(console) as steps:
                    fetched = client.fetch(job, max_result_bytes=max_result_bytes, progress=steps, standing=standing)
                with fetched as result:
                    introduce(console, result.attested)
                    with shown(console) as steps:
                        opened = destination.receive(console, result, recipient, progress=steps)
        except JobFailed as error:
            _keep(job, error)
            raise
    destination.conclude(result, opened, quiet=quiet, as_json=as_json)


@click.command()
@_JOB
@PROFILE
@answers(Asked)
@click.pass_context
@explained
def cancel(context: click.Context, job: str, *, profile_file: Path, as_json: bool) -> None:
    """Ask for the end of JOB: a folder of `cji job submit`, or a job id. It ends with a failure receipt, or had ended.

    \b
    Example:
      cji job cancel people.job --profile client.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    job_id = job_id_of(job)
    pool_client(profile, trust_named(context, profile.cloud)).cancel(job_id)
    if as_json:
        print_json(Asked(job=job_id.hex()))
    else:
        click.echo(f"asked for the end of job {job_id.hex()}")


def _facts(found: JobStatus) -> dict[str, object]:
    facts = {
        "job": found.job_id.hex(),
        "state": found.state.value,
        "outcome": found.state.outcome.value,
        "attempt": found.attempt,
        "stage": found.stage,
        "per_cent": found.per_cent,
        "at": found.at,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _line(found: JobStatus) -> str:
    step = f": {found.stage} {found.per_cent} % at {found.at}" if found.stage is not None else ""
    return f"{found.job_id.hex()} {found.state.value}{step}; result: {found.state.outcome.value}"


def _keep(job: JobFolder, error: JobFailed) -> None:
    (job.folder / "failure.jws").write_text(error.failure.compact + "\n")
    (job.folder / "evidence.json").write_bytes(error.evidence)

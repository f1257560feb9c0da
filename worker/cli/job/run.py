"""`cji job run`: from a file of records to a file of results, with a receipt."""

from pathlib import Path

import click
from rich.console import Console

from worker.cli.common import FILE, explained, trust_named
from worker.cli.job.clients import worker_client
from worker.cli.job.outputs import conclude, introduce, write_result
from worker.cli.job.prepare import (
    OPERATION,
    OUT,
    PROFILE,
    QUIET,
    SPEC,
    check_recipient,
    job_spec,
    prepare,
    recipient_key,
)
from worker.cli.output import FORMATS, Target
from worker.cli.progress import shown
from worker.cli.report_file import opened_job, write_report
from worker.client import load_profile


@click.command()
@click.argument("file", metavar="IN", type=FILE)
@SPEC
@OPERATION
@PROFILE
@OUT
@QUIET
@click.pass_context
@explained
def run(
    context: click.Context,
    file: Path,
    *,
    spec_file: Path | None,
    op: str | None,
    profile_file: Path,
    out: Path,
    quiet: bool,
) -> None:
    """Seal the records of IN (.csv, .xlsx, .parquet, .arrow, .txt, .xml; docs/job.md), run the job, open the result.

    The worker must pass attestation first; records leave this machine sealed to a key that only such a worker receives.
    The outputs are the result, row_status (the status of each row), further outputs of the operations, report.html, and
    receipt.jws, evidence.json and header.bin for `cji receipt verify`. Either all of them are written or none.

    \b
    Examples:
      cji job run people.csv --spec job.toml --profile client.toml --out result/
      cji job run people.parquet --spec job.toml --profile client.toml --out tokens.parquet
      cji job run submission.txt --op validate --profile client.toml --out findings/
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    profile = load_profile(profile_file)
    spec = job_spec(spec_file, profile, op=op, file=file)
    trust = trust_named(context, profile.cloud)
    target = Target(out, suffix=file.suffix.lower() if file.suffix.lower() in FORMATS else ".csv")
    recipient = recipient_key(profile)
    check_recipient(recipient, spec)
    console = Console(stderr=True, quiet=quiet)
    inputs = (prepared := prepare(file, spec, profile, console)).inputs
    # the worker keeps no results, so the target is prepared before anything is sent
    with target.writing() as folder, worker_client(profile, trust) as client:
        kek, attested = client.describe().pin_for(spec), client.attest()
        introduce(console, attested)
        sealed = prepared.seal(kek)
        with shown(console) as steps:
            result = client.run(sealed, inputs, attested=attested, deadline=spec.deadline_seconds, progress=steps)
        with result:
            summaries, notes = write_result(
                result,
                recipient,
                folder,
                columns={name: source.schema.names for name, source in inputs.items()},
                suffix=target.suffix,
                header=sealed.header,
                plan=sealed.plan,
            )
            write_report(console, opened_job(result, recipient, sealed.plan, inputs), folder / "report.html")
    if not quiet:
        conclude(result, out, sealed.plan, summaries, notes)

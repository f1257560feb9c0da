"""`cji job run`: from a file of records to a file of results, with a receipt."""

from functools import partial
from pathlib import Path

import click
from rich.console import Console

from cji_client.bounds import held_result_bytes
from cji_client.connection import connect
from cji_client.profile import load_profile
from cji_client.verbs.answers import Received
from cji_client.verbs.job.ending import Ending
from cji_client.verbs.job.outputs import Destination, attest, form_of
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
from cji_core.command.common import explained, prompt
from cji_core.command.json_output import answers


@click.command()
@click.argument("given", metavar="IN", type=RECORDS)
@SPEC
@COLUMNS
@OPERATION
@PROFILE
@OUT
@SAFE_CSV
@SAVE_SEALED
@FORMAT
@MAX_RESULT_BYTES
@STRICT
@QUIET
@answers(Received)
@click.pass_context
@explained
def run(
    context: click.Context,
    given: Path,
    *,
    spec_file: Path | None,
    columns_file: Path | None,
    op: str | None,
    profile_file: Path,
    out: Path | None,
    safe_csv: bool,
    save_sealed: Path | None,
    kind: str | None,
    max_result_bytes: int | None,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Seal the records of IN (.csv, .xlsx, .parquet, .arrow, .txt, .xml; docs/job.md), run the job, open the result.

    The worker must pass attestation first; records leave this machine sealed to a key that only such a worker receives.
    The outputs are the result, row_status (the status of each row), others of the operations, report.html, and what
    `cji receipt verify` reads: all or none are written. With - for IN, records come from standard input, into memory.

    Room for the result is held before anything is sent. However the command ends, it states what was sent, whether the
    receipt came, and the next command. A verified result that cannot be written is kept, still sealed (docs/job.md).

    \b
    Examples:
      cji job run people.csv --spec job.toml --profile client.toml --out result/
      cji job run people.parquet --columns columns.toml --spec job.toml --profile client.toml --out tokens.parquet
      cji job run submission.txt --op validate --profile client.toml --out findings/
      export-people | cji job run - --format csv --spec job.toml --profile client.toml --save-sealed people.result
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    ending = Ending(context, out=out)
    console = Console(stderr=True, quiet=quiet or as_json)
    with ending.explained(), records_file(given, kind) as file:
        profile, trust = ending.met(load_profile(profile_file))
        spec = job_spec(spec_file, profile, op=op, file=file, columns=columns_file)
        destination = Destination(out, save_sealed, suffix=form_of(file), safe_csv=safe_csv, strict=strict)
        recipient = None if out is None else recipient_key(profile, spec)
        with connect(profile, trusts=[trust], passphrase=prompt) as worker:
            worker.signer  # noqa: B018 - a passphrase is asked for before the records are read
            prepared, attested = prepare(file, spec, console, strict=strict), attest(console, worker)
            sealed = worker.seal(prepared)
            size = held_result_bytes(sealed.header, prepared.bytes, most=max_result_bytes)
            call = partial(worker.run_sealed, sealed, prepared, attested=attested, max_result_bytes=max_result_bytes)
            result, opened = ending.carry_out(
                call, sealed.header, destination, recipient, size=size, console=console, inputs=prepared.inputs
            )
    destination.conclude(result, opened, quiet=quiet, as_json=as_json)

"""`cji job run`: from a file of records to a file of results, with a receipt."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click
import pyarrow as pa
from rich.console import Console

from attestation import Trust
from worker.cli.common import FILE, explained, passphrase_for, trust_named
from worker.cli.output import FORMATS, RESULT, Target, write_batches, write_lines
from worker.cli.progress import shown
from worker.cli.report_file import opened_job, write_report
from worker.cli.row_table import print_summary
from worker.client import (
    INPUT_NAME,
    ClientProfile,
    JobSpec,
    SealedJob,
    SealedResult,
    SyncClient,
    load_profile,
    load_recipient_key,
    load_signing_key,
    load_spec,
    seal,
)
from worker.client.attested import AttestedWorker
from worker.client.errors import SpecError
from worker.client.files import read_file
from worker.client.keys import RecipientPrivateKey, recipient_thumbprints
from worker.client.row_summary import RowSummary
from worker.client.sealed_result import read_output
from worker.client.sources import FittedSource, fit
from worker.client.spec import InputSpec, only
from worker.compute.parameters import ParametersError
from worker.compute.registry import OPERATIONS, SCHEMAS, Plan, operation_of
from worker.jose import key_id
from worker.records import ROW_STATUS

_LINES: Final = ".txt"
_XML: Final = ".xml"
"""With --op, such files are NIBRS submissions unless the spec states otherwise."""


@click.group()
def job() -> None:
    """Send sealed jobs to a worker."""


@job.command()
@click.argument("file", metavar="IN", type=FILE)
@click.option("--spec", "spec_file", type=FILE, help="job.toml: agencies, purpose and operations; see docs/job.md.")
@click.option(
    "--op",
    type=click.Choice(list(OPERATIONS)),
    help="Run only this operation, with default parameters unless the spec has some.",
)
@click.option(
    "--profile", "profile_file", type=FILE, required=True, help="client.toml: the worker's address and your keys."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A new folder, or a new .csv, .parquet or .arrow file; other outputs are written next to it.",
)
@click.option("--quiet", is_flag=True, help="Print only errors.")
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
    spec = _spec(spec_file, profile, op=op, file=file)
    trust = trust_named(context, profile.cloud)
    target = Target(out, suffix=file.suffix.lower() if file.suffix.lower() in FORMATS else ".csv")
    recipient = _recipient(profile, spec)
    signing = load_signing_key(Path(profile.signing_key), passphrase=passphrase_for(Path(profile.signing_key)))
    console = Console(stderr=True, quiet=quiet)
    source = _read(file, spec.input, console)
    _check_columns(source.schema, spec)
    inputs = {name: _read(side.file, side, console) for name, side in spec.sides.items()} | {INPUT_NAME: source}
    # the worker keeps no results, so the target is prepared before anything is sent
    with target.writing() as folder, _client(profile, trust) as client:
        kek = client.describe().pin_for(spec)
        attested = client.attest()
        _introduce(console, attested)
        sealed = seal(spec, kek=kek, signing_key=signing, rows=source.rows)
        with shown(console) as steps:
            result = client.run(sealed, inputs, attested=attested, deadline=spec.deadline_seconds, progress=steps)
        with result:
            summaries, notes = _write(result, recipient, folder, inputs, suffix=target.suffix, sealed=sealed)
            write_report(console, opened_job(result, recipient, sealed.plan, inputs), folder / "report.html")
    if not quiet:
        _conclude(result, out, sealed.plan, summaries, notes)


def _client(profile: ClientProfile, trust: Trust) -> SyncClient:
    return SyncClient(
        profile.target,
        tls=profile.tls(),
        trust=trust,
        reference=profile.reference,
        maa_url=profile.maa_url,
        server_name=profile.server_name,
        token=profile.token(),
    )


def _recipient(profile: ClientProfile, spec: JobSpec) -> RecipientPrivateKey:
    if profile.recipient_key is None:
        raise SpecError("the profile names no recipient_key", remedy="Make one with `cji key new-recipient`.")
    path = Path(profile.recipient_key)
    key = load_recipient_key(path, passphrase=passphrase_for(path))
    if key_id(key.public_key()) not in recipient_thumbprints(spec.recipients, spec.suite):
        raise SpecError("the profile's recipient_key is not one of the spec's recipients")
    return key


def _spec(path: Path | None, profile: ClientProfile, *, op: str | None, file: Path) -> JobSpec:
    """The spec over the profile's defaults for all jobs; with `op`, only the operation of that name."""
    defaults = dict(profile.job)
    schemas = {_LINES: "nibrs.flat/3.1", _XML: "nibrs.xml/2019.1"}
    if op is not None and file.suffix.lower() in schemas:
        defaults["input"] = {"schema": schemas[file.suffix.lower()]}
    if op is None:
        return load_spec(path, defaults=defaults)
    return only(load_spec(path, defaults=defaults | {"operations": [{"kind": op}]}), op)


def _check_columns(schema: pa.Schema, spec: JobSpec) -> None:
    """Report columns that do not fit by name; the worker would refuse the job without names."""
    columns = frozenset(schema.names)
    for parameters in spec.operations:
        operation = operation_of(parameters)
        try:
            columns = operation.columns(parameters, columns)
        except ParametersError as error:
            raise SpecError(f"{operation.name}: {error}", remedy=error.remedy) from None


def _read(file: Path, spec: InputSpec, console: Console) -> FittedSource:
    """The records of a file, all of which were read; prints how."""
    source = fit(read_file(file, spec), spec)
    for note in source.notes:
        console.print(f"input: {note}", highlight=False, markup=False, soft_wrap=True)
    return source


def _introduce(console: Console, attested: AttestedWorker) -> None:
    verdict = attested.verdict
    kind = "simulated " if attested.simulated else ""
    console.print(
        f"attested: {kind}{verdict.tee} {verdict.product}, {len(verdict.checks)} checks passed", highlight=False
    )


def _write(
    result: SealedResult,
    recipient: RecipientPrivateKey,
    folder: Path,
    inputs: Mapping[str, FittedSource],
    *,
    suffix: str,
    sealed: SealedJob,
) -> tuple[dict[str, RowSummary], list[str]]:
    """Write all files; the summary of each row status, and what the operations say about their outputs."""
    summaries = dict[str, RowSummary]()
    for output in result.header.outputs:
        name, schema = output.name, output.schema
        batches = read_output(result, recipient, name)
        if schema == ROW_STATUS:
            about = inputs.get(name.removesuffix("_status"), inputs[INPUT_NAME])
            summaries[name] = RowSummary(columns=about.schema.names)
            batches = summaries[name].watching(batches)
        if schema in SCHEMAS and SCHEMAS[schema].lines:
            write_lines(folder / f"{name}.txt", batches)
        else:
            write_batches(folder / f"{name}{suffix}", batches)
    (folder / "receipt.jws").write_text(result.receipt.compact + "\n")
    (folder / "evidence.json").write_bytes(result.attested.to_file())
    (folder / "header.bin").write_bytes(sealed.header.data)
    return summaries, _notes(result, recipient, sealed.plan)


def _notes(result: SealedResult, recipient: RecipientPrivateKey, plan: Plan) -> list[str]:
    return [
        line
        for step in plan.operations
        for line in step.operation.summary(step.parameters, partial(read_output, result, recipient))
    ]


def _conclude(
    result: SealedResult, out: Path, plan: Plan, summaries: Mapping[str, RowSummary], notes: Sequence[str]
) -> None:
    claims = result.receipt.claims
    click.echo(f"{RESULT:8} {out}")
    click.echo(f"rows     {claims.volumes.rows_in} in, {claims.volumes.rows_out} out")
    for note in notes:
        click.echo(note)
    for name, summary in summaries.items():
        print_summary(name, summary)
    click.echo(f"receipt  verified: job {claims.job_id}, worker {json.dumps(claims.worker)[1:-1]}")
    reference = plan.reference
    if reference is not None and reference.seconds:
        (digest,) = (part.sha256 for part in claims.inputs if part.name == reference.side)
        click.echo(f'retained for {reference.seconds} s: resident_reference = "{digest}"')

"""Output of `cji job run` and `cji job fetch`: results opened on this machine, receipt, evidence, header."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from worker.cli.output import RESULT, write_batches, write_lines
from worker.cli.row_table import print_summary
from worker.client import INPUT_NAME, SealedResult
from worker.client.attested import AttestedWorker
from worker.client.keys import RecipientPrivateKey
from worker.client.row_summary import RowSummary
from worker.client.sealed_result import read_output
from worker.compute.registry import SCHEMAS, Plan
from worker.job import Header
from worker.records import ROW_STATUS

Columns = Mapping[str, Sequence[str]]
"""The names of each input's columns, in its order."""


def introduce(console: Console, attested: AttestedWorker) -> None:
    """Print which machine was attested."""
    verdict = attested.verdict
    kind = "simulated " if attested.simulated else ""
    console.print(
        f"attested: {kind}{verdict.tee} {verdict.product}, {len(verdict.checks)} checks passed", highlight=False
    )


def write_result(
    result: SealedResult,
    recipient: RecipientPrivateKey,
    folder: Path,
    *,
    columns: Columns,
    suffix: str,
    header: Header,
    plan: Plan,
) -> tuple[dict[str, RowSummary], list[str]]:
    """Write all files; the summary of each row status, and what the operations say about their outputs."""
    summaries = dict[str, RowSummary]()
    for output in result.header.outputs:
        name, schema = output.name, output.schema
        batches = read_output(result, recipient, name)
        if schema == ROW_STATUS:
            about = columns.get(name.removesuffix("_status"), columns[INPUT_NAME])
            summaries[name] = RowSummary(columns=about)
            batches = summaries[name].watching(batches)
        if schema in SCHEMAS and SCHEMAS[schema].lines:
            write_lines(folder / f"{name}.txt", batches)
        else:
            write_batches(folder / f"{name}{suffix}", batches)
    (folder / "receipt.jws").write_text(result.receipt.compact + "\n")
    (folder / "evidence.json").write_bytes(result.attested.to_file())
    (folder / "header.bin").write_bytes(header.data)
    return summaries, _notes(result, recipient, plan)


def conclude(
    result: SealedResult, out: Path, plan: Plan, summaries: Mapping[str, RowSummary], notes: Sequence[str]
) -> None:
    """Print what the job did."""
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


def _notes(result: SealedResult, recipient: RecipientPrivateKey, plan: Plan) -> list[str]:
    return [
        line
        for step in plan.operations
        for line in step.operation.summary(step.parameters, partial(read_output, result, recipient))
    ]

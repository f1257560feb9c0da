"""Destinations of results: opened on this machine, sealed into a folder, or both."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from cji_attestation.attested import AttestedWorker
from cji_client.connection import Connection
from cji_client.errors import SpecError
from cji_client.kept import Kept
from cji_client.places import Place, from_zero
from cji_client.progress import Phase, Progress, ProgressCallback, opening
from cji_client.received import ROW_STATUS as STATUS_OUTPUT
from cji_client.result import Result, read_output
from cji_client.result_folder import save_result
from cji_client.row_summary import RowSummary
from cji_client.seal import INPUT_NAME
from cji_client.signers import Decrypter
from cji_client.sources import FittedSource
from cji_client.space import Space
from cji_client.verbs.answers import Received
from cji_client.verbs.job.prepare import warn
from cji_client.verbs.progress import shown
from cji_client.verbs.report_file import opened_job, write_report
from cji_core.command.json_output import print_json
from cji_core.command.output import CSV, FORMATS, RESULT, WORKBOOK, Target, write_batches, write_lines
from cji_core.format.records import ROW_STATUS, Status
from cji_core.operations.registry import SCHEMAS, Plan, plan

_WORDS: Final = {
    Status.OK: "ok",
    Status.WARNED: "warned",
    Status.PARTLY_USED: "partly used",
    Status.NOT_USABLE: "not usable",
}
_LISTED: Final = 8


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An opened result: the summary of each row status, the places of its rows, remarks of the operations."""

    plan: Plan
    summaries: Mapping[str, RowSummary]
    places: Mapping[str, Place]
    notes: Sequence[str]

    @property
    def warnings(self) -> list[str]:
        """A warning that the submitter must not overlook."""
        return [text for summary in self.summaries.values() for text in summary.warnings()]


def form_of(file: Path) -> str:
    """The suffix of tables in a folder for records of this file: its own, or .csv."""
    return file.suffix.lower() if file.suffix.lower() in FORMATS else CSV


class Destination:
    """The targets of one result, checked and given room before anything is sent: the worker keeps no results."""

    def __init__(
        self,
        out: Path | None,
        sealed: Path | None,
        *,
        suffix: str = CSV,
        safe_csv: bool = False,
        strict: bool = False,
    ) -> None:
        """`suffix` is the format of tables in a folder.

        SpecError for no target, one that exists, or `safe_csv` where no .csv is written. `strict`: a result with mostly
        unusable rows or values is refused, and stays sealed.
        """
        if out is None and sealed is None:
            raise SpecError("the result would go nowhere", remedy="Give --out or --save-sealed.")
        if sealed is not None and sealed.exists():
            raise SpecError(f"{sealed} exists", remedy="Choose another --save-sealed.")
        self.out, self.sealed, self._strict = out, sealed, strict
        self._target = None if out is None else Target(out, suffix=suffix)
        self._safe_csv = safe_csv
        if safe_csv and (self._target is None or self._target.suffix != CSV):
            raise SpecError(
                "--safe-csv changes .csv, and none is written", remedy="Leave it out, or give --out NAME.csv."
            )
        self._folder: Path | None = None
        self._room = contextlib.ExitStack()

    @contextlib.contextmanager
    def ready(self, size: int = 0) -> Iterator[None]:
        """Hold a folder ready for the outputs. They move to the target if the block succeeds.

        Each target has `size` bytes held until the result is written. SpecError if there is no room.
        """
        with contextlib.ExitStack() as stack:
            if self._target is not None:
                self._folder = stack.enter_context(self._target.writing())
            stack.enter_context(self._room)
            for folder in (self._folder, None if self.sealed is None else _existing(self.sealed.absolute().parent)):
                if folder is not None and size:
                    self._room.callback(Space(folder, size).close)
            yield

    def receive(
        self,
        console: Console,
        result: Result,
        recipient: Decrypter | None,
        *,
        inputs: Mapping[str, FittedSource] | None = None,
        kept: Kept | None = None,
        progress: ProgressCallback | None = None,
    ) -> Opened | None:
        """Write a verified result: sealed first, then opened. `inputs` are for the report, where they are at hand."""
        result, notes = result.archived()
        for note in notes:
            console.print(f"note: {note}", highlight=False, markup=False)
        if kept is not None:
            kept.stamp(result.attested)
        self._room.close()
        if self.sealed is not None:
            save_result(result, self.sealed)
            if kept is not None:
                kept.moved(self.sealed)
        if self._target is None or self._folder is None or recipient is None:
            return None
        planned = plan(result.job.operations, result.job.input_schemas)
        given = inputs or {}
        summaries = write_result(
            result, recipient, self._folder, suffix=self._target.suffix, guard=self._safe_csv, progress=progress
        )
        records = given.get(INPUT_NAME)
        opened = Opened(
            plan=planned,
            summaries=summaries,
            places={} if records is None or console.quiet else places_of(records.place, summaries),
            notes=_notes(result, recipient, planned),
        )
        warn(console, opened.warnings, strict=self._strict, remedy="Open the result without --strict to see the rows.")
        write_report(console, opened_job(result, recipient, planned, given), self._folder / "report.html")
        return opened

    def conclude(self, result: Result, opened: Opened | None, *, quiet: bool, as_json: bool) -> None:
        """Print what the job did."""
        if as_json:
            print_json(_answer(result, opened, out=self.out, sealed=self.sealed))
        elif not quiet:
            _conclude(result, opened, out=self.out, sealed=self.sealed)


def _existing(folder: Path) -> Path:
    """The nearest folder that exists: there its file system can be looked at."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def attest(console: Console, worker: Connection) -> AttestedWorker:
    """The worker, attested; prints which machine it is."""
    with shown(console) as steps:
        steps(Progress(phase=Phase.CHECKING))
        attested = worker.attest()
    introduce(console, attested)
    return attested


def introduce(console: Console, attested: AttestedWorker) -> None:
    """Print which machine was attested."""
    verdict = attested.verdict
    kind = "simulated " if attested.simulated else ""
    console.print(
        f"attested: {kind}{verdict.tee} {verdict.product}, {len(verdict.checks)} checks passed", highlight=False
    )


def write_result(
    result: Result,
    recipient: Decrypter,
    folder: Path,
    *,
    suffix: str,
    guard: bool,
    progress: ProgressCallback | None = None,
) -> dict[str, RowSummary]:
    """Write all files; the summary of each row status."""
    summaries, columns = dict[str, RowSummary](), result.columns
    for output in result.header.outputs:
        name, schema = output.name, output.schema
        batches = opening(read_output(result, recipient, name, as_text=suffix in (CSV, WORKBOOK)), progress)
        if schema == ROW_STATUS:
            about = columns.get(name.removesuffix("_status"), columns.get(INPUT_NAME, ()))
            summaries[name] = RowSummary(columns=about)
            batches = summaries[name].watching(batches)
        if schema in SCHEMAS and SCHEMAS[schema].lines:
            write_lines(folder / f"{name}.txt", batches)
        else:
            write_batches(folder / f"{name}{suffix}", batches, guard=guard, cells=result.sealed_columns(name))
    (folder / "receipt.jws").write_text(result.receipt.compact + "\n")
    (folder / "evidence.json").write_bytes(result.attested.to_file())
    (folder / "header.bin").write_bytes(result.job.data)
    return summaries


def _answer(result: Result, opened: Opened | None, *, out: Path | None, sealed: Path | None) -> Received:
    claims = result.receipt.claims
    return Received(
        job=claims.job_id,
        worker=claims.worker,
        rows_in=claims.volumes.rows_in,
        rows_out=claims.volumes.rows_out,
        counted=opened is not None,
        outputs=result.names,
        out=None if out is None else str(out),
        sealed=None if sealed is None else str(sealed),
    )


def _conclude(result: Result, opened: Opened | None, *, out: Path | None, sealed: Path | None) -> None:
    claims = result.receipt.claims
    if out is not None:
        click.echo(f"{RESULT:8} {out}")
    if sealed is not None:
        click.echo(f"sealed   {sealed}")
    counts = "stated by the cell" if opened is None else "counted in the outputs"
    rows_out = (
        "out not stated, because columns were sealed" if claims.withheld else f"{claims.volumes.rows_out} out, {counts}"
    )
    click.echo(f"rows     {claims.volumes.rows_in} in, {rows_out}")
    if opened is not None:
        for note in opened.notes:
            click.echo(note)
        for name, summary in opened.summaries.items():
            print_summary(name, summary, opened.places.get(name, from_zero))
    click.echo(f"receipt  verified: job {claims.job_id}, worker {json.dumps(claims.worker)[1:-1]}")
    reference = None if opened is None else opened.plan.reference
    if reference is not None and reference.seconds:
        (digest,) = (part.sha256 for part in claims.inputs if part.name == reference.side)
        click.echo(f'retained for {reference.seconds} s: resident_reference = "{digest}"')


def _notes(result: Result, recipient: Decrypter, planned: Plan) -> list[str]:
    return [
        line
        for step in planned.operations
        for line in step.operation.summary(step.parameters, partial(read_output, result, recipient))
    ]


def places_of(place: Place, summaries: Mapping[str, RowSummary]) -> dict[str, Place]:
    """The places in a summary of the records, looked up while their file is at hand; a row whose is not has none."""
    found = dict[int, str]()
    for one in summaries[STATUS_OUTPUT].commonest(_LISTED) if STATUS_OUTPUT in summaries else ():
        try:
            found[one.first_row] = found.get(one.first_row) or place(one.first_row)
        except (OSError, SpecError):  # the file was moved or changed since: the result stands
            continue
    return {STATUS_OUTPUT: lambda row: found.get(row) or from_zero(row)}


def print_summary(name: str, summary: RowSummary, place: Place = from_zero) -> None:
    """Print the number of rows by status, and the codes that most rows have, each with its column and first row."""
    label = "status" if name == STATUS_OUTPUT else name
    click.echo(f"{label:8} {', '.join(f'{n} {_WORDS[status]}' for status, n in summary.counts.items())}")
    for one in summary.commonest(_LISTED):
        where = "whole row" if one.column is None else one.column
        click.echo(f"  {one.code:5} {where:16} {one.rows:>9} rows, first {place(one.first_row)}: {one.meaning}")
    if summary.kinds > _LISTED:
        click.echo(f"  and {summary.kinds - _LISTED} others, in {name}")

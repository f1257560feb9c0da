"""`cji audit receipt`: a job's receipt as its submitter has it, also where the trail has the short form."""

from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.verbs.evidence_options import written
from cji_attestation.verbs.trails import INDEX, indexed, trail_faults
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.strict import hex_decode
from cji_core.trail.compact import ReceiptError
from cji_core.trail.events import JobAdmitted, JobCompleted
from cji_core.trail.index import TrailIndex
from cji_core.trail.short_receipts import Stated, whole

_OUT: Final = click.Path(dir_okay=False, path_type=Path)
_FAULTY: Final = 3


class TrailReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit receipt`: the receipt that a trail has of a job. It was not verified."""

    line: Annotated[int, member("number of the job's line `job_completed`")]
    receipt: Annotated[str, member("the receipt, a compact JWS")]


@click.command()
@click.argument("trail", type=FILE)
@click.option("--job", required=True, help="Id of the job.")
@click.option("-o", "--out", type=_OUT, help="New file for the receipt; by default it is printed.")
@INDEX
@answers(TrailReceipt)
@explained
@trail_faults
def receipt(trail: Path, *, job: str, out: Path | None, index_file: Path | None, as_json: bool) -> None:
    """Print the receipt of a job, byte for byte as its submitter has it.

    Most lines of a trail have what no earlier line says of their receipt; the whole one is made of them. Its
    signature is not verified: that is for `cji receipt verify`.

    \b
    Example:
      cji audit receipt audit.log --job 6b1f0c1e2d3a4b5c6d7e8f9001122334 -o receipt.jws
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with indexed(trail, index_file) as index:
        try:
            line, found = _receipt(index, job)
        except ReceiptError as error:
            remedy = "Run `cji audit verify`, and look for an export of the lines before it."
            raise Failure(f"the receipt of job {job} cannot be made: {error}", remedy=remedy, status=_FAULTY) from error
    if out is not None:
        written(out, found.compact.encode() + b"\n")
    text = found.compact if out is None else f"{out}: the receipt in line {line}"
    print_answer(TrailReceipt(line=line, receipt=found.compact), text, as_json=as_json)


def _receipt(index: TrailIndex, job: str) -> tuple[int, Stated]:
    try:
        lines = index.rows.lines_of(hex_decode(job))
    except ValueError:
        lines = []
    pruned = index.pruned()
    events = [(line, index.line(line)[1].event) for line, _ in lines if pruned is None or line > pruned.last]
    completed = [(line, event) for line, event in events if isinstance(event, JobCompleted)]
    if not completed:
        remedy = "`cji audit search TRAIL --job 6b1f*` finds ids, and how jobs ended."
        raise Failure(f"no line has a receipt of job {job}", remedy=remedy, status=2)
    line, event = completed[-1]
    admitted = [each for number, each in events if number < line and isinstance(each, JobAdmitted)]
    base = None if isinstance(event.receipt, str) else _whole_before(index, line)
    return line, whole(event, admitted[-1] if admitted else None, base)


def _whole_before(index: TrailIndex, line: int) -> Stated | None:
    """The last whole receipt before a line. A worker writes one in each segment."""
    pruned = index.pruned()
    for number in range(line - 1, index.first - 1 if pruned is None else pruned.last, -1):
        event = index.line(number)[1].event
        if isinstance(event, JobCompleted) and isinstance(event.receipt, str):
            return Stated.of(event.receipt)
    return None

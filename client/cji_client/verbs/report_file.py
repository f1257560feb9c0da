"""`report.html`: the page of a job that this machine has opened."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from cji_client.errors import SpecError
from cji_client.report import Job, report
from cji_client.result import Result, read_output
from cji_client.seal import INPUT_NAME
from cji_client.signers import Decrypter
from cji_client.sources import FittedSource
from cji_core.command.output import write_text
from cji_core.operations.registry import Plan

_SEALED: Final = "sealed"


def opened_job(result: Result, recipient: Decrypter, plan: Plan, inputs: Mapping[str, FittedSource]) -> Job:
    """The opened job, for its page; `inputs` by name."""
    claims = result.receipt.claims

    def read_side(name: str) -> Iterator[pa.RecordBatch]:
        return _shown(inputs[name].open().batches, frozenset(inputs[name].sealed))

    def read(name: str) -> Iterator[pa.RecordBatch]:
        return _shown(read_output(result, recipient, name, as_text=True), result.sealed_columns(name))

    return Job(
        operations=[each.parameters for each in plan.operations],
        outputs={output.name: output.schema for output in result.header.outputs},
        read=read,
        sides={name: partial(read_side, name) for name in inputs if name != INPUT_NAME},
        facts={
            "receipt": "verified",
            "job": claims.job_id,
            "worker": claims.worker,
            "submitter": claims.submitter,
            "ended": claims.ended,
        },
        simulated=result.attested.simulated,
        rows=claims.volumes.rows_in,
    )


def _shown(batches: Iterator[pa.RecordBatch], sealed: frozenset[str]) -> Iterator[pa.RecordBatch]:
    """The batches for a page: the word `sealed` stands for each cell of an encrypted column."""
    if not sealed:
        yield from batches
        return
    for batch in batches:
        columns = [
            pc.if_else(column.is_valid(), _SEALED, None) if name in sealed else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def write_report(console: Console, job: Job, path: Path) -> None:
    """Write the page, where the operations have one.

    The worker keeps no results: a side table that has gone, or outputs that contradict each other, cost the page only.
    """
    pieces = report(job)
    if pieces is None:
        return
    try:
        write_text(path, pieces)
    except SpecError as error:
        _without(console, path, str(error))
    except (LookupError, TypeError, ValueError):
        _without(console, path, "the outputs do not fit each other")
    except Exception as error:  # noqa: BLE001 - no fault of a page may cost a result that exists only here
        _without(console, path, f"it could not be made ({type(error).__name__})")


def _without(console: Console, path: Path, reason: str) -> None:
    path.unlink(missing_ok=True)
    console.print(f"no report.html: {reason}", highlight=False, markup=False)

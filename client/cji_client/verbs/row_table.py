"""The table of row statuses that `cji job run` prints after a job."""

from typing import Final

import click

from cji_client.received import ROW_STATUS
from cji_client.row_summary import RowSummary
from cji_core.format.records import Status

_WORDS: Final = {
    Status.OK: "ok",
    Status.WARNED: "warned",
    Status.PARTLY_USED: "partly used",
    Status.NOT_USABLE: "not usable",
}
_LISTED: Final = 8


def print_summary(name: str, summary: RowSummary) -> None:
    """Print the number of rows by status, and the codes that most rows have, each with its column and first row."""
    label = "status" if name == ROW_STATUS else name
    click.echo(f"{label:8} {', '.join(f'{n} {_WORDS[status]}' for status, n in summary.counts.items())}")
    for one in summary.commonest(_LISTED):
        where = "whole row" if one.column is None else one.column
        click.echo(f"  {one.code:5} {where:16} {one.rows:>9} rows, first {one.first_row:>8}  {one.meaning}")
    if summary.kinds > _LISTED:
        click.echo(f"  and {summary.kinds - _LISTED} others, in {name}")

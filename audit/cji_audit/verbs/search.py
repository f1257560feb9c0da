"""`cji audit search`: find lines of a trail; `cji audit index`: make the index before somebody asks."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from cji_attestation.verbs.trails import INDEX, checked_time, indexed, trail_faults
from cji_core.command.common import FILE, Failure, explained, plural
from cji_core.trail.index import IndexUnusableError
from cji_core.trail.index_search import COLUMNS, MAX_LIMIT, Found, Query

_TRIES: Final = 5
"""Rounds in a row in which an index may be in use by a search."""


@click.command()
@click.argument("trail", type=FILE)
@click.option("--follow", is_flag=True, help="Go on with the lines that are added, until it is interrupted.")
@click.option("--every", type=click.IntRange(1, 3600), default=5, show_default=True, help="Seconds between two looks.")
@INDEX
@explained
@trail_faults
def index(trail: Path, *, index_file: Path | None, follow: bool, every: int) -> None:
    """Make or continue the index of an audit trail, so that the first search need not.

    Every line is verified, as a search does. With --follow it runs beside the delivery of a trail, as its user or on
    the machine that collects trails: a search then finds all but the last seconds verified and indexed.

    \b
    Examples:
      cji audit index audit.log
      cji audit index /var/lib/cji/audit.log --index /var/lib/cji-audit/trail.index --follow
    """  # noqa: D301 - \b is click's mark for text that it must not wrap

    def pause() -> bool:
        time.sleep(every)
        return True

    keep_indexed(trail, index_file, pause=pause if follow else lambda: False)


def keep_indexed(trail: Path, index_file: Path | None, *, pause: Callable[[], bool]) -> None:
    """Index what the trail has, again after each pause until one returns False. A search may have the index meanwhile.

    Prints once how many lines it has. Raises IndexUnusableError, ChainError or OSError.
    """
    tries, shown = 0, False
    while True:
        try:
            with indexed(trail, index_file) as index:
                if not shown:
                    click.echo(f"{plural(index.watcher.state.head.seq, 'line')} verified and indexed")
                tries, shown = 0, True
        except IndexUnusableError:
            tries += 1
            if tries == _TRIES:
                raise
        if not pause():
            return


@click.command()
@click.argument("trail", type=FILE)
@click.option("--kind", help="Kind of event, such as job_refused.")
@click.option("--since", callback=checked_time, help="Not before this time (UTC), such as 2026-11 or 2026-11-24T15:00.")
@click.option("--until", callback=checked_time, help="Before this time.")
@click.option("--submitter", help="Submitter, as the worker's policy names it.")
@click.option("--ori", help="Requesting ORI.")
@click.option("--operator", help="Operator of a job, or who resumed the trail.")
@click.option("--purpose", help="Purpose code.")
@click.option("--reason", help="Reason of a refusal or an end, or the cause why a key was dropped.")
@click.option("--job", help="Job id.")
@click.option("--prefix", help="Beginning of a job id, or of any column.")
@click.option("--limit", type=click.IntRange(0, MAX_LIMIT), default=50, show_default=True, help="Lines to print.")
@click.option("--newest", is_flag=True, help="The last lines first.")
@click.option("--json", "as_json", is_flag=True, help="Print the count, then whole lines of the trail, as JSON lines.")
@INDEX
@explained
@trail_faults
def search(
    trail: Path,
    *,
    index_file: Path | None,
    as_json: bool,
    job: str | None,
    prefix: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    newest: bool,
    **columns: str | None,
) -> None:
    """Find lines of an audit trail, and count all that match. A value that ends in * is a beginning.

    The first search verifies the whole trail and makes an index of your own; later ones verify only new lines. A trail
    that was cut or replaced since is refused. Lines that are printed are compared with what was verified.

    \b
    Examples:
      cji audit search audit.log --kind job_refused --since 2026-11-23 --until 2026-11-30
      cji audit search audit.log --ori 'WI013*' --operator jdoe --newest
      cji audit search audit.log --job 6b1f* --json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    query = Query(
        columns={name: value for name, value in columns.items() if value is not None},
        job=job,
        prefix=prefix,
        since=since,
        until=until,
        limit=limit,
        newest=newest,
    )
    with indexed(trail, index_file) as index:
        try:
            count, found = index.rows.search(query)
        except ValueError as error:
            raise Failure(str(error), remedy="`cji audit search --help` has examples.", status=2) from error
        pruned = index.pruned()
        gone = 0 if pruned is None else pruned.last
        lines = [index.line(each.line)[0] for each in found if each.line > gone]
    if as_json:
        click.echo(f'{{"matches":{count},"shown":{len(lines)}}}')
        for line in lines:
            click.echo(line, nl=False)
    else:
        click.echo(_table(found))
        click.echo(f"{count} lines match, {len(found)} are shown")
    if gone:
        click.echo(f"lines 1 to {gone} were pruned: only an index that is older, or an export, has them", err=True)


def _table(found: list[Found]) -> str:
    heads = ("line", "time", *COLUMNS, "job")
    rows = [(str(one.line), one.time, *(text or "" for text in one.columns), one.job or "") for one in found]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)
    )

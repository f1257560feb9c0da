"""`cji audit verify`: verify every line of a trail."""

import json
import sys
from collections import Counter as Counts
from pathlib import Path

import click

from worker.audit import GENESIS, ChainError, Head, TrailAnchored
from worker.audit.trail import verified
from worker.cli.common import FILE, Failure, explained

_STEP = 50_000


@click.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@explained
def verify(file: Path, *, as_json: bool) -> None:
    """Verify every line of an audit trail, from the first to the last. The worker may be running.

    Each line must continue the chain, and anchors must increase. A last line without its line feed was never
    acknowledged and is not counted. The exit status is 3 if a line is wrong.

    \b
    Example:
      cji audit verify /var/lib/cji/audit.log
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    try:
        head, anchor, kinds = _verified(file, quiet=as_json)
    except ChainError as error:
        raise Failure(
            str(error), remedy="Investigate who changed the trail. Keep it, and configure a new file.", status=3
        ) from error
    if as_json:
        result = {"lines": head.seq, "hash": head.hash, "anchor": anchor, "events": dict(sorted(kinds.items()))}
        click.echo(json.dumps(result))
        return
    anchored = "never anchored" if anchor is None else f"last anchor {anchor}"
    click.echo(f"verified: {head.seq} lines in one chain, {anchored}\nhash of the last line: {head.hash}")
    for kind, count in sorted(kinds.items()):
        click.echo(f"{count:12}  {kind}")


def _verified(file: Path, *, quiet: bool) -> tuple[Head, int | None, Counts[str]]:
    head, anchor = GENESIS, None
    kinds: Counts[str] = Counts()
    with click.progressbar(length=file.stat().st_size, label="verifying", hidden=quiet, file=sys.stderr) as bar:
        read = 0
        for line, record in verified(file):
            event = record.event
            head = Head(seq=record.seq, hash=record.hash)
            if isinstance(event, TrailAnchored):
                if anchor is not None and event.counter <= anchor:
                    raise ChainError(line=head.seq, field="event", detail=f"anchor {event.counter} follows {anchor}")
                anchor = event.counter
            kinds[event.kind] += 1
            read += len(line)
            if head.seq % _STEP == 0:
                bar.update(read)
                read = 0
        bar.update(read)
    return head, anchor, kinds

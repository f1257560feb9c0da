"""`cji audit`: verify a worker's audit trail, and continue one that a worker refused to start on."""

import json
import sys
from collections import Counter as Counts
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from worker.audit import GENESIS, ChainError, Head, TrailAnchored, verify_next
from worker.audit.chain import MAX_LINE_BYTES
from worker.cli.common import FILE, Failure, configuration, explained, trust_named
from worker.keyholder.anchor import anchor_again
from worker.keyholder.ledger import resume_trail

_STEP = 50_000


@click.group()
def audit() -> None:
    """Verify a worker's audit trail."""


@audit.command()
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


@audit.command()
@click.option("--config", type=FILE, required=True, help="worker.toml of the stopped worker.")
@click.option("--operator", "operator_id", required=True, help="Your id, for the audit trail.")
@click.option("--explanation", required=True, help="The result of your investigation, for the audit trail.")
@click.pass_context
@explained
def resume(context: click.Context, config: Path, operator_id: str, explanation: str) -> None:
    """Continue an audit trail that a worker refused because lines are missing. Run it as the worker's user.

    Verifies the whole trail, builds its ledger again, appends your explanation, and anchors the trail to the vTPM's
    counter as it is now. Headers that were created before this moment are refused from then on, because their job ids
    may be among the missing lines. This cannot be undone: find out first why lines are missing.

    \b
    Example:
      cji audit resume --config /etc/cji/worker.toml --operator jdoe --explanation "VM 17 replaced, ticket 4711"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from attestation.evidence.tpm_counter import NvCounter  # noqa: PLC0415 - needs the TPM's libraries

    loaded = configuration(config)
    trust = trust_named(context, loaded.cloud)
    with resume_trail(loaded, operator_id=operator_id, explanation=explanation) as trail:
        anchor = anchor_again(trail, partial(NvCounter, trust.tcti, loaded.audit_counter))
        click.echo(f"resumed at line {trail.head.seq}, anchored to counter {anchor}")


def _verified(file: Path, *, quiet: bool) -> tuple[Head, int | None, Counts[str]]:
    head, anchor = GENESIS, None
    kinds: Counts[str] = Counts()
    with click.progressbar(length=file.stat().st_size, label="verifying", hidden=quiet, file=sys.stderr) as bar:
        read = 0
        for line in _lines(file):
            head, record = verify_next(line, head=head, number=head.seq + 1)
            event = record.event
            if isinstance(event, TrailAnchored):
                if anchor is not None and event.counter <= anchor:
                    raise ChainError(line=head.seq, field="event", detail=f"anchor {event.counter} follows {anchor}")
                anchor = event.counter
            kinds[json.loads(line)["event"]["kind"]] += 1
            read += len(line)
            if head.seq % _STEP == 0:
                bar.update(read)
                read = 0
        bar.update(read)
    return head, anchor, kinds


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a trail, without a last one that lacks its line feed."""
    with file.open("rb") as stream:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                return
            yield line

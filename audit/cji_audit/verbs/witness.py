"""`cji audit witness`: examine a trail against what the agency's log has of it, without a network."""

import dataclasses
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_audit.verbs.log import log_faults
from cji_core.command.common import FILE, Failure, explained, plural
from cji_core.command.json_output import answers, member, print_document
from cji_core.errors import StartupError
from cji_core.tlog.policy import load_policy
from cji_core.trail.delivery import DeliveryFile, load_delivery
from cji_core.trail.witnesses.examination import examine
from cji_core.trail.witnesses.findings import Examination, Finding
from cji_core.trail.witnesses.keys import ReceiptKeys, read_key, read_keys
from cji_core.trail.witnesses.records import RecordError
from cji_core.trail.witnesses.settings import log_table

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_REMEDY = (
    "Keep the trail, the state and the monitor's file as they are, and investigate who changed what. "
    "docs/witnesses.md explains each finding."
)

_NO_KEY = "Give --key, or receipt_keys in audit.toml: keys that you verified, not those beside the trail."
_NOTHING_SEEN = "Name the deliverer's state or copies of it, and the keys that signed its checkpoints."
_NOTHING_LEFT = "Verify it with a checkpoint of later lines, and with an export of the lines that were pruned."


class WitnessedAt(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint in the log."""

    source: Annotated[str, member("`log` for a record of the deliverer, `monitor` for an entry that a monitor read")]
    size: Annotated[int, member("lines of the checkpoint")]
    root: Annotated[str, member("root of their Merkle tree, hexadecimal")]
    at: Annotated[
        str | None, member("when a quorum of witnesses had cosigned it, by their clocks; null for a monitor's")
    ]


class WitnessFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of a trail, by what the log has."""

    fault: Annotated[str, member("its kind, docs/audit.md")]
    text: Annotated[str, member("what is wrong, in words")]
    source: Annotated[str | None, member("who has something else, `log` or `monitor`; null if neither")]
    size: Annotated[int | None, member("lines of the checkpoint that it is about, or null")]
    after: Annotated[int | None, member("last line that is known to be good, or null")]
    line: Annotated[int | None, member("first wrong line, or null")]


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit witness verify`: a trail, compared with what the log has of it."""

    lines: Annotated[int, member("lines of the trail")]
    root: Annotated[str, member("root of their Merkle tree, hexadecimal")]
    agreed: Annotated[int, member("the first lines that are those of the log")]
    pruned: Annotated[int, member("the first lines that were pruned")]
    sightings: Annotated[tuple[WitnessedAt, ...], member("objects of the kind WitnessedAt")]
    findings: Annotated[tuple[WitnessFault, ...], member("objects of the kind WitnessFault")]


@click.group()
def witness() -> None:
    """Examine a trail against the agency's log and its witnesses."""


@witness.command("verify")
@click.argument("trail", type=FILE)
@click.option("--config", type=FILE, required=True, help="audit.toml: [log] with the policy that you pinned.")
@click.option("--state", type=_FOLDER, help="The deliverer's state, or a copy of it. Default: as configured.")
@click.option("--monitor", type=FILE, help="The file of your `cji log monitor`, with entries.")
@click.option("--key", "key_files", type=FILE, multiple=True, help="A receipt key or verified evidence. Repeatable.")
@answers(Witnessed)
@explained
@log_faults
def verify(
    trail: Path, config: Path, state: Path | None, monitor: Path | None, key_files: tuple[Path, ...], *, as_json: bool
) -> None:
    """Compare a trail with everything that the agency's log has of it, without a network.

    Verifies every line, every checkpoint under the worker's keys, and every proof under the policies that audit.toml
    pins. A cut tail, a fork, a rollback and a rewritten line are named, with what the log has and since when; so are
    lines that waited longer for a cosigned checkpoint than the policy allows. Use your own audit.toml and keys, and a
    monitor's file of your own: a person who rewrites a trail rewrites the state beside it too. The exit status is 3 if
    anything is wrong.

    \b
    Examples:
      cji audit witness verify audit.log --config audit.toml --key evidence.json
      cji audit witness verify audit.log --config audit.toml --state backup/state --monitor monitor.db --json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_audit.tlog.trail_entries import TrailEntries, entries_in  # noqa: PLC0415 - for this verb alone
    from cji_core.trail.witnesses.agency_log import LogWitness  # noqa: PLC0415
    from cji_core.trail.witnesses.configured import records_of  # noqa: PLC0415

    try:
        delivery = load_delivery(config)
        table = log_table(delivery, folder=config.resolve().parent)
        if table is None:
            raise StartupError(f"{config} has no [log]", "Add it with the policy that you pinned: docs/witnesses.md.")
        policy, keys = load_policy(Path(table.policy)), _keys(delivery, key_files)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error
    records = records_of(state or Path(delivery.state))
    read = TrailEntries() if monitor is None else entries_in(monitor, trail, origin=policy.file.origin)
    try:
        result = examine(
            trail,
            records=records if records.is_dir() else None,
            log=LogWitness(table),
            entries=read.offers,
            keys=keys,
            max_delay=policy.file.max_delay_seconds,
        )
    except (OSError, RecordError) as error:
        raise Failure(f"A file or folder cannot be read: {error}", remedy="Name readable ones.", status=2) from error
    if read.frozen is not None:
        text = f"the log froze this trail: {read.frozen}"
        result.add(Finding(fault="frozen", source="monitor", text=text))
    if as_json:
        print_document(_as_json(result))
    else:
        _show(result)
    _require_good(result)


def _keys(delivery: DeliveryFile, files: tuple[Path, ...]) -> ReceiptKeys:
    if files:
        return ReceiptKeys(map(read_key, files))
    if delivery.receipt_keys is None:
        raise StartupError("No receipt key was given", _NO_KEY)
    return read_keys(Path(delivery.receipt_keys))


def _require_good(result: Examination) -> None:
    """Failure 3 unless the log has this trail, and nothing else."""
    if not result.sightings:
        raise Failure("The log has nothing of this trail", remedy=_NOTHING_SEEN, status=3)
    if all(each.checkpoint.size < result.pruned for each in result.sightings):
        raise Failure("The log has nothing of the lines that are left", remedy=_NOTHING_LEFT, status=3)
    if result.findings:
        raise Failure(f"{plural(len(result.findings), 'finding')}: do not trust this trail", remedy=_REMEDY, status=3)


def _show(result: Examination) -> None:
    click.echo(f"{plural(result.lines, 'line')}, root {result.root.hex()}")
    newest = {each.source: each for each in result.sightings}
    for source, last in newest.items():
        count = sum(each.source == source for each in result.sightings)
        when = "" if last.at is None else f", cosigned at {last.at}"
        click.echo(
            f"{source}: {plural(count, 'checkpoint')}, the newest of {plural(last.checkpoint.size, 'line')}{when}"
        )
    if result.last_agreed:
        click.echo(f"lines 1 to {result.last_agreed} are those of the log")
    if result.pruned:
        click.echo(f"lines 1 to {result.pruned} were pruned; checkpoints of fewer were not compared")
    for each in result.findings:
        where = f"line {each.line}" if each.line else (f"after line {each.after}" if each.after is not None else "")
        click.echo(" ".join(filter(None, (f"{each.fault}:", where and f"{where}:", each.text))))


def _as_json(result: Examination) -> dict[str, object]:
    return {
        "lines": result.lines,
        "root": result.root.hex(),
        "agreed": result.last_agreed,
        "pruned": result.pruned,
        "sightings": [
            {
                "source": each.source,
                "size": each.checkpoint.size,
                "root": each.checkpoint.root.hex(),
                "at": each.at,
            }
            for each in result.sightings
        ],
        "findings": [dataclasses.asdict(each) for each in result.findings],
    }

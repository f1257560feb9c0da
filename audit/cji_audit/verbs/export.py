"""`cji audit export` and `verify-export`: all lines of a time, with the proof that none of them is left out."""

import re
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_attestation.verbs.trails import INDEX, checked_time, indexed, require_keys, trail_faults, with_keys
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.trail.exports import LINES, PROOF, read_export, write_export
from cji_core.trail.index import TrailIndex
from cji_core.trail.rules import CheckpointKeys

_RANGE: Final = re.compile(r"([1-9][0-9]{0,18})-([1-9][0-9]{0,18})")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit export`: the folder of an export."""

    folder: Annotated[str, member("the folder")]
    first: Annotated[int, member("number of its first line")]
    last: Annotated[int, member("number of its last line")]


class VerifiedExport(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit verify-export`: an export that has all lines between its first and its last."""

    origin: Annotated[str, member("name of the trail")]
    first: Annotated[int, member("number of its first line")]
    last: Annotated[int, member("number of its last line")]
    lines: Annotated[int, member("lines of the checkpoint that proves it")]
    key: Annotated[str, member("thumbprint of the receipt key that signed the checkpoint")]


@click.command()
@click.argument("trail", type=FILE)
@click.option("--since", callback=checked_time, help="Not before this time (UTC), such as 2026-11.")
@click.option("--until", callback=checked_time, help="Before this time.")
@click.option("--lines", "numbers", metavar="FIRST-LAST", help="These lines, such as those of closed segments.")
@click.option("--all", "everything", is_flag=True, help="All lines that the last checkpoint covers.")
@click.option(
    "-o", "--out", type=click.Path(exists=False, path_type=Path), required=True, help="New folder for the export."
)
@INDEX
@answers(Exported)
@explained
@trail_faults
def export(
    trail: Path,
    *,
    since: str | None,
    until: str | None,
    numbers: str | None,
    everything: bool,
    out: Path,
    index_file: Path | None,
    as_json: bool,
) -> None:
    """Export all lines between two times, by their numbers, or all that there are, and prove that none is left out.

    The folder has the lines as they are in the trail, and a proof. With times, the line before and the line after are
    in it too, so its reader sees that it begins and ends there. `cji audit verify-export` needs the folder and a key,
    and `cji audit prune` an export of all lines that it removes.

    \b
    Examples:
      cji audit export audit.log --since 2026-10 --until 2026-11 -o october
      cji audit export audit.log --lines 1-250000 -o 2025
      cji audit export audit.log --all -o kept
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    ways = (since is not None, numbers is not None, everything)
    if sum(ways) != 1 or (since is None) is not (until is None):
        raise Failure("name the lines to export", remedy="Give --since and --until, --lines, or --all.", status=2)
    with indexed(trail, index_file) as index:
        if numbers is not None:
            first, last = _numbered(numbers)
        else:
            first, last = _covered(index) if everything else _between(index, since or "", until or "")
        try:
            write_export(index, first, last, out)
        except OSError as error:
            remedy = "Name a new folder in one that exists."
            raise Failure(f"{out} cannot be made", remedy=remedy, status=2) from error
    answer = Exported(folder=str(out), first=first, last=last)
    print_answer(answer, f"{out}: lines {first} to {last}", as_json=as_json)


def _covered(index: TrailIndex) -> tuple[int, int]:
    """All lines that were not pruned, up to the last checkpoint."""
    last = index.last_checkpoint()
    if last is None:
        remedy = "A worker signs one within a minute of a new line, and when it stops."
        raise Failure("the trail has no checkpoint", remedy=remedy, status=3)
    return index.first, last.size


def _between(index: TrailIndex, since: str, until: str) -> tuple[int, int]:
    span = index.rows.span(since, until)
    if span is None:
        raise Failure("no lines between these times", remedy="`cji audit search` shows times.", status=2)
    pruned = index.pruned()
    first = max(1 if pruned is None else pruned.last + 1, span[0] - 1)
    return first, min(index.watcher.tree.size, span[1] + 1)


def _numbered(text: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise Failure(f"{text} names no lines", remedy="Write the first and the last line, such as 1-250000.", status=2)
    return int(found[1]), int(found[2])


@click.command("verify-export")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@answers(VerifiedExport)
@click.pass_context
@explained
@trail_faults
@with_keys
def verify_export(keys: CheckpointKeys, *, folder: Path, as_json: bool) -> None:
    """Verify that an export has all lines between its first and its last, as they are in the trail. Uses no network.

    \b
    Example:
      cji audit verify-export october --evidence evidence.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    require_keys(keys)
    try:
        found = read_export(folder, keys)
    except OSError as error:
        remedy = f"Give the folder that `cji audit export` made, with {LINES} and {PROOF}."
        raise Failure(f"{folder} cannot be read", remedy=remedy, status=2) from error
    of = found.checkpoint
    answer = VerifiedExport(origin=of.origin, first=found.first, last=found.last, lines=of.size, key=found.receipt_key)
    text = f"verified: lines {found.first} to {found.last} of {of.origin} are complete"
    print_answer(answer, f"{text}\nsigned by {found.receipt_key}, with {of.size} lines", as_json=as_json)

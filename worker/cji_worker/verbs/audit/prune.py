"""`cji audit prune`: remove segments of a trail that are old enough and exported."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation.verbs.trails import require_keys, trail_faults, with_keys
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.format.configuration.worker import Config
from cji_core.trail import ChainError, TrailPruned
from cji_core.trail.delivered import line_at_of, standing
from cji_core.trail.merkle import ProofError
from cji_core.trail.pruned import Pruned, decode_pruned
from cji_core.trail.rules import CheckpointKeys, Watcher
from cji_worker.trail.retention import Candidate, Survey, exported, refusal
from cji_worker.verbs.audit.stopped import WAIT, StoppedTrail, stopped_trail

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class Removed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji audit prune`: the lines that were removed, or may be."""

    first: Annotated[int, member("number of the first of them")]
    last: Annotated[int, member("number of the last of them")]
    line: Annotated[int | None, member("number of the line about it; absent with --dry-run")] = None
    next_stays: Annotated[str | None, member("why the next segment stays; absent if nothing keeps it")] = None


@click.command()
@click.option("--config", type=FILE, required=True, help="worker.toml of the stopped worker.")
@click.option(
    "--export", "exports", type=_FOLDER, multiple=True, required=True, help="Export of the lines. May be repeated."
)
@click.option("--through", type=click.IntRange(min=1), help="Remove the segments until the one with this last line.")
@click.option("--operator", "operator_id", required=True, help="Your id, for the audit trail.")
@click.option("--explanation", required=True, help="Why, and where the exports are kept, for the audit trail.")
@click.option("--dry-run", is_flag=True, help="Verify everything, remove no more than what a crash left.")
@WAIT
@answers(Removed)
@click.pass_context
@explained
@trail_faults
@with_keys
def prune(
    keys: CheckpointKeys,
    *,
    config: Path,
    exports: tuple[Path, ...],
    through: int | None,
    operator_id: str,
    explanation: str,
    dry_run: bool,
    wait: int,
    as_json: bool,
) -> None:
    """Remove closed segments of an audit trail, oldest first. Run it as the worker's user, with the worker stopped.

    A segment is removed if all its lines are more than a year old, by the clock and by the trail's last attestation, if
    no legal hold is on any of them, if every destination that the worker requires has them, and if an export with a
    proof by one of your keys has exactly these lines. The first segment that does not fulfil this ends the command;
    with --through, nothing is removed then.

    The whole trail is verified first. A line that names you, the lines and their root is written and anchored before
    anything is removed. What the later lines are verified with stays in the file `audit.log.pruned`.

    \b
    Examples:
      cji audit export audit.log --lines 1-250000 -o 2025
      cji audit prune --config /etc/cji/worker.toml --export 2025 --evidence evidence.json --operator jdoe \\
        --explanation "retention schedule 7; exports in vault 3"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    require_keys(keys)
    with stopped_trail(click.get_current_context(), config, wait=wait) as trail:
        found = trail.found
        covered = set[int]()
        for folder in exports:
            covered |= _exported(folder, keys, found)
        chosen, why = _chosen(found, covered, _delivered(trail.config))
        if through is not None and (not chosen or chosen[-1].segment.last < through):
            raise _refused(why or f"no closed segment ends with line {through}")
        if through is not None:
            chosen = [each for each in chosen if each.segment.last <= through]
        if not chosen or (through is not None and chosen[-1].segment.last != through):
            raise _refused(
                why or "no closed segment ends there" if found.candidates else "the trail has no closed segment"
            )
        last = chosen[-1].segment.last
        _require_readable(chosen[-1].pruned)
        line = None if dry_run else _remove(trail, chosen[-1], operator_id=operator_id, explanation=explanation)
    lines, stays = f"lines {found.first} to {last}", why if through is None else ""
    text = f"{lines} may be removed" if line is None else f"line {line}: {lines} are removed"
    answer = Removed(first=found.first, last=last, line=line, next_stays=stays or None)
    print_answer(answer, f"{text}\nthe next segment stays: {stays}" if stays else text, as_json=as_json)


def _require_readable(pruned: Pruned) -> None:
    """Failure 3 unless the file that would stay can be read: nothing else has the state that later lines need."""
    try:
        Watcher.after(decode_pruned(pruned.encode()))
    except (ValueError, ChainError) as error:
        remedy = "Choose another segment with --through. Nothing was removed."
        raise Failure(
            f"what would stay of lines 1 to {pruned.last} could not be read: {error}", remedy=remedy, status=3
        ) from error


def _remove(trail: StoppedTrail, newest: Candidate, *, operator_id: str, explanation: str) -> int:
    pruned = newest.pruned
    line = trail.append(
        lambda: TrailPruned(
            first=trail.found.first,
            last=pruned.last,
            root=pruned.tree().root().hex(),
            kept_sha384=pruned.sha384(),
            operator_id=operator_id,
            explanation=explanation,
        )
    )
    try:
        trail.audit.prune(pruned)
    except (OSError, sqlite3.Error) as error:
        remedy = f"Line {line} records the removal. Correct the cause and run the same command again: it finishes it."
        raise Failure(f"not everything was removed: {error}", remedy=remedy, status=1) from error
    return line


def _chosen(found: Survey, covered: set[int], delivered: dict[str, int]) -> tuple[list[Candidate], str]:
    """The segments that may be removed, oldest first, and why the next one may not."""
    chosen: list[Candidate] = []
    for each in found.candidates:
        why = refusal(each, found, now=datetime.now(UTC), exports=covered, delivered=delivered)
        if why is not None:
            return chosen, f"{each.segment.path.name}: {why}"
        chosen.append(each)
    return chosen, ""


def _exported(folder: Path, keys: CheckpointKeys, found: Survey) -> set[int]:
    try:
        return exported(folder, keys, found.candidates)
    except (ChainError, ProofError, OSError) as error:
        remedy = "Export the lines again, or give the evidence of the start that signed its checkpoint."
        raise Failure(f"the export {folder} cannot be relied on: {error}", remedy=remedy, status=3) from error


def _delivered(config: Config) -> dict[str, int]:
    """The last line of each destination that the worker requires; 0 if its file is missing or is not of this trail."""
    section = config.audit_delivery
    if section is None:
        return {}
    line_at = line_at_of(Path(config.audit_file))
    return {name: standing(Path(section.state), name, line_at).seq for name in section.required}


def _refused(why: str) -> Failure:
    remedy = "Wait, export, deliver or release first what it names. Nothing was removed."
    return Failure(f"nothing may be removed: {why}", remedy=remedy, status=3)

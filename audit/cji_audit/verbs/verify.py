"""`cji audit verify`: verify every line of a trail."""

import sys
from collections import Counter as Counts
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation.verbs.trails import checkpoint_in, trail_faults, with_keys
from cji_core.command.common import FILE, Failure, explained, plural
from cji_core.command.json_output import answers, member, print_document
from cji_core.trail.auditor_checkpoints import AuditorCheckpoint, Comparison
from cji_core.trail.checkpoint import CheckpointError
from cji_core.trail.rules import RULES, CheckpointKeys, Finding, Watcher, require
from cji_core.trail.trail import opened

_STEP = 5_000


class HeldCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that was given."""

    lines: Annotated[int, member("lines that it covers")]
    verified: Annotated[bool, member("whether its signature was verified")]
    compared: Annotated[bool, member("whether its lines are still in the trail")]


class HoldInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold."""

    first: Annotated[int, member("first line under it")]
    last: Annotated[int | None, member("last line; null if all later ones are under it")]
    line: Annotated[int, member("the line that placed it")]
    time: Annotated[str, member("when, UTC")]
    operator_id: Annotated[str, member("who placed it")]


class StepBack(msgspec.Struct, frozen=True, kw_only=True):
    """A time before that of an earlier line."""

    line: Annotated[int, member("number of the line")]
    time: Annotated[str, member("its time")]
    before: Annotated[str, member("the time of the earlier line")]


class VerifiedTrail(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit verify`: a trail of which every line was verified."""

    lines: Annotated[int, member("lines, those that were pruned included")]
    pruned: Annotated[int, member("the first lines that were pruned")]
    holds: Annotated[dict[str, HoldInForce], member("HoldInForce by name")]
    hash: Annotated[str, member("hash of the last line")]
    root: Annotated[str, member("root of the Merkle tree, hexadecimal")]
    anchor: Annotated[int | None, member("last anchor to the vTPM's counter; null if there is none")]
    checkpoints: Annotated[int, member("checkpoints in the trail")]
    checkpoints_verified: Annotated[dict[str, int], member("those with a verified signature, by thumbprint of the key")]
    lines_signed: Annotated[int, member("the first lines that such a checkpoint covers")]
    held: Annotated[dict[str, HeldCheckpoint], member("HeldCheckpoint by file name")]
    clock_went_back: Annotated[int, member("how often the clock went back")]
    clock: Annotated[tuple[StepBack, ...], member("the first of these")]
    events: Annotated[dict[str, int], member("number of lines by kind of event")]
    findings: Annotated[dict[str, int], member("other findings than errors, by id of their rule")]


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=FILE,
    multiple=True,
    help="A checkpoint that you or a witness kept: the trail must have its lines. May be repeated.",
)
@answers(VerifiedTrail)
@click.pass_context
@explained
@trail_faults
@with_keys
def verify(keys: CheckpointKeys, *, file: Path, checkpoints: tuple[Path, ...], as_json: bool) -> None:
    """Verify every line of an audit trail, from the first to the last. The worker may be running.

    Each line must continue the chain; jobs, receipts, anchors and checkpoints must be in their order. A last line
    without its line feed was never acknowledged and is not counted. The exit status is 3 if a line is wrong.

    The chain alone does not reveal a tail that was cut off, or a trail that somebody wrote again from the first line.
    A checkpoint that was kept elsewhere does, and so do checkpoints in the trail with the key that signed them.

    \b
    Examples:
      cji audit verify /var/lib/cji/audit.log
      cji audit verify audit.log --checkpoint 2026-11-24.checkpoint --evidence evidence.json
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    held = [_held(each, keys) for each in checkpoints]
    try:
        comparison = Comparison(held)
    except ValueError as error:
        raise Failure(str(error), remedy="Give checkpoints that cover lines.", status=2) from error
    trail = _verified(file, keys, comparison, quiet=as_json)
    _require_evidence(trail.watcher, held)
    if as_json:
        print_document(_as_json(trail, held))
    else:
        click.echo(_as_text(trail, held))


def _held(file: Path, keys: CheckpointKeys) -> AuditorCheckpoint:
    try:
        return AuditorCheckpoint.of(file.name, checkpoint_in(file), keys)
    except CheckpointError as error:
        raise Failure(
            f"{file} is forged: {error}", remedy="Find out where it comes from. Do not use it.", status=3
        ) from error


@dataclass(frozen=True, slots=True)
class _Trail:
    """A trail without an error: lines by kind of event, and the other findings by rule."""

    watcher: Watcher
    kinds: Counts[str] = field(default_factory=Counts)
    findings: Counts[str] = field(default_factory=Counts)

    def keep(self, findings: Iterable[Finding]) -> None:
        """Raises BrokenRuleError for the first error."""
        for finding in findings:
            require((finding,))
            self.findings[finding.rule] += 1


def _verified(file: Path, keys: CheckpointKeys, comparison: Comparison, *, quiet: bool) -> _Trail:
    with ExitStack() as stack:
        trail = stack.enter_context(opened(file))
        watcher = Watcher.after(trail.pruned, keys=keys)
        found = _Trail(watcher)
        comparison.begin(watcher)
        shown = click.progressbar(length=trail.size(), label="verifying", hidden=quiet, file=sys.stderr)
        bar, read = stack.enter_context(shown), 0
        for line, record in trail.verified():
            found.keep(watcher.see(line, record))
            comparison.take(watcher, record)
            found.kinds[record.event.kind] += 1
            read += len(line)
            if record.seq % _STEP == 0:
                bar.update(read)
                read = 0
        bar.update(read)
    found.keep(watcher.end())
    comparison.finish(watcher)
    return found


def _pruned(watcher: Watcher) -> int:
    """The last line that was pruned: checkpoints of fewer lines are not compared."""
    return 0 if watcher.pruned is None else watcher.pruned.last


def _require_evidence(watcher: Watcher, held: list[AuditorCheckpoint]) -> None:
    """Failure 3 if nothing that was given is of the lines that are left."""
    compared = [each for each in held if each.checkpoint.size >= _pruned(watcher)]
    unused = [key for key, count in watcher.verified.items() if not count]
    if unused and not any(each.verified for each in compared):
        raise Failure(
            f"no checkpoint in this trail is signed by {', '.join(unused)}",
            remedy="Give the evidence of a start of this worker that is in the trail.",
            status=3,
        )
    if held and not compared and not any(watcher.verified.values()):
        raise Failure(
            "the lines of every checkpoint that was given were pruned",
            remedy="Give a checkpoint of later lines, or the evidence of a start of this worker that is in the trail.",
            status=3,
        )


def _as_json(trail: _Trail, held: list[AuditorCheckpoint]) -> dict[str, object]:
    watcher = trail.watcher
    state, gone = watcher.state, _pruned(watcher)
    return {
        "lines": state.head.seq,
        "pruned": gone,
        "holds": msgspec.to_builtins(state.holds),
        "hash": state.head.hash,
        "root": watcher.tree.root().hex(),
        "anchor": state.anchor,
        "checkpoints": state.checkpoints,
        "checkpoints_verified": watcher.verified,
        "lines_signed": watcher.signed,
        "held": {
            each.name: {
                "lines": each.checkpoint.size,
                "verified": each.verified,
                "compared": each.checkpoint.size >= gone,
            }
            for each in held
        },
        "clock_went_back": state.clock_went_back,
        "clock": [{"line": each.line, "time": each.time, "before": each.before} for each in state.steps_back],
        "events": dict(sorted(trail.kinds.items())),
        "findings": {rule: trail.findings[rule] for rule in RULES if rule in trail.findings},
    }


def _as_text(trail: _Trail, held: list[AuditorCheckpoint]) -> str:
    watcher, state = trail.watcher, trail.watcher.state
    anchored = "never anchored" if state.anchor is None else f"last anchor {state.anchor}"
    checked = sum(watcher.verified.values())
    rows = [
        f"verified: {plural(state.head.seq, 'line')} in one chain, {anchored}",
        f"hash of the last line: {state.head.hash}",
        f"root: {watcher.tree.root().hex()}",
        f"checkpoints: {state.checkpoints}, {checked} with a verified signature, up to line {watcher.signed}",
    ]
    if watcher.pruned is not None:
        rows.append(f"lines 1 to {watcher.pruned.last} were pruned, and a line records that")
    for name, hold in sorted(state.holds.items()):
        rows.append(
            f"hold {name}: lines {hold.first} to {hold.last or 'the last'}, by {hold.operator_id} in line {hold.line}"
        )
    gone = _pruned(watcher)
    for each in held:
        if each.checkpoint.size < gone:
            rows.append(f"not compared with {each.name}: its lines were pruned")
            continue
        signed = "signature verified" if each.verified else "signature not verified: no key of its signer was given"
        rows.append(f"agrees with {each.name}: lines 1 to {each.checkpoint.size}, {signed}")
    if state.clock_went_back:
        rows.append(f"the clock went back {plural(state.clock_went_back, 'time')}:")
    rows += [f"  line {each.line}: {each.time} after {each.before}" for each in state.steps_back]
    rows += [f"{count:12}  {kind}" for kind, count in sorted(trail.kinds.items())]
    shown = {rule: about for rule, about in RULES.items() if rule in trail.findings and about.severity != "notice"}
    rows += ["for the review of these weeks:"] if shown else []
    rows += [f"{trail.findings[rule]:12}  {about.severity} {rule}: {about.title}" for rule, about in shown.items()]
    return "\n".join(rows)

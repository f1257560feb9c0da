"""`cji audit hold` and `release`: legal holds on lines of a trail."""

from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation.verbs.trails import trail_faults
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.trail import HoldPlaced, HoldReleased
from cji_core.trail.rules import MAX_HOLDS
from cji_worker.verbs.audit.stopped import WAIT, stopped_trail

_CONFIG = click.option("--config", type=FILE, required=True, help="worker.toml of the stopped worker.")
_OPERATOR = click.option("--operator", "operator_id", required=True, help="Your id, for the audit trail.")
_EXPLANATION = click.option("--explanation", required=True, help="Who asked for it and why, for the audit trail.")


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji audit hold`: a legal hold that is in force."""

    hold: Annotated[str, member("its name")]
    line: Annotated[int, member("number of the line that places it")]
    first: Annotated[int, member("number of the first line under it")]
    last: Annotated[int | None, member("number of the last one; absent if all later lines are under it")] = None


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit release`: a legal hold that is released."""

    hold: Annotated[str, member("its name")]
    line: Annotated[int, member("number of the line that releases it")]


@click.command()
@click.argument("name")
@_CONFIG
@WAIT
@click.option("--first", type=click.IntRange(min=1), help="First line under the hold; by default the first there is.")
@click.option("--last", type=click.IntRange(min=1), help="Last line; by default all later lines are under it too.")
@_OPERATOR
@_EXPLANATION
@answers(Held)
@click.pass_context
@explained
@trail_faults
def hold(
    context: click.Context,
    *,
    name: str,
    config: Path,
    wait: int,
    first: int | None,
    last: int | None,
    operator_id: str,
    explanation: str,
    as_json: bool,
) -> None:
    """Place a legal hold: `cji audit prune` does not remove its lines. Run it as the worker's user.

    The worker must be stopped, or stop within --wait seconds. The hold is a line of the trail and is anchored to the
    vTPM's counter; the worker's next checkpoint signs it. `cji audit search` finds the numbers of lines, `cji audit
    verify` lists the holds in force.

    \b
    Examples:
      cji audit hold case-4711 --config /etc/cji/worker.toml --operator jdoe --explanation "court order 4711"
      cji audit hold foia-12 --first 1000 --last 52000 --config /etc/cji/worker.toml --operator jdoe --explanation FOIA
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with stopped_trail(context, config, wait=wait) as trail:
        state = trail.found.watcher.state
        if name in state.holds:
            remedy = "Choose another name, or release this hold first."
            raise Failure(f"the hold {name} is in force since line {state.holds[name].line}", remedy=remedy, status=2)
        if len(state.holds) >= MAX_HOLDS:
            remedy = "Release one, or place one hold on more lines."
            raise Failure(f"{MAX_HOLDS} holds are in force, and a trail has no more", remedy=remedy, status=2)
        lines, begin = state.head.seq, first or trail.found.first
        if not trail.found.first <= begin <= (last or lines) <= lines:
            here = f"{trail.found.first} to {lines}"
            remedy = f"The trail has the lines {here}. Leave out --last for lines that are yet to be written."
            raise Failure(f"the hold {name} names lines that are not there", remedy=remedy, status=2)
        line = trail.append(
            lambda: HoldPlaced(name=name, first=begin, last=last, operator_id=operator_id, explanation=explanation)
        )
    text = f"line {line}: lines {begin} to {last or 'the last'} are under the hold {name}"
    print_answer(Held(hold=name, line=line, first=begin, last=last), text, as_json=as_json)


@click.command()
@click.argument("name")
@_CONFIG
@WAIT
@_OPERATOR
@_EXPLANATION
@answers(Released)
@click.pass_context
@explained
@trail_faults
def release(
    context: click.Context, *, name: str, config: Path, wait: int, operator_id: str, explanation: str, as_json: bool
) -> None:
    """Release a legal hold. Run it as the worker's user, with the worker stopped or about to stop.

    \b
    Example:
      cji audit release case-4711 --config /etc/cji/worker.toml --operator jdoe --explanation "case closed 2027-03-01"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    with stopped_trail(context, config, wait=wait) as trail:
        holds = trail.found.watcher.state.holds
        if name not in holds:
            known = ", ".join(sorted(holds)) or "none"
            raise Failure(f"no hold {name} is in force", remedy=f"Holds in force: {known}.", status=2)
        line = trail.append(lambda: HoldReleased(name=name, operator_id=operator_id, explanation=explanation))
    print_answer(Released(hold=name, line=line), f"line {line}: the hold {name} is released", as_json=as_json)

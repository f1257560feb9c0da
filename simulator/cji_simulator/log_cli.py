"""`cji-simulator log`: an agency's log of the simulated worker's trail, with two witnesses, and an attack on it."""

import signal
import threading
from pathlib import Path
from typing import Final

import click

from cji_simulator.errors import SimulatorError
from cji_simulator.fault_cli import opened, state_option

__all__ = ["log"]

_LOOK_S: Final = 0.2


@click.group()
def log() -> None:
    """An agency's log of the worker's trail, with two witnesses, one of which is a second agency's."""


@log.command()
@state_option
def up(state: Path) -> None:
    """Start log, witnesses and delivery for the worker of `cji-simulator up`, and stay until interrupted.

    They are the programs of production: `cji log serve`, `cji witness serve` twice, `cji audit deliver`. Their files
    are below `log` in the state folder; those of an earlier log are removed.

    \b
    Example:
      cji-simulator log up
    """
    from cji_simulator.agency_log import add_evidence, agency_log

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with opened(state) as simulation, agency_log(state, simulation, until=stop.is_set) as found:
            _show(state)
            seen = simulation.unit
            while not stop.wait(_LOOK_S):
                found.require_running()
                unit = simulation.unit
                if unit.serves and unit.report != seen.report:  # another start has another receipt key
                    add_evidence(state)
                seen = unit
    except SimulatorError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from error


@log.command()
@state_option
def fork(state: Path) -> None:
    """Attack it as an agency that controls its log and its own witness: sign another history of as many entries.

    The second agency's witness is asked to cosign it. The checkpoint is kept as fork.checkpoint. Exit status 3: it was
    found out.

    \b
    Example:
      cji-simulator log fork
    """
    from cji_simulator.agency_log import fork as forked

    try:
        answers = list(forked(state / "log"))
    except SimulatorError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from error
    for each in answers:
        click.echo(f"{each.name}: {each.said}")
    if not answers[-1].cosigned:
        raise SystemExit(3)


def _show(state: Path) -> None:
    at = state / "log"
    audit, policy, trail = at / "machine/audit.toml", at / "policy.toml", state / "worker/state/audit.jsonl"
    evidence = at / "machine/receipt-keys/start-001.json"
    click.echo("The log has the trail's first checkpoint, cosigned by both witnesses. In another terminal:")
    for words in (
        f"audit witness verify {trail} --config {audit}",
        f"log monitor --policy {policy} --state monitor.db --token-file {at / 'agency/reader.token'}",
        f"audit packet --trail {trail} --log {at / 'machine/state/log'} --evidence {evidence} \\\n"
        "    --from DAY --to DAY --catalog cjis-v6.1.json --out packet",
        f"audit packet verify packet.zip --trail {trail} --log-policy {policy}  # status 3: no key is pinned",
    ):
        click.echo(f"  cji-simulator cji --state {state} {words}")
    click.echo("Each start of the worker has its own key: name every file of machine/receipt-keys as --evidence.")
    click.echo("An agency's attack on its own log, and what its neighbour's witness remembers of it:")
    click.echo(f"  cji-simulator log fork --state {state}\n  cji witness status --config {at / 'sheriff/witness.toml'}")
    click.echo("Running. Stop with Ctrl-C.")

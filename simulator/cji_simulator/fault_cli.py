"""`cji-simulator fault`: orders to a running simulation. All lists and explanations come from the catalogue."""

import contextlib
import fcntl
import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cji_simulator.faults import CATALOGUE, EVENTS, Event, Fault, Kind, Service
from cji_simulator.intel import STATUSES, Publication
from cji_simulator.simulation import Simulation, SimulationError
from cji_simulator.tables import show
from cji_simulator.whereabouts import USUAL, announced, found_state

__all__ = ["alone", "fault", "new_state_option", "opened", "state_option"]

_KEY: Final = "cji-kek"  # which `up` creates
_COMMAND: Final = "cji-simulator fault"
_LOCK: Final = "up.lock"
_REBOOT_S: Final = 60.0
_LOOK_S: Final = 0.2

_FOLDER = click.Path(file_okay=False, path_type=Path)
state_option = click.option(
    "--state",
    type=_FOLDER,
    default=found_state,
    show_default=".demo, or where one runs",
    help="Folder of the simulation.",
)
new_state_option = click.option(
    "--state", type=_FOLDER, default=USUAL, show_default=True, help="Folder for the simulation."
)
_key_option = click.option("--key", default=_KEY, show_default=True, help="Name of a key in the vault.")


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the state folder, until this process ends however it does. SimulationError if another holds it."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SimulationError(f"a simulation runs in {state}: stop it, or use another --state") from error
        with announced(state):
            yield


def with_now(command: Callable[..., None]) -> Callable[..., None]:
    """Add --now: after the command, have the worker renew, and print what came of it."""

    @click.option(
        "--now", is_flag=True, help="Have the worker attest and request its keys at once, and show the outcome."
    )
    @functools.wraps(command)
    def run(*args: Any, now: bool, state: Path, **kwargs: Any) -> None:
        command(*args, state=state, **kwargs)
        if now:
            show_renewal(state)

    return run


def show_renewal(state: Path) -> None:
    """Have the worker of `up` renew, and print what its log says of it."""
    from cji_simulator.renewal import RenewalError, renew

    try:
        events = renew(state / "worker")
    except RenewalError as error:
        raise click.ClickException(str(error)) from error
    for event in events:
        words = [str(event[name]) for name in ("fault", "check", "reason", "what") if name in event]
        click.echo(f"worker: {event['event']}" + (f": {', '.join(words)}" if words else ""))


@contextlib.contextmanager
def opened(state: Path) -> Iterator[Simulation]:
    """The simulation that runs in `state`; what it refuses ends the command with the reason."""
    try:
        yield Simulation.running(state)
    except SimulationError as error:
        raise click.ClickException(f"{error}; `cji-simulator up --state {state}` starts one") from error


_HELP: Final = f"""Make a running simulation fail, and watch what app and worker do about it.

An order lasts: it changes the answers of a service until it has taken effect --times times or is cleared.

\b
  {_COMMAND} set {CATALOGUE[Kind.STATUS].example}
  {_COMMAND} set {CATALOGUE[Kind.WRONG_NONCE].example} --now
  {_COMMAND} list
  {_COMMAND} clear

A worker meets most faults at its next attestation, which is up to half an hour away: --now has it attest at once and
shows what its log says.

An event happens once and cannot be undone: signing keys are replaced, the VM reboots, a key is disabled.

\b
  {_COMMAND} {Event.ROTATE_SIGNING_KEYS}
  {_COMMAND} {Event.EXTEND_PCR} --pcr 4
  {_COMMAND} disable-key
"""


@click.group(help=_HELP)
def fault() -> None:
    pass


def _examples() -> str:
    lines = [f"  {entry.example}\n      {entry.does}" for entry in CATALOGUE.values()]
    return "\n".join(["\b", *lines])


@fault.command(
    name="set",
    help=f"Order SERVICE to fail in the way KIND, as by `{_COMMAND} set` followed by one of these:\n\n{_examples()}",
)
@with_now
@state_option
@click.argument("service", metavar="SERVICE", type=click.Choice([one.value for one in Service]))
@click.argument("kind", metavar="KIND", type=click.Choice([one.value for one in Kind]))
@click.option("--status", type=click.IntRange(400, 599), help="HTTP status for `status`. Default: 503.")
@click.option("--retry-after", type=click.IntRange(1, 3600), help="Retry-After for `status`, in seconds.")
@click.option("--seconds", type=click.FloatRange(0, 600), help="Delay for `slow`.")
@click.option("--path", help="Affect only requests whose path contains this; HTTP services.")
@click.option("--times", type=click.IntRange(1), help="Number of times to take effect. Default: until cleared.")
def set_order(
    state: Path,
    service: str,
    kind: str,
    *,
    status: int | None,
    retry_after: int | None,
    seconds: float | None,
    path: str | None,
    times: int | None,
) -> None:
    if retry_after is not None and (seconds is not None or kind != Kind.STATUS):
        raise click.UsageError("--retry-after is for `status`, --seconds for `slow`")
    wait = seconds if retry_after is None else retry_after
    with opened(state) as simulation:
        try:
            simulation.fault(Service(service), Kind(kind), status=status, seconds=wait, path=path, times=times)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    click.echo(f"{service} {kind}: {CATALOGUE[Kind(kind)].does}")


def _in_force(order: Fault) -> str:
    words = [f"status {order.status}" if order.status else "", f"{order.seconds:g} s" if order.seconds else ""]
    words += [order.path or "", f"{order.times} more" if order.times else "until cleared"]
    return ", ".join(word for word in words if word)


@fault.command(name="list")
@state_option
def list_orders(state: Path) -> None:
    """Show all available faults and the orders in force."""
    with opened(state) as simulation:
        orders = simulation.faults()
    table = Table(box=SIMPLE_HEAD)
    for column in ("service", "kind", "what happens", "in force"):
        table.add_column(column)
    for service in Service:
        for kind, entry in CATALOGUE.items():
            if service in entry.services:
                given = [_in_force(order) for order in orders if (order.service, order.kind) == (service, kind)]
                table.add_row(service, kind, entry.does, "\n".join(given), style="bold" if given else None)
        table.add_section()
    show(Console(highlight=False), table)


@fault.command()
@with_now
@state_option
def clear(state: Path) -> None:
    """Drop all orders. Past events are not undone."""
    with opened(state) as simulation:
        simulation.clear_faults()


@fault.command(help=EVENTS[Event.ROTATE_SIGNING_KEYS])
@with_now
@state_option
def rotate_signing_keys(state: Path) -> None:
    with opened(state) as simulation:
        simulation.rotate_signing_keys()


@fault.command(help=EVENTS[Event.REBOOT])
@state_option
def reboot(state: Path) -> None:
    with opened(state) as simulation:
        simulation.reboot()
        state_of(simulation)


def state_of(simulation: Simulation) -> None:
    """Wait until the worker of `up` serves in this boot, if there is one, and print that."""
    until = time.monotonic() + _REBOOT_S
    while time.monotonic() < until:
        unit = simulation.unit
        if unit.report is None:
            return
        if unit.serves:
            click.echo("the worker serves in the new boot")
            return
        time.sleep(_LOOK_S)
    raise click.ClickException("the worker does not serve yet; `cji-simulator status` names its log")


@fault.command(help=EVENTS[Event.ROTATE_ENTRA_KEYS])
@state_option
def rotate_entra_keys(state: Path) -> None:
    with opened(state) as simulation:
        simulation.rotate_entra_keys()


@fault.command(help=EVENTS[Event.EXTEND_PCR])
@with_now
@state_option
@click.option("--pcr", type=click.IntRange(0, 23), default=7, show_default=True)
def extend_pcr(state: Path, pcr: int) -> None:
    with opened(state) as simulation:
        simulation.extend_pcr(pcr)


@fault.command(help=EVENTS[Event.UPDATE_HOST])
@with_now
@state_option
def update_host(state: Path) -> None:
    with opened(state) as simulation:
        simulation.update_host()


@fault.command()
@with_now
@state_option
@click.option("--status", type=click.Choice(STATUSES), default="UpToDate", show_default=True)
@click.option("--advisory", "advisories", multiple=True, help="For example INTEL-SA-01036; can be repeated.")
@click.option("--evaluation", type=click.IntRange(1), default=18, show_default=True, help="tcbEvaluationDataNumber.")
@click.option("--days", type=float, default=30.0, show_default=True, help="Days until nextUpdate; negative: expired.")
@click.option("--pck-revoked", is_flag=True, help="Revoke the processor's certificate.")
@click.option("--early", multiple=True, help="Advisory that is not standard yet; can be repeated.")
def publish(
    state: Path,
    status: str,
    advisories: tuple[str, ...],
    evaluation: int,
    days: float,
    pck_revoked: bool,
    early: tuple[str, ...],
) -> None:
    """Set Intel's statements on a TDX machine; without options, everything is up to date."""
    said = Publication(
        status=status,
        advisories=advisories,
        evaluation=evaluation,
        days=days,
        pck_revoked=pck_revoked,
        early_advisories=early,
    )
    with opened(state) as simulation:
        simulation.publish(said)


@fault.command()
@with_now
@state_option
@_key_option
def disable_key(state: Path, key: str) -> None:
    """Disable the newest version of a key, as its owner would to revoke it."""
    with opened(state) as simulation:
        simulation.disable_key(key)


@fault.command()
@with_now
@state_option
@_key_option
def enable_key(state: Path, key: str) -> None:
    """Enable the newest version of a key again."""
    with opened(state) as simulation:
        simulation.enable_key(key)


@fault.command()
@state_option
@_key_option
def rotate_key(state: Path, key: str) -> None:
    """Add a version to a key; older ones stay."""
    with opened(state) as simulation:
        click.echo(simulation.rotate_key(key).kek_id)


@fault.command()
@with_now
@state_option
@_key_option
@click.option(
    "--file", type=click.File("r"), help="The new policy, as JSON. Default: the old one for another provider."
)
def change_policy(state: Path, key: str, file: IO[str] | None) -> None:
    """Replace the release policy of a key."""
    with opened(state) as simulation:
        policy = None if file is None else json.load(file)
        click.echo(f"policy_sha256 {simulation.change_policy(key, policy).policy_sha256}")

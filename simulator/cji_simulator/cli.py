"""`cji-simulator`: the services with or without a worker, their faults, the demo, and `cji` for their roots.

Runbooks call `az` and `cji` in most of their steps, so a command imports what it alone needs when it runs.
"""

import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click
import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cji_core.documents import decode
from cji_simulator.errors import SimulatorError
from cji_simulator.fault_cli import alone, fault, new_state_option, opened, state_option
from cji_simulator.faults import CATALOGUE
from cji_simulator.hcl import Tee
from cji_simulator.image_cli import image
from cji_simulator.log_cli import log
from cji_simulator.ports import PORTS
from cji_simulator.simulation import Simulation, SimulationError
from cji_simulator.tables import show

if TYPE_CHECKING:
    from cji_simulator.drill import Row
    from cji_simulator.launch import Deployment

__all__ = ["PROFILE", "TRUST", "main", "show_running"]

TRUST: Final = "trust.json"
PROFILE: Final = "worker/client/client.toml"
"""Of the state folder, as is the file of its trust."""
_LOOK_S: Final = 0.2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Azure attestation, key release, instance metadata and a vTPM as real local servers, with a worker that uses them.

    \b
    In one terminal:
      cji-simulator up
    In another:
      cji-simulator status
      cji-simulator fault set vault status --status 429 --retry-after 5 --times 3 --now
      cji-simulator cji job run people.csv --spec job.toml --profile .demo/worker/client/client.toml --out result/

    The repository's folder examples contains records and job specs.
    """


main.add_command(fault)
main.add_command(image)
main.add_command(log)


def _where(simulation: Simulation) -> Table:
    """Return the addresses and files that a tester needs."""
    at = simulation.endpoints
    table = Table(
        title=f"A simulated {at.tee.upper()} machine in {at.region}",
        title_justify="left",
        show_header=False,
        box=SIMPLE,
    )
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, value in (
        ("attestation service", at.maa_url),
        ("  another provider", at.other_maa_url),
        ("key vault", at.vault_url),
        ("metadata service", at.imds_url),
        ("vTPM", at.machine.tcti),
        ("Intel's service", at.intel_url),
        ("AMD's service", at.amd_url),
        ("control", at.control_url),
    ):
        table.add_row(label, value)
    table.add_section()
    return table


@main.command()
@new_state_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The worker's port; 0: one that is free, or that of --ports.",
)
@click.option(
    "--ports",
    type=click.IntRange(1024, 65535 - len(PORTS)),
    help=f"Fixed ports from this one on, in this order: {', '.join(PORTS)}.",
)
@click.option("--worker/--no-worker", "with_worker", default=True, show_default=True, help="Start a worker as well.")
@click.option("--tee", type=click.Choice(get_args(Tee)), default="snp", show_default=True, help="Kind of machine.")
@click.option(
    "--key-lifetime",
    "key_lifetime_s",
    metavar="SECONDS",
    type=click.IntRange(10, 3600),
    default=3600,
    show_default=True,
    help="Lifetime of released keys; the worker renews them in its first half.",
)
@click.option(
    "--cell-memory",
    "cell_mib",
    metavar="MIB",
    type=click.IntRange(128, 65536),
    default=160,
    show_default=True,
    help="Memory of each cell, a multiple of 32; operations on whole tables need more for more rows.",
)
def up(
    state: Path, port: int, ports: int | None, *, with_worker: bool, tee: Tee, key_lifetime_s: int, cell_mib: int
) -> None:
    """Start everything and stay until interrupted.

    The worker is started again when it ends or its machine reboots, as its systemd unit does.

    \b
    In another terminal, with the profile it prints:
      cji-simulator cji job run people.csv --spec job.toml --profile .demo/worker/client/client.toml --out result/
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    chosen = port or ports
    try:
        with alone(state):
            while not stop.is_set():  # once, and after each reset
                chosen = _once(
                    state,
                    stop,
                    tee=tee,
                    with_worker=with_worker,
                    port=chosen,
                    ports=ports,
                    lifetime=key_lifetime_s,
                    cell_mib=cell_mib,
                )
    except SimulatorError as error:
        raise click.ClickException(str(error)) from error


def _once(
    state: Path,
    stop: threading.Event,
    *,
    tee: Tee,
    with_worker: bool,
    port: int | None,
    ports: int | None,
    lifetime: int,
    cell_mib: int,
) -> int:
    """Run one simulation until `stop` or a reset; returns the worker's port, which the next one keeps."""
    servers = Simulation(state, tee=tee, ports=ports)
    servers.begin()  # while they start, this process loads what it needs, and makes the agency's keys
    from cji_simulator import unit
    from cji_simulator.launch import AgencyKeys, worker_config
    from cji_simulator.worker import Worker

    shutil.rmtree(state / "worker", ignore_errors=True)  # its trail is of another vTPM
    agency_keys = AgencyKeys()
    with servers as simulation:
        key = simulation.create_cmk()
        files = worker_config(
            state / "worker",
            simulation=simulation,
            keys=[key],
            agency_keys=agency_keys,
            port=port,
            key_lifetime_s=lifetime,
            cell_mib=cell_mib,
        )
        (state / TRUST).write_bytes(msgspec.json.encode(simulation.trust))
        table = _where(simulation)
        table.add_row("key", key.kek_id)
        table.add_row("  thumbprint", key.public_thumbprint)
        table.add_section()
        table.add_row("agency's profile", str(files.profile))
        table.add_row("worker's files", str(files.config))
        port = int(files.target.rpartition(":")[2])
        if not with_worker:
            show_running(table)
            while not stop.wait(_LOOK_S) and not simulation.unit.reset:
                pass
            return port

        def start(given_up: Callable[[], bool]) -> Worker:
            return Worker(files.config, trust=simulation.trust, log=_log(files), given_up=given_up)

        def ready(worker: Worker) -> None:
            table.add_row("worker", f"port {worker.port}, log {_log(files)}")
            show_running(table)

        unit.run(simulation, start, stop=stop, ready=ready)
        return port


def _log(files: "Deployment") -> Path:
    return files.folder / "worker.log"


def show_running(table: Table) -> None:
    """Print the table, and the line for which scripts and containers wait."""
    show(Console(highlight=False), table)
    click.echo("In another terminal: `cji-simulator status`, `cji-simulator fault --help`, `cji-simulator cji --help`.")
    click.echo("Running. Stop with Ctrl-C.")


@main.command()
@state_option
def reset(state: Path) -> None:
    """Begin again with a new VM, vault, key and worker, and without faults; roots and the worker's port stay.

    Addresses and the agency's files are new: read the profile again.
    """
    with opened(state) as simulation:
        simulation.reset()
    click.echo("reset: everything is as after `cji-simulator up`")


@main.command()
@state_option
def status(state: Path) -> None:
    """Show the addresses of a running simulation, whether its worker answers, and the faults in force."""
    with opened(state) as simulation:
        table = _where(simulation)
        table.add_row("worker", _worker(state, simulation))
        orders = [f"{one.service} {one.kind}: {CATALOGUE[one.kind].does}" for one in simulation.faults()]
        table.add_row("faults in force", "\n".join(orders) or "none")
    show(Console(highlight=False), table)


def _worker(state: Path, simulation: Simulation) -> str:
    from cji_client.errors import ClientError
    from cji_client.profile import load_profile
    from cji_client.transport import SyncClient

    try:
        profile = load_profile(state / PROFILE)
        with SyncClient(
            profile.target,
            tls=profile.tls(),
            trust=simulation.trust,
            reference=profile.reference,
            maa_url=profile.maa_url,
        ) as client:
            return f"{client.describe().worker_id} at {profile.target}"
    except ClientError:
        return f"does not answer; the log is {state / 'worker' / 'worker.log'}"


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder for everything that it creates.",
)
def demo(folder: Path) -> None:
    """Run the whole product once: attest, release a key, run a sealed job of fictitious persons, verify a receipt."""
    from cji_client.errors import ClientError
    from cji_simulator.demo import run_demo
    from cji_simulator.worker import WorkerDied

    folder.mkdir(parents=True, exist_ok=True)
    try:
        run_demo(folder, Console(highlight=False))
    except (SimulationError, WorkerDied, ClientError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo/cluster"),
    show_default=True,
    help="Folder for everything that it creates; what is there from before is removed.",
)
@click.option("--nodes", type=click.IntRange(1, 16), default=3, show_default=True, help="Number of workers.")
@click.option("--cells", type=click.IntRange(1, 16), default=1, show_default=True, help="Tasks at the same time, each.")
@click.option("--cell-memory", "cell_mib", type=click.IntRange(128, 65536), default=256, show_default=True, help="MiB.")
@click.option("--rows", type=click.IntRange(1), default=20_000, show_default=True, help="Rows of made-up people.")
@click.option("--shards", type=click.IntRange(2, 1024), default=4, show_default=True, help="Shards of the records.")
@click.option("--run/--no-run", "runs", default=False, show_default=True, help="Run the job at once, then stop.")
def cluster(folder: Path, nodes: int, cells: int, cell_mib: int, rows: int, shards: int, *, runs: bool) -> None:
    """Start a pool of workers and the engine, submit a job with `link` in shards, and print how to run it.

    \b
    Example:
      cji-simulator cluster --nodes 3
    In another terminal, the command that it prints:
      .engine/bin/cji-cluster run tls://127.0.0.1:... --job ... --header-sha384 ...
    """
    from cji_simulator.cluster_demo import run_cluster

    shutil.rmtree(folder, ignore_errors=True)
    try:
        run_cluster(folder, nodes=nodes, cells=cells, cell_mib=cell_mib, rows=rows, shards=shards, runs=runs)
    except SimulatorError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo/drill"),
    show_default=True,
    help="Folder for everything that it creates; what is there from before is removed.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=20, show_default=True, help="Number of workers.")
@click.option("--at-once", type=click.IntRange(1, 16), default=2, show_default=True, help="Starts at the same time.")
@click.option(
    "--key-lifetime",
    "lifetime",
    type=click.IntRange(10, 3600),
    default=300,
    show_default=True,
    help="Seconds, of a key.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the times as JSON at the end.")
def drill(folder: Path, workers: int, at_once: int, lifetime: int, *, as_json: bool) -> None:
    """Start a fleet, upgrade it, rotate its key, revoke the key; print the time of each.

    A worker takes about 400 MiB. Its key must live longer than a renewal of all workers takes on this machine.

    \b
    Example:
      cji-simulator drill --workers 20
    """
    from cji_client.errors import ClientError
    from cji_simulator.drill import DrillError, run_drill
    from cji_simulator.worker import WorkerDied

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def show_row(row: "Row") -> None:
        if not as_json:
            click.echo(f"{row.step:10} {row.seconds:9.2f} s  {row.what}")

    try:
        rows = run_drill(folder, workers=workers, at_once=at_once, key_lifetime_s=lifetime, show=show_row)
    except (SimulationError, WorkerDied, DrillError, ClientError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))


@main.command()
@state_option
def profile(state: Path) -> None:
    """Print the path of the agency's profile, for commands and programs in any folder.

    \b
    Example:
      cji-simulator cji worker attest --profile "$(cji-simulator profile)"
    """
    with opened(state):
        click.echo((state / PROFILE).absolute())


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@state_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def az(state: Path, arguments: tuple[str, ...]) -> None:
    """The commands of the Azure CLI that runbooks use, on the simulated vault and a pool of workers.

    \b
    Example:
      cji-simulator az keyvault key show --name cji-kek --output json
    """
    from cji_simulator.azcli import AzError, run_az

    try:
        click.echo(run_az(state, arguments))
    except (AzError, SimulationError) as error:
        click.echo(error, err=True)
        raise SystemExit(getattr(error, "status", 1)) from error


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": [], "allow_interspersed_args": False}
)
@state_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cji(state: Path, arguments: tuple[str, ...]) -> None:
    """`cji` with the roots of the simulation that `up` started, in any folder, instead of production's.

    `--state` stands before the command: behind it, it is an option of `cji`'s.
    """
    from cji_attestation import Trust
    from cji_core.command import build

    try:
        trust = decode((state / TRUST).read_bytes(), Trust, limit=1 << 20)
    except OSError as error:
        raise click.ClickException(f"no simulation was started in {state}; run `cji-simulator up` first") from error
    build(trust)(list(arguments), prog_name="cji-simulator cji")

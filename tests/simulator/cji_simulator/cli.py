"""`cji-simulator`: the services alone with a worker on them, the demo, and `cji` for their roots."""

import signal
import threading
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from attestation import Trust
from cji_simulator.demo import run_demo
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation, SimulationError
from cji_simulator.worker import Worker, WorkerDied
from worker.cli import build
from worker.client import ClientError

__all__ = ["main"]

_TRUST: Final = "trust.json"

_state = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder for roots, sockets, keys and logs.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Azure attestation, key release, instance metadata and a vTPM as real local servers, and a worker on them."""


@main.command()
@_state
@click.option("--port", type=click.IntRange(1, 65535), default=8443, show_default=True, help="The worker's port.")
@click.option("--worker/--no-worker", "with_worker", default=True, show_default=True, help="Start a worker as well.")
def up(state: Path, port: int, *, with_worker: bool) -> None:
    """Start everything and stay until interrupted.

    \b
    In another terminal, with the profile it prints:
      cji-simulator cji job run people.csv --spec job.toml --profile .demo/worker/client/client.toml --out result/
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Simulation(state) as simulation:
            key = simulation.create_cmk()
            files = worker_config(state / "worker", simulation=simulation, keys=[key], port=port)
            (state / _TRUST).write_bytes(msgspec.json.encode(simulation.trust))
            at = simulation.endpoints
            for label, value in (
                ("attestation service", at.maa_url),
                ("key vault", at.vault_url),
                ("metadata service", at.imds_url),
                ("vTPM", at.tcti),
                ("faults", at.control_url),
                ("key", key.kek_id),
                ("key thumbprint", key.public_thumbprint),
                ("worker's files", files.config),
                ("agency's profile", files.profile),
            ):
                click.echo(f"{label:20} {value}")
            if not with_worker:
                _stay(stop)
                return
            log = files.folder / "worker.log"
            with Worker(files.config, trust=simulation.trust, log=log) as worker:
                click.echo(f"{'worker':20} port {worker.port}, log {log}")
                _stay(stop)
    except (SimulationError, WorkerDied) as error:
        raise click.ClickException(str(error)) from error


def _stay(stop: threading.Event) -> None:
    click.echo("Running. Stop with Ctrl-C.")
    stop.wait()


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where everything it makes is kept.",
)
def demo(folder: Path) -> None:
    """Run the whole product once: attest, release a key, run a sealed job on real data, verify its receipt."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run_demo(folder, Console(highlight=False))
    except (SimulationError, WorkerDied, ClientError) as error:
        raise click.ClickException(str(error)) from error


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@_state
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cji(state: Path, arguments: tuple[str, ...]) -> None:
    """`cji`, believing the roots of the simulation that `up` started instead of production's."""
    try:
        trust = msgspec.json.decode((state / _TRUST).read_bytes(), type=Trust)
    except OSError as error:
        raise click.ClickException(f"no simulation was started in {state}; run `cji-simulator up` first") from error
    build(trust)(list(arguments), prog_name="cji-simulator cji")

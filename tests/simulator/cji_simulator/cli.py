"""`cji-simulator up`: run the servers until interrupted, with a key and the files for one worker and one agency."""

import signal
import threading
from pathlib import Path

import click
from rich.console import Console

from cji_simulator.demo import run_demo
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation, SimulationError
from cji_simulator.worker import WorkerDied
from worker.client import ClientError

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Azure attestation, key release, instance metadata and a vTPM as real local servers."""


@main.command()
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder for roots, sockets and the written files.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8443, show_default=True, help="The worker's port.")
def up(state: Path, port: int) -> None:
    """Start everything and stay until interrupted."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Simulation(state) as simulation:
            key = simulation.create_cmk()
            files = worker_config(state / "worker", simulation=simulation, keys=[key], port=port)
            at = simulation.endpoints
            for label, value in (
                ("attestation service", at.maa_url),
                ("key vault", at.vault_url),
                ("metadata service", at.imds_url),
                ("vTPM", at.tcti),
                ("faults", at.control_url),
                ("key", key.kek_id),
                ("worker's files", files.config),
                ("agency's files", files.profile),
            ):
                click.echo(f"{label:20} {value}")
            click.echo("Running. Stop with Ctrl-C.")
            stop.wait()
    except SimulationError as error:
        raise click.ClickException(str(error)) from error


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

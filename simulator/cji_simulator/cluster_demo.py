"""`cji-simulator cluster`: a job with `link` on made-up people, in shards, on the workers of this machine."""

import signal
import subprocess
import threading
from pathlib import Path

import click
from msgspec import UNSET

from cji_client.seal import SealedJob
from cji_core.operations.link.declaration import Link
from cji_core.pool import names
from cji_simulator.cluster import Cluster, ClusterError, cluster
from cji_simulator.made_up import made_up_people
from cji_simulator.parts import open_parts
from cji_simulator.parts import submit_parts as submit

__all__ = ["run_cluster"]


def run_cluster(folder: Path, *, nodes: int, cells: int, cell_mib: int, rows: int, shards: int, runs: bool) -> None:
    """Start everything, and stay until interrupted; with `runs`, until the job has ended.

    Raises ClusterError, SimulationError, WorkerDied.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"Starting {nodes} workers, Blob Storage and the engine in {folder}")
    with cluster(folder, nodes=nodes, cells=cells, cell_mib=cell_mib) as running:
        sealed = submit(running.site, running.container, made_up_people(rows), Link(), shards=shards)
        command = running.conductor(sealed.header.job_id.hex(), sealed.header.sha384.hex())
        click.echo(f"Submitted {rows:,} made-up people in {shards} shards.")
        if runs:
            if subprocess.run([*command, "--yes"], check=False).returncode:
                raise ClusterError(f"the job did not end; logs are in {folder}")
        else:
            click.echo(f"In another terminal:\n\n  {' '.join(command)}\n\nRunning. Stop with Ctrl-C.")
        if _wait(running, sealed, stop):
            _show(running, sealed)
        if not runs:
            stop.wait()


def _wait(running: Cluster, sealed: SealedJob, stop: threading.Event) -> bool:
    """Whether there is a receipt, once there is one or `stop` is set."""
    results, name = running.container("results"), names.receipt(sealed.header.job_id.hex())
    while not (found := results.exists(name)) and not stop.wait(1):
        pass
    return found


def _show(running: Cluster, sealed: SealedJob) -> None:
    claims, tables = open_parts(running.site, running.container, sealed)
    tasks = claims.tasks
    if tasks is not UNSET:
        click.echo(f"Receipt: {tasks.statements} statements of tasks on {len(tasks.nodes)} workers.")
    for name, table in tables.items():
        click.echo(f"  {name}: {table.num_rows:,} rows")

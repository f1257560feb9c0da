"""`cji-simulator cluster`: a job with `link` on made-up people, in shards, on the workers of this machine."""

import signal
import subprocess
import threading
from pathlib import Path
from typing import Final

import click
import numpy as np
import pyarrow as pa
from msgspec import UNSET

from cji_simulator.cluster import Cluster, ClusterError, cluster
from cji_simulator.parts import open_parts
from cji_simulator.parts import submit_parts as submit
from worker.client import SealedJob
from worker.compute.operations.link.parameters import Link
from worker.fleet import names

__all__ = ["made_up_people", "run_cluster"]

_FIRST: Final = tuple("James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth".split())  # noqa: SIM905
_LAST: Final = tuple("Smith Johnson Williams Brown Jones Garcia Miller Davis Martinez Lopez".split())  # noqa: SIM905
_SYLLABLES: Final = tuple("ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu".split())  # noqa: SIM905
_TWICE: Final = 0.2
_DAYS: Final = 30_000


def made_up_people(rows: int, *, seed: int = 1) -> pa.Table:
    """Rows of person/1; a fifth of them are second records of a person, with an error in one name."""
    rng = np.random.default_rng(seed)
    first_records = rows - int(rows * _TWICE)
    of = np.concatenate([np.arange(first_records), rng.integers(0, first_records, rows - first_records)])
    endings = rng.choice(_SYLLABLES, (first_records, 2))
    first, last = rng.choice(_FIRST, first_records)[of].tolist(), rng.choice(_LAST, first_records).tolist()
    last = [f"{last[at]}{endings[at, 0]}{endings[at, 1]}" for at in of]
    born = np.datetime64("1930-01-01") + rng.integers(0, _DAYS, first_records)
    for at in range(first_records, rows):
        name, place = last[at], int(rng.integers(1, 4))
        last[at] = name[:place] + name[place + 1 :]
    order = rng.permutation(rows)
    dates = [str(day).replace("-", "") for day in born[of][order]]
    return pa.table({"last": [last[at] for at in order], "first": [first[at] for at in order], "DOB": dates})


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

"""`cji-simulator cluster`: a job with `link` on made-up people, in shards, on the workers of this machine."""

import io
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click
import pyarrow as pa
from msgspec import UNSET

from cji_client.parts import open_part
from cji_client.received import parse_result_header
from cji_client.seal import SealedJob
from cji_client.spec import InputSpec
from cji_core.format.envelope import output_aad, unwrap_result_key
from cji_core.operations.link.declaration import Link
from cji_core.operations.parameters import Parameters
from cji_core.operations.volumes import wrong_counts
from cji_core.pool import names
from cji_core.pool.documents import RECEIPT_BYTES, SOURCES_BYTES, Published, Sources, decode
from cji_core.pool.store import Blobs
from cji_core.trail import Claims, claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.cluster import Cluster, ClusterError, cluster
from cji_simulator.made_up import made_up_people
from cji_simulator.site import Site

__all__ = ["open_parts", "run_cluster", "submit_parts"]

_MOST: Final = 1 << 28
Container = Callable[[str], Blobs]


def run_cluster(folder: Path, *, nodes: int, cells: int, cell_mib: int, rows: int, shards: int, runs: bool) -> None:
    """Start everything, and stay until interrupted; with `runs`, until the job has ended.

    Raises ClusterError, SimulationError, WorkerDied.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    folder = folder.resolve()  # its programs have folders of their own
    click.echo(f"Starting {nodes} workers, Blob Storage and the engine in {folder}")
    with cluster(folder, nodes=nodes, cells=cells, cell_mib=cell_mib) as running:
        sealed = submit_parts(running.site, running.container, made_up_people(rows), Link(), shards=shards)
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


def submit_parts(
    site: Site,
    container: Container,
    records: pa.Table,
    *operations: Parameters,
    shards: int,
    sides: Mapping[str, pa.Table] | None = None,
) -> SealedJob:
    """Seal records in shards, and put the job into Blob Storage. There is no ticket: a conductor runs it.

    `sides` are tables of person/1, by the name of their input.
    """
    schemas = {name: InputSpec(schema="person/1") for name in sides or {}}
    sealed = site.seal(site.spec(*operations, shards=shards, sides=schemas), rows=records.num_rows)
    job, jobs = sealed.header.job_id.hex(), container("jobs")
    for number, source in enumerate([*(sides or {}).values(), records]):
        for part, segments in sealed.seal_parts(number, source):
            jobs.write(names.part(job, part), b"".join(segments))
    submission = pb.Submission(header=sealed.header.data, signature=sealed.signature, submitter=site.files.agency.san)
    jobs.write(names.header(job), submission.SerializeToString())
    return sealed


def open_parts(site: Site, container: Container, sealed: SealedJob) -> tuple[Claims, dict[str, pa.Table]]:
    """The receipt's claims, and the outputs by name, as their recipient reads them. The receipt is not verified."""
    job, results = sealed.header.job_id.hex(), container("results")
    found = decode(results.read(names.receipt(job), most=RECEIPT_BYTES), Published)
    claims = claims_unverified(found.receipt)
    sources = decode(results.read(names.sources(job, found.attempt), most=SOURCES_BYTES), Sources)
    header = parse_result_header(results.read(names.result_header(job, found.attempt), most=_MOST), sealed.header)
    assert header.sha384.hex() == claims.result_header_sha384
    key = unwrap_result_key(site.recipient, next(iter(header.wrapped.values())), sealed.header.sha384)
    tables, part = dict[str, pa.Table](), 0
    for output in header.outputs:
        batches = list[pa.RecordBatch]()
        for _ in range(output.shards):
            data = _whole(results, names.output(job, sources.attempts[part], part))
            aad = output_aad(header.sha384, part)
            batches += open_part(key, aad, io.BytesIO(data), name=output.name, padded=header.padded)
            part += 1
        tables[output.name] = pa.Table.from_batches(batches)
    rows = {name: table.num_rows for name, table in tables.items()}
    assert not wrong_counts(claims, header.schemas, rows)
    return claims, tables


def _whole(blobs: Blobs, name: str) -> bytes:
    version, step = blobs.version(name), 1 << 20
    ranges = range(0, version.size, step)
    return b"".join(blobs.read_range(name, version, offset=at, length=min(step, version.size - at)) for at in ranges)

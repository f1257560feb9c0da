"""`cji-cluster`: certificates, scheduler and workers of the engine, and the conductor of a job.

It is not part of `cji`: that belongs to workers and submitters, and imports what opens records. On the machines of the
engine there is none of it.
"""

import asyncio
import contextlib
import functools
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import msgspec

from cji_engine import certificates, nodes
from cji_engine.cluster import DaskCluster
from cji_engine.conductor import WAIT_S, ClusterLostError, Conductor, Events, JobRefusedError
from cji_engine.estimate import Estimate, estimate
from cji_engine.messages import Job
from cji_engine.node import Doors, RemoteNode
from cji_engine.output import Display, as_json, show_estimate, show_stages
from cji_engine.roles import Role
from cji_engine.tls import Files, MutualTls

__all__ = ["main"]

REFUSED: Final = 1
UNUSABLE: Final = 2
TRY_AGAIN: Final = 4
_PORT: Final = 8786
_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cji-engine")
def main() -> None:
    """Run jobs of confidential workers in parts, on Dask, which sees names and sizes only.

    \b
    Once, where the engine's authority is kept:
      cji-cluster certificates pki --scheduler main --worker node-1 --worker node-2 --conductor ops
    On the machines, by their units:
      cji-cluster scheduler --ca ca.pem --certificate scheduler-main.pem --key scheduler-main.key
      cji-cluster worker tls://10.0.0.4:8786 --ca ca.pem --certificate worker-node-1.pem --key worker-node-1.key
    For each job that was submitted in shards:
      cji-cluster run tls://10.0.0.4:8786 --job 6b1f... --header-sha384 9c0e... --ca ca.pem --certificate ...

    \b
    Exit status: 0 success, 1 refused, 2 unusable input, 4 try again later.
    """  # noqa: D301 - \b is click's mark for text that it must not wrap


def _files(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options for the files of TLS; the command gets them as `files`."""

    @functools.wraps(command)
    def with_files(*arguments: Any, ca: Path, certificate: Path, key: Path, **options: Any) -> Any:
        return command(*arguments, files=Files(ca=ca, certificate=certificate, key=key), **options)

    wrapped: Callable[..., Any] = with_files
    for option, text in (
        ("--key", "The certificate's private key, a PEM file."),
        ("--certificate", "The certificate of this process, a PEM file."),
        ("--ca", "The engine's authority, a PEM file."),
    ):
        wrapped = click.option(option, type=_FILE, required=True, help=text)(wrapped)
    return wrapped


@main.command("certificates")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--scheduler", "schedulers", multiple=True, metavar="NAME", help="Make a certificate of a scheduler.")
@click.option("--worker", "workers", multiple=True, metavar="NAME", help="Make a certificate of a node's worker.")
@click.option("--conductor", "conductors", multiple=True, metavar="NAME", help="Make a certificate of a conductor.")
@click.option(
    "--days", type=click.IntRange(1, 825), default=90, show_default=True, help="Validity of the certificates."
)
def make_certificates(
    folder: Path, schedulers: tuple[str, ...], workers: tuple[str, ...], conductors: tuple[str, ...], days: int
) -> None:
    """Make the engine's authority in FOLDER, unless it is there, and certificates by it.

    \b
    Example:
      cji-cluster certificates pki --scheduler main --worker node-1 --conductor ops

    Each of these certificates allows running code on the scheduler and on all workers of the engine, as their users,
    and in `cji-cluster run`, as anyone who runs it: Dask unpickles messages before it can check a role. Give a
    conductor's to those who run jobs in parts, and to nobody else. Keep ca.key off the machines of the engine.
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not (folder / f"{certificates.AUTHORITY}.pem").exists():
            certificates.authority(folder, days=days)
        wanted = {Role.SCHEDULER: schedulers, Role.WORKER: workers, Role.CONDUCTOR: conductors}
        for role, names in wanted.items():
            for name in names:
                click.echo(f"{certificates.certificate(folder, role, name, days=days)}.pem")
    except (OSError, ValueError) as error:
        _fail(UNUSABLE, f"{error}. Choose another name or folder; files are never overwritten.")


@main.command()
@_files
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="Port; 0 for a free one.")
def scheduler(files: Files, host: str, port: int) -> None:
    """Run the scheduler until it is stopped. It prints its address.

    \b
    Example:
      cji-cluster scheduler --ca ca.pem --certificate scheduler-main.pem --key scheduler-main.key --host 10.0.0.4

    It has no dashboard and no HTTP server. It answers certificates of conductors, and takes from certificates of
    workers what workers send.
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    _serve(lambda: [nodes.EngineScheduler(host=host, port=port, tls=MutualTls(Role.SCHEDULER, files))])


@main.command()
@click.argument("address", metavar="SCHEDULER")
@_files
@click.option("--name", default=nodes.node_name, help="Name of this node. [default: the machine's]")
@click.option(
    "--tasks", type=click.IntRange(1, 64), default=1, show_default=True, help="Tasks at the same time: cells."
)
@click.option("--host", default=None, help="Address to listen on. [default: the one that reaches the scheduler]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on; of several nodes, the first one's. [default: free ones]",
)
@click.option(
    "--node",
    "addresses",
    multiple=True,
    metavar="HOST[:PORT]",
    help="A worker's machine, whose tasks' port is 8444; several of them. [default: this machine, by a socket]",
)
@click.option("--node-name", metavar="NAME", help="With --node: the name in the certificates of the workers' doors.")
@click.option("--node-roots", type=_FILE, help="With --node: authorities of these certificates, a PEM file.")
def worker(
    address: str,
    *,
    files: Files,
    name: str,
    tasks: int,
    host: str | None,
    port: int,
    addresses: tuple[str, ...],
    node_name: str | None,
    node_roots: Path | None,
) -> None:
    """Run the engine's worker of this node, or of each --node, until it is stopped.

    \b
    Examples:
      cji-cluster worker tls://10.0.0.4:8786 --ca ca.pem --certificate worker-node-1.pem --key worker-node-1.key
      cji-cluster worker tls://127.0.0.1:8786 --ca ca.pem --certificate worker-all.pem --key worker-all.key
        --node 10.0.1.4 --node 10.0.1.5 --node-name cji.agency.example --node-roots node-roots.pem

    It hands the names of tasks to the fleet process of this node, over the socket that CJI_TASKS_SOCKET names in the
    environment, /run/cji-tasks/tasks.sock by default; or to those of other machines, over TLS through their doors. It
    ends when the scheduler does; its unit starts it again.
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    tls = MutualTls(Role.WORKER, files)
    if not addresses:
        _serve(lambda: [nodes.EngineWorker(address, name=name, tasks=tasks, host=host, port=port, tls=tls)])
        return
    if node_name is None or node_roots is None:
        _fail(UNUSABLE, "--node needs --node-name and --node-roots, by which a worker's door is known.")
    try:
        doors = Doors.of(node_name, node_roots, certificate=files.certificate, key=files.key)
        remote = [RemoteNode.at(one, doors) for one in addresses]
    except (OSError, ValueError) as error:
        _fail(UNUSABLE, f"{error}. Check the addresses, and the files of TLS.")
    _serve(
        lambda: [
            nodes.EngineWorker(
                address, name=one.host, tasks=tasks, host=host, port=port and port + number, tls=tls, node=one
            )
            for number, one in enumerate(remote)
        ]
    )


@main.command()
@click.argument("address", metavar="SCHEDULER")
@_files
@click.option("--job", "job_id", required=True, metavar="ID", help="The job's id, 32 hexadecimal digits.")
@click.option(
    "--header-sha384", required=True, metavar="HEX", help="SHA-384 of the job's header; `cji job submit` prints it."
)
@click.option("--yes", is_flag=True, help="Start without asking after the estimate.")
@click.option("--again", is_flag=True, help="Run tasks again that have a result.")
@click.option(
    "--wait",
    type=click.IntRange(0, 3600),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait for a first worker of the engine.",
)
@click.option(
    "--pairs-per-row", type=click.FloatRange(0), default=20.0, show_default=True, help="Of `link`, for the estimate."
)
@click.option("--json", "json_output", is_flag=True, help="Print one JSON object at the end, and nothing else.")
def run(
    address: str,
    *,
    files: Files,
    job_id: str,
    header_sha384: str,
    json_output: bool,
    **how: Any,
) -> None:
    """Run a submitted job in parts: an estimate, every stage with progress, and the receipt.

    \b
    Example:
      cji-cluster run tls://10.0.0.4:8786 --job 6b1f0c1e2d3a4b5c6d7e8f9001122334 --header-sha384 9c0e...
        --ca ca.pem --certificate conductor-ops.pem --key conductor-ops.key --yes

    If this command is interrupted, or its machine dies, repeat it: tasks that have a result are not run again. The
    result is fetched by the submitter (`cji job fetch`), who alone can open it.
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    try:
        job = msgspec.convert({"job": job_id, "header_sha384": header_sha384}, Job)
    except msgspec.ValidationError as error:
        _fail(UNUSABLE, f"{error}. Give the id and the digest as `cji job submit` prints them.")
    if json_output and not how["yes"]:
        _fail(UNUSABLE, "--json asks no question: add --yes.")
    nodes.harden()
    display = Display(quiet=json_output)
    try:
        asyncio.run(_run(address, files, job, display, **how))
    except JobRefusedError as refused:
        display.close()
        if json_output:
            click.echo(json.dumps(as_json(job, display.reports, refused=refused)))
        _fail(
            TRY_AGAIN if refused.refused.retry_after_ms or refused.refused.reason == "NO_NODE" else REFUSED,
            f"{refused}. {refused.remedy}",
        )
    except ClusterLostError as error:
        display.close()
        _fail(TRY_AGAIN, f"{error}. Check the scheduler and its workers, then repeat the command.")
    display.close()
    if json_output:
        click.echo(json.dumps(as_json(job, display.reports)))
    else:
        show_stages(display.reports)


async def _run(
    address: str,
    files: Files,
    job: Job,
    display: Display,
    *,
    wait: int,
    pairs_per_row: float,
    yes: bool,
    again: bool,
) -> None:
    async with DaskCluster(address, MutualTls(Role.CONDUCTOR, files)) as cluster:
        events = Events(waiting=display.waiting, progress=display.progress, refused=display.refused)
        conductor = Conductor(job=job, cluster=cluster, events=events, again=again, reports=display.reports)
        cells = await conductor.cells(wait=wait)
        display.close()
        start = await conductor.start()
        costs: Estimate = estimate(
            rows=start.rows or 0,
            shards=start.shards or 1,
            stages=len(start.tasks or ()),
            input_bytes=start.bytes_in,
            cells=cells,
            pairs_per_row=pairs_per_row,
        )
        display.estimate = costs
        if not display.quiet:
            show_estimate(costs)
        if not yes:
            click.confirm("Start?", abort=True)
        await conductor.run()


def _serve(made: Callable[[], Sequence[Any]]) -> None:
    """Servers of Dask's until one of them ends, or a signal comes."""
    nodes.harden()

    async def serve() -> None:
        servers = await asyncio.gather(*made())
        for server in servers:
            click.echo(server.address)
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        ends: list[Awaitable[Any]] = [*(server.finished() for server in servers), stopped.wait()]
        await asyncio.wait([asyncio.ensure_future(end) for end in ends], return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            with contextlib.suppress(Exception):
                await server.close()

    try:
        asyncio.run(serve())
    except (OSError, TimeoutError) as error:
        _fail(TRY_AGAIN, f"{error}. Check address and certificates.")


def _fail(status: int, text: str) -> NoReturn:
    click.echo(f"Error: {text}", err=True)
    sys.exit(status)

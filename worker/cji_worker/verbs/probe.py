"""`cji probe`: readiness for Azure's load balancer and scale set, and Azure's scheduled events."""

import os
from pathlib import Path

import click

from cji_core.boot_codes import CODE_FILE
from cji_core.command.common import Failure, explained
from cji_core.errors import StartupError
from cji_worker.probe.notice import DRAIN


@click.command()
@click.option(
    "--status",
    "status_socket",
    default="/run/cji-status/status.sock",
    show_default=True,
    help="status_socket of worker.toml.",
)
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104 - for the probe
@click.option("--port", type=click.IntRange(1, 65535), default=9465, show_default=True, help="probePort of Bicep.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path("/run/cji-probe"),
    show_default=True,
    help="Folder for the files whose existence starts the drain, or a reboot after it.",
)
@click.option(
    "--drain",
    type=click.Path(path_type=Path),
    default=DRAIN,
    show_default=True,
    help="Folder of cji-drain.service, for the files with which it reports.",
)
@click.option(
    "--boot-code",
    type=click.Path(path_type=Path),
    default=CODE_FILE,
    show_default=True,
    help="File in which `cji bundle apply` states why there is no configuration yet.",
)
@explained
def probe(*, status_socket: str, host: str, port: int, state: Path, drain: Path, boot_code: Path) -> None:
    """Answer GET /ready with 200 while the worker admits jobs, else with 503 and the reason, until it is interrupted.

    Azure's load balancer sends connections to workers that answer 200, and a rolling upgrade goes on only with them.
    Azure announces that it is going to reboot, move, evict or delete a machine: then the answer is 503, and the file
    `terminate` in the folder of --state starts cji-drain.service. Once the machine has drained, the event is approved,
    and Azure does not wait for the end of its notice. If it does not come, the file `resume` reboots the machine. Run
    it as a user of its own; deploy/systemd has the units.

    \b
    Example:
      cji probe
      curl -i http://127.0.0.1:9465/ready
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if os.geteuid() == 0:
        raise Failure("this process is root", remedy="Run it as a user without rights, such as cji-probe.", status=2)
    from cji_worker.probe.process import run  # noqa: PLC0415 - its loop is for this process alone

    try:
        run(status_socket=status_socket, host=host, port=port, state=state, drain=drain, boot_code=boot_code)
    except StartupError as error:
        raise Failure(error.what, remedy=error.remedy, status=2) from error
